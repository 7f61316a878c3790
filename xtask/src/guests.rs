//! The bundled policy components, built from `guests/policies`, or compared with what is kept.
//!
//! The bytes must not depend on where they are built: paths of this machine are replaced before they get into panic
//! messages, the toolchain is pinned, and the profile `guest` fixes the rest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

use crate::{child, say};

/// A kind of component: its packages, and how they become components.
struct Kind {
    /// What the names of its packages begin with.
    prefix: &'static str,
    /// The rest of their names, which is also that of the folder of each and of its component.
    names: &'static [&'static str],
    target: &'static str,
    /// Whether the linker makes a core module, which has yet to become a component.
    core: bool,
    kept: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        prefix: "shardwright-policy-",
        names: &["static-groups", "balanced", "rendezvous"],
        target: "wasm32-unknown-unknown",
        core: true,
        kept: "host/components/bundled",
    },
    Kind {
        prefix: "shardwright-adapter-",
        names: &["etcd", "postgresql"],
        target: "wasm32-wasip2",
        core: false,
        kept: "host/components/bundled/adapters",
    },
];
const PROFILE: &str = "guest";
const BUILT: &str = "target/guests";

/// Builds every bundled component from the root of the workspace. With `check`, changes nothing and fails if one
/// differs from what is kept.
pub(crate) fn build(check: bool) -> Result<()> {
    let mut different = Vec::new();
    for kind in &KINDS {
        compile(kind)?;
        for name in kind.names {
            let component = kind.component(name)?;
            let kept = Path::new(kind.kept).join(name).with_extension("wasm");
            if check {
                if std::fs::read(&kept).ok().as_deref() != Some(&component) {
                    different.push(kept.display().to_string());
                }
            } else {
                std::fs::create_dir_all(kind.kept)?;
                std::fs::write(&kept, &component).with_context(|| format!("writing {}", kept.display()))?;
                say::line(&format!("{} ({} bytes)", kept.display(), component.len()));
            }
        }
    }
    ensure!(
        different.is_empty(),
        "not what their source builds to: {}; run `cargo xtask guests` and commit them",
        different.join(", ")
    );
    Ok(())
}

impl Kind {
    fn component(&self, name: &str) -> Result<Vec<u8>> {
        let module = format!("{}{name}.wasm", self.prefix).replace('-', "_");
        let module = Path::new(BUILT).join(self.target).join(PROFILE).join(module);
        let module = std::fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
        if !self.core {
            return Ok(module);
        }
        let encoded = ComponentEncoder::default().validate(true).module(&module)?.encode();
        encoded.with_context(|| format!("encoding {name}"))
    }
}

/// One invocation for each kind: features of what they share must not add up.
fn compile(kind: &Kind) -> Result<()> {
    let mut cargo = child::cargo();
    cargo.args([
        "build",
        "--locked",
        "--lib",
        "--profile",
        PROFILE,
        "--target",
        kind.target,
        "--target-dir",
        BUILT,
    ]);
    for name in kind.names {
        cargo.arg("--package").arg(format!("{}{name}", kind.prefix));
    }
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags()?);
    child::run(&mut cargo).with_context(|| {
        format!(
            "the guests do not build; the target is added with `rustup target add {}`",
            kind.target
        )
    })
}

/// Flags that replace the paths of this machine, joined as `CARGO_ENCODED_RUSTFLAGS` wants them.
fn flags() -> Result<OsString> {
    let mut paths = vec![(std::env::current_dir()?, "/shardwright".to_owned())];
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) {
        // One folder for each registry, named after its address.
        let sources = home.join("registry/src");
        for registry in std::fs::read_dir(&sources).into_iter().flatten() {
            paths.push((registry?.path(), "/registry".to_owned()));
        }
    }
    let rustc = |argument: &[&str]| -> Result<String> {
        let output = Command::new("rustc").args(argument).output().context("running rustc")?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let version = rustc(&["--version", "--verbose"])?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("rustc does not name its commit")?;
    paths.push((
        Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib/src/rust"),
        format!("/rustc/{commit}"),
    ));

    let mut flags = OsString::new();
    for (path, replacement) in paths {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(replacement);
    }
    Ok(flags)
}
