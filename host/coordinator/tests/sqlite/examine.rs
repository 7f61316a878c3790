//! What the doctor finds about a file.

use crate::files::open;
use rusqlite::Connection;
use shardwright_coordinator::{Coordinator, Finding, Store, Verdict};
use shardwright_core::store::Revision;
use std::fs;

fn named<'f>(findings: &'f [Finding], name: &str) -> &'f Finding {
    let found = findings.iter().find(|finding| finding.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {findings:?}"))
}

#[tokio::test]
async fn a_sound_file_is_looked_at_and_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = open(&folder.path().join("store")).await;
    let before = file.list("", Revision(0)).await.expect("lists");
    let findings = file.examine().await;
    for name in ["file system", "free space", "journal", "clock", "lock"] {
        let finding = named(&findings, name);
        // A test may run in memory or in a container, and on a full or busy disk.
        assert_ne!(finding.verdict, Verdict::Bad, "{finding:?}");
        assert_eq!(
            finding.remedy.is_some(),
            finding.verdict != Verdict::Good,
            "{finding:?}"
        );
    }
    assert!(
        named(&findings, "journal")
            .detail
            .contains("journal_mode=wal, synchronous=2")
    );
    assert!(named(&findings, "lock").detail.contains("µs"));
    let after = file.list("", Revision(0)).await.expect("lists");
    assert_eq!((after.entries, after.revision), (before.entries, before.revision));
}

#[tokio::test]
async fn a_file_that_was_taken_away_is_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let file = open(&path).await;
    fs::remove_file(&path).expect("removes");
    let findings = file.examine().await;
    for name in ["journal", "lock"] {
        let finding = named(&findings, name);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.detail.contains("deleted or replaced"), "{finding:?}");
    }
}

#[tokio::test]
async fn times_that_look_odd_are_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(open(&path).await);
    let other = Connection::open(&path).expect("opens");
    // As after a start of the machine with its clock set an hour ahead.
    other
        .execute("UPDATE meta SET clock = clock + 3600000", ())
        .expect("updates");
    drop(other);
    let findings = open(&path).await.examine().await;
    let clock = named(&findings, "clock");
    assert_eq!(clock.verdict, Verdict::Warning, "{clock:?}");
}
