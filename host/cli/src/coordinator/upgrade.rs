//! `shardwright coordinator upgrade`: a newer component in the place of an adapter's present one.

use crate::cluster::ClusterArgs;
use crate::exit::Exit;
use crate::output::{line, plain};
use anyhow::{Context, bail};
use clap::Args;
use shardwright::adapter::{AdapterComponent, Differences, Grants, UpgradeError, adapter_component, open_component};
use shardwright_components::Digest;
use shardwright_config::{AdapterSource, ClusterConfig, ComponentSection, CoordinatorConfig};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::Password;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest component that is read: what the loader accepts.
const MAX_FILE: u64 = 64 << 20;

/// Arguments of `coordinator upgrade`.
#[derive(Args, Debug)]
#[command(after_help = "\
The command compares the new component with the file of the configured `path`, runs the contract suite with it in \
                        temporary namespaces (suite-…) of the configured backend, and opens the cluster's namespace. \
                        Then it replaces the file, and keeps the old one as NAME.previous.wasm. Running nodes load \
                        the new component on SIGHUP: see `shardwright coordinator status`. If it requires more \
                        grants or interfaces, they load it only after a restart.

Exit codes: 0 completed; 1 error; 3 the new component was refused, and nothing was changed.")]
pub(super) struct Upgrade {
    /// The new component
    #[arg(value_name = "NEW.wasm")]
    new: PathBuf,
    #[command(flatten)]
    which: ClusterArgs,
    /// Accept a component that requires more grants or host interfaces than the present one
    #[arg(long)]
    accept_grants: bool,
    /// Compare and test the component without replacing the file
    #[arg(long)]
    dry_run: bool,
}

/// What came of looking at the new one, and of trying it.
enum Verdict {
    /// It is good.
    Fine {
        /// It asks for more than the present one, and that was accepted.
        more: bool,
    },
    /// It is not to be had, and why.
    Refused(String),
}

/// Puts the new one in the place of the old one.
pub(super) async fn run(args: &Upgrade) -> anyhow::Result<Exit> {
    let (config, _) = args.which.resolve()?;
    let CoordinatorConfig::Component(section) = &config.coordinator else {
        bail!(
            "the coordinator is of type \"{}\": only an adapter, a section of type \"component\", is upgraded like \
             this",
            config.coordinator.kind()
        );
    };
    let AdapterSource::File { path, digest: pinned } = &section.adapter else {
        bail!(
            "the adapter of [store.\"{}\"] is bundled: it comes with Shardwright, and is upgraded with it",
            section.id
        );
    };
    let old = adapter_component(&of_file(section, path))
        .await
        .context("the present component")?;
    let new = adapter_component(&of_file(section, &args.new))
        .await
        .context("the new component")?;
    line(&format!(
        "present  {} {}, sha256:{}, {}",
        old.name(),
        old.version(),
        old.digest(),
        path.display()
    ))?;
    line(&format!(
        "new      {} {}, sha256:{}, {}",
        new.name(),
        new.version(),
        new.digest(),
        args.new.display()
    ))?;
    if old.digest() == new.digest() {
        line("\nThey are the same: nothing is to be done.")?;
        return Ok(Exit::Ok);
    }
    let more = match judge(args, &config, section, pinned.as_ref(), old, &new).await? {
        Verdict::Fine { more } => more,
        Verdict::Refused(why) => {
            line(&format!("\nRefused, and nothing was changed: {}", plain(&why)))?;
            return Ok(Exit::Unhealthy);
        }
    };
    if args.dry_run {
        line("\nIt would be put in place.")?;
        return Ok(Exit::Ok);
    }
    let kept = replace(path, &args.new, new.digest())?;
    line(&format!(
        "\nIt is in place; the former one is kept as {}.",
        kept.display()
    ))?;
    line(how(pinned.is_some(), more))?;
    Ok(Exit::Ok)
}

/// The section, as if it named the file `path` and no digest.
fn of_file(section: &ComponentSection, path: &Path) -> ComponentSection {
    let adapter = AdapterSource::File {
        path: path.to_owned(),
        digest: None,
    };
    ComponentSection {
        adapter,
        ..section.clone()
    }
}

