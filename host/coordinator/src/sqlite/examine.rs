//! A look at the file for `shardwright coordinator doctor`. It changes nothing.

use super::store::View;
use super::{SqliteCoordinator, filesystem};
use crate::clock;
use crate::finding::Finding;
use shardwright_core::human::Span;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the lock is taken to see how long that takes.
const TRIES: usize = 20;
/// Less free space than this is soon none.
const LITTLE: u64 = 256 << 20;
/// With less free space than this the log of one busy minute may not fit.
const NONE: u64 = 16 << 20;
/// A lock that takes this long delays renewals.
const SLOW: Duration = Duration::from_millis(500);
/// By how many milliseconds the store's clock may be off the wall clock before times look odd to people.
const ODD: u64 = 60_000;

/// What the store's thread knows.
pub(super) struct Settings {
    pub(super) journal: String,
    pub(super) synchronous: i64,
    pub(super) now: u64,
}

pub(super) async fn examine(file: &SqliteCoordinator) -> Vec<Finding> {
    let folder = file.path.parent().unwrap_or(&file.path);
    let mut found = vec![file_system(folder), space(folder)];
    match file.ask(false, |view: &mut View<'_>| view.settings().map(Ok)).await {
        Ok(settings) => found.extend([journal(&settings), clock_of(&settings)]),
        Err(error) => found.push(Finding::bad(
            "journal",
            error.to_string(),
            "stop the nodes and look at the file",
        )),
    }
    found.push(lock(file).await);
    found
}

fn file_system(folder: &Path) -> Finding {
    match filesystem::name(folder) {
        Ok(kind @ ("tmpfs" | "ramfs")) => Finding::warning(
            "file system",
            format!("{} is on {kind}, in memory", folder.display()),
            "after a restart of the machine the cluster begins anew, ids included: use a directory on a disk to keep \
             them",
        ),
        Ok(kind @ "overlayfs") => Finding::warning(
            "file system",
            format!("{} is on {kind}, as in a container", folder.display()),
            "it goes with its container, and other containers do not see it: use a volume",
        ),
        Ok(kind) => Finding::good(
            "file system",
            format!("{} is on {kind}, whose locks work", folder.display()),
        ),
        Err(error) => Finding::bad(
            "file system",
            error.to_string(),
            "use a directory on a local disk; for several machines use a server",
        ),
    }
}

fn space(folder: &Path) -> Finding {
    let free = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return Finding::warning("free space", format!("unknown: {error}"), "look at the disk"),
    };
    let detail = format!("{} MiB on {}", free >> 20, folder.display());
    let remedy = "free some: without space no session can be renewed, and the nodes stop acting";
    if free < NONE {
        Finding::bad("free space", detail, remedy)
    } else if free < LITTLE {
        Finding::warning("free space", detail, remedy)
    } else {
        Finding::good("free space", detail)
    }
}

fn journal(settings: &Settings) -> Finding {
    let Settings {
        journal, synchronous, ..
    } = settings;
    let detail = format!("journal_mode={journal}, synchronous={synchronous}");
    if journal == "wal" && *synchronous >= 2 {
        Finding::good(
            "journal",
            format!("{detail}: what was acknowledged survives a loss of power"),
        )
    } else {
        Finding::bad(
            "journal",
            detail,
            "something has changed the file's mode: stop the nodes, and start them again",
        )
    }
}

fn clock_of(settings: &Settings) -> Finding {
    let off = settings.now.abs_diff(clock::wall());
    let detail = format!("{} off the wall clock; no step of the wall clock moves it", Span(off));
    if off > ODD {
        let remedy = "nothing is at risk; times in the registry look odd until the machine is restarted with its \
                      clock set right";
        Finding::warning("clock", detail, remedy)
    } else {
        Finding::good("clock", detail)
    }
}

/// Takes the lock for writing, as every renewal does, and writes nothing.
async fn lock(file: &SqliteCoordinator) -> Finding {
    let mut took = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let begun = Instant::now();
        if let Err(error) = file.ask(true, |_| Ok(Ok(()))).await {
            return Finding::bad(
                "lock",
                error.to_string(),
                "see what holds the file: `fuser` or `lsof` name the processes",
            );
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let (middle, worst) = (took[TRIES / 2], took[TRIES - 1]);
    let detail = format!(
        "taken and given back in {} µs p50, {} µs at worst",
        middle.as_micros(),
        worst.as_micros()
    );
    if worst > SLOW {
        let remedy = "the disk or the machine is overloaded: renewals come late, and nodes may stop acting for a while";
        Finding::warning("lock", detail, remedy)
    } else {
        Finding::good("lock", detail)
    }
}
