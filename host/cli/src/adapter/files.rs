//! The files of a new adapter. They are inside this program, so that `adapter new` needs neither the repository nor a
//! network.

use super::project::Language;

/// A path in the new folder, and what it holds.
type File = (&'static str, &'static str);

macro_rules! repository {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

macro_rules! scaffold {
    ($path:literal) => {
        include_str!(concat!("../../scaffold/", $path))
    };
}

const COORDINATOR: &str = repository!("wit/coordinator/0.1.0/coordinator.wit");

const WORLD: &str = repository!("examples/adapter-python/wit/world.wit");
const CLOCKS: &str = repository!("wit/wasi/0.2.12/clocks.wit");
const HTTP: &str = repository!("wit/wasi/0.2.12/http.wit");
const IO: &str = repository!("wit/wasi/0.2.12/io.wit");

/// What every language gets: the server that the adapter is for, until it is for another one.
const ALL: [File; 1] = [("server.py", repository!("examples/adapter-python/server.py"))];

const PYTHON: [File; 10] = [
    ("adapter.py", repository!("examples/adapter-python/adapter.py")),
    ("web.py", repository!("examples/adapter-python/web.py")),
    ("pyproject.toml", repository!("examples/adapter-python/pyproject.toml")),
    ("README.md", scaffold!("python/README.md")),
    (".gitignore", "/*.wasm\n/.venv/\n__pycache__/\n"),
    ("wit/world.wit", WORLD),
    ("wit/deps/coordinator.wit", COORDINATOR),
    ("wit/deps/clocks.wit", CLOCKS),
    ("wit/deps/http.wit", HTTP),
    ("wit/deps/io.wit", IO),
];

const JAVASCRIPT: [File; 10] = [
    ("adapter.js", scaffold!("javascript/adapter.js")),
    ("web.js", scaffold!("javascript/web.js")),
    ("package.json", scaffold!("javascript/package.json")),
    ("README.md", scaffold!("javascript/README.md")),
    (".gitignore", "/*.wasm\n/node_modules/\n"),
    ("wit/world.wit", WORLD),
    ("wit/deps/coordinator.wit", COORDINATOR),
    ("wit/deps/clocks.wit", CLOCKS),
    ("wit/deps/http.wit", HTTP),
    ("wit/deps/io.wit", IO),
];

const RUST: [File; 5] = [
    ("Cargo.toml", scaffold!("rust/Cargo.toml.in")),
    ("src/lib.rs", scaffold!("rust/src/lib.rs")),
    ("src/server.rs", scaffold!("rust/src/server.rs")),
    ("README.md", scaffold!("rust/README.md")),
    (".gitignore", "/*.wasm\n/target/\n"),
];

/// The part of the Rust SDK that adapters need, for those who have no checkout of the repository.
const SDK: [File; 11] = [
    ("sdk/Cargo.toml", scaffold!("rust/sdk.toml")),
    (
        "sdk/src/lib.rs",
        "//! What an author of a Shardwright adapter writes against: a copy of the part that adapters need.\n\npub \
         mod adapter;\n",
    ),
    ("sdk/src/adapter/mod.rs", repository!("guests/sdk/src/adapter/mod.rs")),
    (
        "sdk/src/adapter/export.rs",
        repository!("guests/sdk/src/adapter/export.rs"),
    ),
    ("sdk/src/adapter/http.rs", repository!("guests/sdk/src/adapter/http.rs")),
    ("sdk/src/adapter/log.rs", repository!("guests/sdk/src/adapter/log.rs")),
    ("sdk/src/adapter/net.rs", repository!("guests/sdk/src/adapter/net.rs")),
    ("sdk/src/adapter/time.rs", repository!("guests/sdk/src/adapter/time.rs")),
    ("sdk/wit/coordinator/0.1.0/coordinator.wit", COORDINATOR),
    ("sdk/wit/tls/0.1.0/tls.wit", repository!("wit/tls/0.1.0/tls.wit")),
    (
        "sdk/wit/tls/0.1.0/deps/io.wit",
        repository!("wit/tls/0.1.0/deps/io.wit"),
    ),
];

/// The files of a new adapter called `name`. In Rust, `sdk` is where its SDK is; without it, a copy comes along.
pub(super) fn of(language: Language, name: &str, sdk: Option<&str>) -> Vec<(&'static str, String)> {
    let own: &[File] = match language {
        Language::Python => &PYTHON,
        Language::Javascript => &JAVASCRIPT,
        Language::Rust => &RUST,
    };
    let copied: &[File] = if language == Language::Rust && sdk.is_none() {
        &SDK
    } else {
        &[]
    };
    let named = own.iter().map(|(path, text)| {
        let text = text.replace("example-http", name).replace("@name@", name);
        (*path, text.replace("\"SDK\"", &format!("{:?}", sdk.unwrap_or("sdk"))))
    });
    // In the repository the SDK finds the contracts two folders up.
    let copied = copied
        .iter()
        .map(|(path, text)| (*path, text.replace("\"../../wit/", "\"wit/")));
    let all = ALL.iter().map(|(path, text)| (*path, (*text).to_owned()));
    named.chain(copied).chain(all).collect()
}
