//! What can happen to the file, each with its own clear error, and nothing lost.

use crate::child::{Process, say};
use bytes::Bytes;
use rusqlite::Connection;
use shardwright_coordinator::{Bus, Delivery, Namespace, OpenError, SqliteCoordinator, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn namespace() -> Namespace {
    Namespace::new("n").expect("valid")
}

async fn try_open(path: &Path) -> Result<SqliteCoordinator, OpenError> {
    SqliteCoordinator::open(path, namespace()).await
}

pub(crate) async fn open(path: &Path) -> SqliteCoordinator {
    try_open(path).await.expect("opens")
}

async fn refusal(path: &Path) -> OpenError {
    match try_open(path).await {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => error,
    }
}

async fn put(store: &SqliteCoordinator, key: &str, size: usize) -> Result<Revision, StoreError<Bytes>> {
    store
        .put(key, Bytes::from(vec![7; size]), Expected::Any)
        .await
        .map(|written| written.revision)
}

/// The errors of a read and of a write.
async fn both(store: &SqliteCoordinator) -> [StoreError<Bytes>; 2] {
    [
        store.get("k").await.expect_err("a read"),
        put(store, "k", 1).await.expect_err("a write"),
    ]
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// A database as its last user leaves it: closed, all in one file.
async fn closed_store(path: &Path, keys: usize) {
    let store = open(path).await;
    for i in 0..keys {
        put(&store, &format!("k{i}"), 4000).await.expect("writes");
    }
    drop(store);
    // Its thread closes the file after the handle is gone.
    while beside(path, "-wal").exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn new_files_are_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("store")).await;
    put(&store, "k", 1).await.expect("writes");
    store.publish("t", Bytes::new()).await.expect("publishes");
    let files: Vec<_> = fs::read_dir(folder.path()).expect("lists").flatten().collect();
    assert_eq!(
        files.len(),
        7,
        "the store and the bus, their companions, the bell: {files:?}"
    );
    for file in files {
        assert_eq!(
            file.metadata().expect("stat").permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    closed_store(&path, 3).await;
    let store = open(&path).await;
    let listing = store.list("", Revision(0)).await.expect("lists");
    assert_eq!((listing.entries.len(), listing.revision), (3, Revision(3)));
    assert_eq!(put(&store, "k", 1).await, Ok(Revision(4)));
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_is_lost_history() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, suffix) in [("store", ""), ("wal", "-wal"), ("shm", "-shm")] {
        let path = folder.path().join(name);
        let store = open(&path).await;
        put(&store, "k", 1).await.expect("writes");
        let missing = beside(&path, suffix);
        fs::rename(&missing, beside(&path, ".away")).expect("moves");
        for error in both(&store).await {
            assert!(
                matches!(&error, StoreError::HistoryLost(text) if text.contains("deleted or replaced")),
                "{error:?}"
            );
        }
        fs::write(&missing, b"another").expect("writes");
        for error in both(&store).await {
            assert!(matches!(error, StoreError::HistoryLost(_)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_store_changed_in_place_is_lost_history() {
    let folder = tempfile::tempdir().expect("a folder");
    for (sql, says) in [
        ("UPDATE meta SET revision = 1", "went back from revision 2 to 1"),
        ("UPDATE meta SET history = zeroblob(16)", "another store"),
    ] {
        let path = folder.path().join(format!("store{}", says.len()));
        let store = open(&path).await;
        put(&store, "k", 1).await.expect("writes");
        put(&store, "k", 1).await.expect("writes");
        Connection::open(&path)
            .expect("opens")
            .execute_batch(sql)
            .expect("changes");
        for error in both(&store).await {
            assert!(
                matches!(&error, StoreError::HistoryLost(text) if text.contains(says)),
                "{error:?}"
            );
        }
    }
    let path = folder.path().join("boot");
    let store = open(&path).await;
    Connection::open(&path)
        .expect("opens")
        .execute_batch("UPDATE meta SET boot = 'elsewhere'")
        .expect("changes");
    for error in both(&store).await {
        assert!(
            matches!(&error, StoreError::Unavailable(text) if text.contains("another machine")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn files_of_something_else_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let check = async |error: OpenError, says: &str| {
        assert!(
            error.to_string().contains(says) && error.to_string().contains("file"),
            "{error}"
        );
    };
    let make = |sql: &str| {
        let _ = fs::remove_file(&path);
        Connection::open(&path)
            .expect("opens")
            .execute_batch(sql)
            .expect("makes");
        fs::read(&path).expect("reads")
    };
    for (sql, says) in [
        (
            "PRAGMA application_id = 252006674",
            "another program (application id 0x0f055112)",
        ),
        ("CREATE TABLE t (a)", "another program (application id 0x00000000)"),
        (
            "PRAGMA application_id = 0x53687772; PRAGMA user_version = 2",
            "format 2, this release knows only 1",
        ),
    ] {
        let before = make(sql);
        check(refusal(&path).await, says).await;
        assert_eq!(fs::read(&path).expect("reads"), before);
    }
    for garbage in [
        &b"this is no database at all, only a text that is long enough to be read as one, if it were"[..],
        &[0; 4096],
    ] {
        fs::write(&path, garbage).expect("writes");
        check(refusal(&path).await, "damaged or no database").await;
        assert_eq!(fs::read(&path).expect("reads"), garbage);
    }
    check(
        refusal(&folder.path().join("no/file")).await,
        "cannot hold the coordinator file",
    )
    .await;
    fs::create_dir(folder.path().join("file.d")).expect("makes");
    check(refusal(&folder.path().join("file.d")).await, "is itself a directory").await;
    check(refusal(Path::new("/proc/file")).await, "").await;
    assert!(matches!(
        refusal(Path::new("/proc/file")).await,
        OpenError::FileSystem { .. }
    ));
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    closed_store(&path, 50).await;
    let sound = fs::read(&path).expect("reads");
    let mut cut = sound.clone();
    cut.truncate(sound.len() / 2);
    let mut scratched = sound.clone();
    scratched[4096 * 3..4096 * 6].fill(0xaa);
    for damaged in [cut, scratched] {
        fs::write(&path, &damaged).expect("writes");
        let error = refusal(&path).await;
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    }
    fs::write(&path, &sound).expect("writes");
    assert_eq!(
        open(&path)
            .await
            .list("", Revision(0))
            .await
            .expect("lists")
            .entries
            .len(),
        50
    );
}

#[tokio::test]
async fn damage_under_way_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    closed_store(&path, 50).await;
    let (store, other) = (open(&path).await, open(&path).await);
    // Another's write makes the store read the file again.
    put(&other, "k", 1).await.expect("writes");
    // In place: the file stays the same one.
    let size = fs::metadata(&path).expect("stat").len() as usize;
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opens");
    file.write_all_at(&vec![0xaa; size - 4096], 4096).expect("writes");
    let error = store
        .list("", Revision(0))
        .await
        .map(|listing| listing.revision)
        .expect_err("damaged");
    assert!(
        matches!(&error, StoreError::Unavailable(text) if text.contains("damaged")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_bus_that_was_deleted_comes_back_with_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let (one, two) = (open(&path).await, open(&path).await);
    let mut subscription = two.subscribe(&["t"]).await.expect("subscribes");
    for file in fs::read_dir(folder.path()).expect("lists").flatten() {
        if file.file_name().to_string_lossy().contains("-bus-") {
            fs::remove_file(file.path()).expect("removes");
        }
    }
    assert_eq!(subscription.next(1).await.expect("news"), [Delivery::Gap { lost: 0 }]);
    one.publish("t", Bytes::from_static(b"again")).await.expect("publishes");
    assert_eq!(
        subscription.next(1).await.expect("news"),
        [Delivery::Message {
            topic: "t".into(),
            payload: Bytes::from_static(b"again")
        }]
    );
    put(&two, "k", 1).await.expect("the store is not concerned");
}

/// In a process of its own.
pub(crate) async fn play(role: &str, path: &Path) {
    match role {
        "open" => say(&match try_open(path).await {
            Ok(_) => "opened".into(),
            Err(error) => error.to_string(),
        }),
        "fill" => fill(path).await,
        other => panic!("no role {other}"),
    }
}

/// A user who may not write, if this is root: root may always. It runs a copy of this binary, which may lie where only
/// root can read.
struct OtherUser {
    folder: tempfile::TempDir,
}

impl OtherUser {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let copy = folder.path().join("test");
        fs::copy(std::env::current_exe().expect("this binary"), &copy).expect("copies");
        fs::set_permissions(copy, fs::Permissions::from_mode(0o755)).expect("chmod");
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("test"));
        command.current_dir(self.folder.path());
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    closed_store(&path, 1).await;
    let before = fs::read(&path).expect("reads");
    let other_user = OtherUser::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    for (of_folder, of_file) in [(0o777, 0o444), (0o555, 0o666), (0o555, 0o444)] {
        mode(&path, of_file);
        mode(folder.path(), of_folder);
        let said = Process::spawn(other_user.command(), "open", &path).rest();
        mode(folder.path(), 0o755);
        let expected = format!(
            "{} cannot be written: make the file and its directory writable for this user",
            path.display()
        );
        assert_eq!(said, [expected], "folder {of_folder:o}, file {of_file:o}");
    }
    mode(folder.path(), 0o555);
    let said = Process::spawn(other_user.command(), "open", &folder.path().join("new")).rest();
    mode(folder.path(), 0o755);
    assert!(said[0].contains("new cannot be written"), "{said:?}");
    assert_eq!(fs::read(&path).expect("reads"), before);
}

/// In a process with a small disk of its own.
async fn fill(path: &Path) {
    let disk = path.parent().expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "none"])
        .arg(disk)
        .status()
        .expect("mount");
    assert!(mounted.success());
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 1_000_000]).expect("writes");
    let store = open(path).await;
    let mut last = Revision(0);
    let (mut stored, error) = (
        0,
        loop {
            match put(&store, &format!("k{}", last.0), 30_000).await {
                Ok(revision) => last = revision,
                Err(error) => break error,
            }
        },
    );
    assert!(last.0 > 3, "only {} fitted", last.0);
    assert!(
        matches!(&error, StoreError::Unavailable(text) if text.contains("is full: free some space")),
        "{error:?}"
    );
    let listing = store.list("", Revision(0)).await.expect("lists");
    assert_eq!(
        (listing.entries.len() as u64, listing.revision),
        (last.0, last),
        "what was acknowledged is there, and nothing else"
    );
    stored += listing
        .entries
        .iter()
        .filter(|(_, entry)| entry.value == vec![7; 30_000])
        .count();
    assert_eq!(stored as u64, last.0);
    fs::remove_file(&ballast).expect("frees");
    assert_eq!(
        put(&store, "again", 30_000).await,
        Ok(Revision(last.0 + 1)),
        "it goes on when there is space again"
    );
    let left = fs::write(&ballast, vec![1; 4_000_000]).expect_err("fills");
    assert_eq!(left.kind(), std::io::ErrorKind::StorageFull);
    let error = refusal(&disk.join("new")).await;
    assert!(matches!(error, OpenError::Full { .. }), "{error:?}");
    say("done");
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().expect("this binary"));
    assert_eq!(
        Process::spawn(unshare, "fill", &folder.path().join("store")).rest(),
        ["done"],
        "this needs unshare and user namespaces"
    );
}
