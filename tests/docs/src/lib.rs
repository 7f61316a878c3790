//! The Rust blocks of the documentation: each is compiled and run as a test of this crate's documentation.
//!
//! Those of the guide to policies are the files of a crate: `tests/first_fit.rs` is made of them.

macro_rules! documents {
    ($($name:ident = $path:literal,)+) => {
        $(
            // Only for the tests: as pages, they are written for another reader of Markdown than rustdoc.
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../", $path))]
            pub mod $name {}
        )+

        /// The documents that are compiled here, from the root of the project.
        #[cfg(test)]
        const DOCUMENTS: &[&str] = &[$($path),+];
    };
}

documents! {
    readme = "README.md",
    contributing = "CONTRIBUTING.md",
    architecture = "docs/architecture.md",
    building = "docs/building.md",
    chaos = "docs/chaos.md",
    configuration = "docs/configuration.md",
    coordinators = "docs/coordinators.md",
    etcd = "docs/etcd.md",
    events = "docs/events.md",
    fuzzing = "docs/fuzzing.md",
    glossary = "docs/glossary.md",
    guarantees = "docs/guarantees.md",
    kafka = "docs/kafka.md",
    ledger = "docs/ledger.md",
    model = "docs/model.md",
    mutants = "docs/mutants.md",
    nats = "docs/nats.md",
    operating = "docs/operating.md",
    postgresql = "docs/postgresql.md",
    redis = "docs/redis.md",
    sandbox = "docs/sandbox.md",
    simulation = "docs/simulation.md",
    stored_values = "docs/stored-values.md",
    writing_an_adapter = "docs/writing-an-adapter.md",
}

#[cfg(test)]
mod test {
    use super::DOCUMENTS;
    use std::path::Path;

    /// Its blocks are in `tests/first_fit.rs`.
    const ELSEWHERE: [&str; 1] = ["docs/writing-a-policy.md"];

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn no_document_is_left_out() {
        let files = std::fs::read_dir(root().join("docs")).expect("the documents");
        let names = files.map(|file| file.expect("a document").file_name().to_string_lossy().into_owned());
        let mut all: Vec<_> = names
            .filter(|name| name.ends_with(".md"))
            .map(|name| format!("docs/{name}"))
            .collect();
        all.extend(["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
        all.sort();
        let mut compiled: Vec<_> = DOCUMENTS.iter().chain(&ELSEWHERE).copied().collect();
        compiled.sort_unstable();
        assert_eq!(compiled, all);
    }

    #[test]
    fn no_rust_block_is_kept_from_the_compiler() {
        for path in DOCUMENTS.iter().chain(&ELSEWHERE) {
            let text = std::fs::read_to_string(root().join(path)).expect("read");
            for fence in text.lines().filter(|line| line.trim_start().starts_with("```rust")) {
                assert_eq!(fence.trim(), "```rust", "{path}");
            }
        }
    }
}
