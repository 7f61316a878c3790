//! The local file, opened anew after it was lost.
//!
//! A file that was deleted or replaced stays lost to those who have it open: every operation fails with `HistoryLost`, so nothing that was
//! decided on the old file can reach the new one. The engine then drops everything and begins again by reading [`Key::Meta`], which tells
//! it whose history it has before it. That reading, and no other operation, opens what is there now.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{Bus, BusError, Coordinator, Namespace, OpenError, SqliteCoordinator, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use shardwright_core::values::Key;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The coordinator in a local file, for as long as the node lives.
pub(crate) struct Reopening {
    path: PathBuf,
    namespace: Namespace,
    present: RwLock<Arc<SqliteCoordinator>>,
    lost: AtomicBool,
}

impl Reopening {
    pub(crate) async fn open(path: PathBuf, namespace: Namespace) -> Result<Self, OpenError> {
        let present = RwLock::new(Arc::new(SqliteCoordinator::open(&path, namespace.clone()).await?));
        Ok(Self {
            path,
            namespace,
            present,
            lost: AtomicBool::new(false),
        })
    }

    // The lock guards one pointer, sound at any moment.
    fn present(&self) -> Arc<SqliteCoordinator> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the file that is there now, if the one that is open is lost.
    async fn renew(&self) -> Result<(), StoreError<Bytes>> {
        if !self.lost.load(Ordering::Acquire) {
            return Ok(());
        }
        let fresh = SqliteCoordinator::open(&self.path, self.namespace.clone()).await;
        let fresh = fresh.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.lost.store(false, Ordering::Release);
        tracing::info!(path = %self.path.display(), "opened the coordinator file anew");
        Ok(())
    }

    fn note<T>(&self, of: &Arc<SqliteCoordinator>, outcome: Result<T, StoreError<Bytes>>) -> Result<T, StoreError<Bytes>> {
        // A late word about a file that is closed already is no news of the present one.
        if matches!(outcome, Err(StoreError::HistoryLost(_))) && Arc::ptr_eq(of, &self.present()) {
            self.lost.store(true, Ordering::Release);
        }
        outcome
    }
}

#[async_trait]
impl Store for Reopening {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        if Key::parse(key) == Some(Key::Meta) {
            self.renew().await?;
        }
        let file = self.present();
        self.note(&file, file.get(key).await)
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let file = self.present();
        self.note(&file, file.list(prefix, since).await)
    }

    async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        let file = self.present();
        self.note(&file, file.put(key, value, expected).await)
    }

    async fn put_heard(&self, key: &str, value: Bytes, expected: Expected, heard: StoreTime) -> Result<Written, StoreError<Bytes>> {
        let file = self.present();
        self.note(&file, file.put_heard(key, value, expected, heard).await)
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        let file = self.present();
        self.note(&file, file.delete(key, expected).await)
    }
}

#[async_trait]
impl Bus for Reopening {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.present().publish(topic, payload).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.present().subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for Reopening {
    fn kind(&self) -> &'static str {
        self.present().kind()
    }

    fn location(&self) -> String {
        self.present().location()
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.present().erase().await
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[tokio::test]
    async fn only_reading_meta_opens_what_is_there_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let namespace = Namespace::new("test").expect("a name");
        let file = Reopening::open(path.clone(), namespace).await.expect("opens");
        let put = || file.put("ids/1", Bytes::from_static(b"x"), Expected::Absent);
        put().await.expect("writes");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(folder.path().join(format!("store{suffix}"))).expect("removes");
        }
        for _ in 0..3 {
            assert!(matches!(put().await, Err(StoreError::HistoryLost(_))));
            assert!(matches!(file.list("", Revision(0)).await, Err(StoreError::HistoryLost(_))));
            assert!(matches!(file.get("leader").await, Err(StoreError::HistoryLost(_))));
        }
        let reading = file.get("meta").await.expect("opens anew");
        assert_eq!(reading.entry, None);
        assert!(file.list("", Revision(0)).await.expect("lists").entries.is_empty());
        put().await.expect("writes to the new file");
    }
}
