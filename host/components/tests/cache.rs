//! Compiled code on disk: used when it is good, made anew when it is not.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use shardwright_components::{Budget, EngineError, PolicyComponent, PolicyEngine, bundled};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

fn load(cache: &Path) -> PolicyComponent {
    let engine = PolicyEngine::new(Some(cache.to_owned())).expect("a cache of its own");
    PolicyComponent::load(&engine, bundled::STATIC_GROUPS.bytes, &Budget::default())
        .expect("loads with or without a cache")
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache)
        .expect("the cache")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn an_entry_is_written_once_and_read_afterwards() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("code");
    load(&cache);
    let [entry] = &entries(&cache)[..] else {
        panic!("one component, one entry")
    };
    assert_eq!(
        fs::metadata(entry).expect("it is there").permissions().mode() & 0o777,
        0o600
    );
    let written = fs::metadata(entry).and_then(|m| m.modified()).expect("a time");
    load(&cache);
    assert_eq!(
        fs::metadata(entry).and_then(|m| m.modified()).expect("a time"),
        written,
        "not written again"
    );
    assert_eq!(entries(&cache).len(), 1);
}

#[test]
fn a_damaged_entry_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("code");
    load(&cache);
    let entry = entries(&cache).remove(0);
    let good = fs::read(&entry).expect("the entry");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&good[..good.len() / 2], b"", &flipped, b"swcode01 and something else"] {
        fs::write(&entry, damaged).expect("written");
        load(&cache);
        let mended = fs::read(&entry).expect("the entry");
        assert_eq!(mended.len(), good.len(), "compiled and written again");
        assert_ne!(mended, damaged);
    }
}

/// What others may have put, or changed, is not run, though all its bytes are right.
#[test]
fn an_entry_that_is_not_ours_alone_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("code");
    load(&cache);
    let entry = entries(&cache).remove(0);
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).expect("moved");
    symlink(&elsewhere, &entry).expect("a link");
    load(&cache);
    assert!(
        fs::symlink_metadata(&entry).expect("it is there").is_file(),
        "a link was followed"
    );
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o620)).expect("permitted");
    load(&cache);
    assert_eq!(
        fs::metadata(&entry).expect("it is there").permissions().mode() & 0o777,
        0o600
    );
    fs::remove_file(&entry).expect("removed");
    mknodat(CWD, &entry, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    load(&cache);
    assert!(
        fs::symlink_metadata(&entry).expect("it is there").is_file(),
        "a pipe was waited for"
    );
    // Only the superuser can give a file away.
    let owner = fs::metadata(&entry).expect("it is there").uid();
    if chown(&entry, Some(owner + 1), None).is_ok() {
        load(&cache);
        assert_eq!(
            fs::metadata(&entry).expect("it is there").uid(),
            owner,
            "it was made anew"
        );
    }
    assert_eq!(entries(&cache).len(), 1, "nothing is left behind");
}

#[test]
fn the_directory_that_was_checked_is_the_one_that_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let (cache, away) = (directory.path().join("code"), directory.path().join("away"));
    let engine = PolicyEngine::new(Some(cache.clone())).expect("a cache of its own");
    fs::rename(&cache, &away).expect("moved");
    fs::create_dir(&cache).expect("another in its place");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("permitted");
    PolicyComponent::load(&engine, bundled::STATIC_GROUPS.bytes, &Budget::default()).expect("loads");
    assert_eq!((entries(&cache).len(), entries(&away).len()), (0, 1));
}

#[test]
fn a_link_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let link = directory.path().join("link");
    symlink(directory.path(), &link).expect("a link");
    for path in [link.clone(), link.join("")] {
        let error = PolicyEngine::new(Some(path)).expect_err("it may lead elsewhere tomorrow");
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    }
}

#[test]
fn an_engine_with_fuel_has_entries_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("code");
    load(&cache);
    let engine = PolicyEngine::new(Some(cache.clone())).expect("a cache");
    let fuelled = Budget {
        fuel: Some(1_000_000_000),
        ..Budget::default()
    };
    PolicyComponent::load(&engine, bundled::STATIC_GROUPS.bytes, &fuelled).expect("loads");
    assert_eq!(entries(&cache).len(), 2);
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("permitted");
    let error = PolicyEngine::new(Some(directory.path().to_owned())).expect_err("not safe");
    assert!(
        matches!(error, EngineError::Cache(_)) && error.to_string().contains("chmod"),
        "{error}"
    );
}

#[test]
fn a_file_is_no_directory() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(matches!(
        PolicyEngine::new(Some(file.path().to_owned())),
        Err(EngineError::Cache(_))
    ));
}
