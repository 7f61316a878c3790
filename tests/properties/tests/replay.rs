//! What the fuzzer has found holds still: its corpus, and whatever once was an exception.

#![allow(clippy::unwrap_used, reason = "a test may")]

use shardwright_properties::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All of it together: it is kept with the sources.
const LARGEST: u64 = 1 << 20;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Tries everything in the target's corpus, and says which file is the exception.
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = fuzz().join("corpus").join(name);
    let files = folders(&corpus);
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    for file in files {
        let path = corpus.join(&file);
        let data = fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| target.hold(&data)).is_err() {
            panic!("fuzz/corpus/{name}/{file} is an exception");
        }
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

replayed! {
    address answer component config engine envelope etcd etcd_parts grammar kafka kafka_log nats nats_mirror
    postgresql postgresql_parts redis sealed secrets snapshot state_dir values
}

#[test]
fn every_target_is_built_run_and_replayed() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, REPLAYED);
    let named: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders(&fuzz().join("corpus")), named, "fuzz/corpus");
    let programs = named.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(folders(&fuzz().join("fuzz_targets")), programs, "fuzz/fuzz_targets");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(
            manifest.contains(&format!("\npath = \"fuzz_targets/{name}.rs\"\n")),
            "fuzz/Cargo.toml"
        );
        let program = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("\"{name}\"")), "{name}.rs");
    }
}

#[test]
fn the_corpus_is_small() {
    let mut size = 0;
    for name in folders(&fuzz().join("corpus")) {
        let folder = fuzz().join("corpus").join(name);
        for file in folders(&folder) {
            size += fs::metadata(folder.join(file)).unwrap().len();
        }
    }
    assert!(size < LARGEST, "{size} bytes; `cargo fuzz cmin` makes it smaller");
}