/// Compares the two, and tries the new one.
async fn judge(
    args: &Upgrade,
    config: &ClusterConfig,
    section: &ComponentSection,
    pinned: Option<&[u8; 32]>,
    old: AdapterComponent,
    new: &AdapterComponent,
) -> anyhow::Result<Verdict> {
    let refused = |why: String| Ok(Verdict::Refused(why));
    if old.name() != new.name() {
        let (old, new) = (old.name().to_owned(), new.name().to_owned());
        return refused(UpgradeError::Name { old, new }.to_string());
    }
    let told = Password::new(section.config.expose());
    let secrets: Vec<_> = section
        .secrets
        .iter()
        .map(|secret| Password::new(secret.expose()))
        .collect();
    let differences = match Differences::between(&old, new, &told, &secrets).await {
        Ok(differences) => differences,
        Err(error) => return refused(error.to_string()),
    };
    show(&differences)?;
    // Before the lines to add: a digest that stands there for a reason comes first.
    if let Some(pinned) = pinned
        && pinned != new.digest().as_bytes()
    {
        let digest = new.digest();
        return refused(format!(
            "[store.\"{}\"] pins the digest of another component, and nodes would not start with this one. If you \
             trust it, write\n\n  digest = \"sha256:{digest}\"\n\nthere, in the configuration of every node, and run \
             this again",
            section.id
        ));
    }
    let more = !differences.added.is_empty();
    let texts: Vec<_> = section.grants.iter().map(ToString::to_string).collect();
    let granted = Grants::parse(texts.iter().map(String::as_str))?;
    let missing: Vec<_> = match new.requires_masked(&told, &secrets).await {
        Ok(wanted) => granted
            .missing(&wanted)
            .iter()
            .map(|grant| format!("\"{grant}\""))
            .collect(),
        Err(error) => return refused(error.to_string()),
    };
    if !missing.is_empty() {
        return refused(format!(
            "it needs grants that it does not have; if you trust it with them, add to `allow` of [store.\"{}\"]: {}{}",
            section.id,
            missing.join(", "),
            if args.accept_grants {
                ""
            } else {
                ", and accept that it asks for more with --accept-grants"
            }
        ));
    }
    if more && !args.accept_grants {
        return refused(
            "it asks for more than the present one; look at it, then accept that with --accept-grants".to_owned(),
        );
    }
    line("\nTrying it in scratch namespaces …")?;
    let adapter = open_component(section, old, Namespace::new(&config.name)?).await;
    let adapter = adapter.context("the present component cannot be opened, so nothing can be tried beside it")?;
    let margin = Duration::from_millis(config.timing.margin);
    match adapter.upgrade(new.clone(), args.accept_grants, margin).await {
        Ok(_) => {
            line("It keeps the contract, and opens the cluster's own namespace.")?;
            Ok(Verdict::Fine { more })
        }
        Err(error @ UpgradeError::Open(_)) => Err(error.into()),
        Err(error) => refused(error.to_string()),
    }
}

fn show(differences: &Differences) -> anyhow::Result<()> {
    let added = differences.added.iter().map(|what| format!("  + {what}"));
    let removed = differences.removed.iter().map(|what| format!("  - {what}"));
    let lines: Vec<_> = added.chain(removed).collect();
    if lines.is_empty() {
        line("\nIt asks for the same as the present one.")?;
    } else {
        line(&format!(
            "\nWhat it asks for, compared with the present one:\n{}",
            lines.join("\n")
        ))?;
    }
    Ok(())
}

/// Puts a copy of `new` in the place of `path`, in one step, and keeps what was there. Returns where.
fn replace(path: &Path, new: &Path, digest: Digest) -> anyhow::Result<PathBuf> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
    let bytes = shardwright_files::read(new, MAX_FILE).with_context(|| new.display().to_string())?;
    if Digest::of(&bytes) != digest {
        bail!("{} has changed while it was tried: run this again", new.display());
    }
    let kept = path.with_extension("previous.wasm");
    let (fresh, aside) = (path.with_extension("wasm.new"), path.with_extension("wasm.old"));
    let put = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        fs::copy(&path, &aside)?;
        fs::rename(&aside, &kept)?;
        fs::rename(&fresh, &path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    put()
        .with_context(|| format!("{} cannot be replaced", path.display()))
        .inspect_err(|_| {
            // They may not be there.
            let _ = (fs::remove_file(&fresh), fs::remove_file(&aside));
        })?;
    Ok(kept)
}

/// How nodes take it up.
const fn how(pinned: bool, more: bool) -> &'static str {
    if pinned {
        "Nodes read `digest` when they start: start those that use this file again, one after the other."
    } else if more {
        "A node that runs never accepts more than before: start those that use this file again, one after the other."
    } else {
        "Send SIGHUP to the nodes that use this file, one after the other: each tries it once more, and goes on \
         without losing its shards. `shardwright coordinator status` shows the version that each runs."
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_file_behind_a_link_is_replaced_and_the_former_one_kept() {
        let temp = tempfile::tempdir().expect("a folder");
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("real")).expect("a folder");
        fs::write(at("real/a.wasm"), "old").expect("written");
        fs::set_permissions(at("real/a.wasm"), fs::Permissions::from_mode(0o640)).expect("set");
        symlink(at("real/a.wasm"), at("a.wasm")).expect("a link");
        fs::write(at("new"), "new").expect("written");
        let kept = replace(&at("a.wasm"), &at("new"), Digest::of(b"new")).expect("replaced");
        let read = |path: &Path| fs::read_to_string(path).expect("read");
        assert_eq!((read(&at("a.wasm")), read(&kept)), ("new".to_owned(), "old".to_owned()));
        assert!(kept.ends_with("real/a.previous.wasm"), "{kept:?}");
        let mode = fs::metadata(at("real/a.wasm")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(at("a.wasm").is_symlink());
        assert_eq!(
            fs::read_dir(at("real")).expect("read").count(),
            2,
            "nothing else is left"
        );
        let error = replace(&at("a.wasm"), &at("new"), Digest::of(b"other")).expect_err("changed");
        assert!(error.to_string().contains("has changed"), "{error}");
        assert_eq!(read(&at("a.wasm")), "new");
    }
}
