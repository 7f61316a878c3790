//! A hint that there is news: a publisher writes one byte into a file, and every process that watches the file wakes
//! up.
//!
//! Nothing rests on it. Whoever misses it, because a publisher was killed before it rang or because the kernel has no
//! watch to give, looks by itself a little later.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a subscriber sleeps at most when the bell works.
const WATCHED: Duration = Duration::from_millis(250);
/// And when it does not.
const UNWATCHED: Duration = Duration::from_millis(10);

/// The file that is rung, and this process's watch on it.
pub(super) struct FileNotifier {
    file: File,
    watch: Option<OwnedFd>,
}

impl FileNotifier {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // A pipe in its place would wait for a reader; for a regular file the flag means nothing.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Self {
            file,
            watch: watch(path),
        })
    }

    /// Wakes the watchers. Call it after the news can be read.
    pub(super) fn ring(&self) {
        // A bell that does not ring costs the listeners some milliseconds, not the message.
        let _ = self.file.write_at(b"!", 0);
    }
}

#[cfg(target_os = "linux")]
fn watch(path: &Path) -> Option<OwnedFd> {
    use rustix::fs::inotify;
    let watched = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)
        .and_then(|fd| inotify::add_watch(&fd, path, inotify::WatchFlags::MODIFY).map(|_| fd));
    if let Err(error) = &watched {
        tracing::warn!(
            "no inotify watch ({error}): the bus looks for news every {} ms",
            UNWATCHED.as_millis()
        );
    }
    watched.ok()
}

#[cfg(not(target_os = "linux"))]
fn watch(_path: &Path) -> Option<OwnedFd> {
    None
}

/// Wakes the thread of this process that sleeps in [`Waiter::sleep`].
#[derive(Clone)]
pub(super) struct Waker(Arc<UnixStream>);

impl Waker {
    pub(super) fn wake(&self) {
        // A full pipe means that it is about to wake anyway.
        let _ = (&*self.0).write(&[1]);
    }
}

/// The end that sleeps.
pub(super) struct Waiter(UnixStream);

/// A pair of waker and sleeper.
pub(super) fn pair() -> io::Result<(Waker, Waiter)> {
    let (waker, sleeper) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    sleeper.set_nonblocking(true)?;
    Ok((Waker(Arc::new(waker)), Waiter(sleeper)))
}

impl Waiter {
    /// Sleeps until woken; with `listen`, also until the bell rings or it is time to look anyway.
    pub(super) fn sleep(&self, bell: Option<&FileNotifier>, listen: bool) {
        let watch = bell.and_then(|bell| bell.watch.as_ref()).filter(|_| listen);
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(watch.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let limit = if watch.is_some() || bell.is_none() {
            WATCHED
        } else {
            UNWATCHED
        };
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        // An interrupted sleep is a short one: the caller looks and comes back.
        let _ = poll(&mut fds, listen.then_some(&limit));
        let mut buffer = [0; 4096];
        while (&self.0).read(&mut buffer).is_ok_and(|n| n == buffer.len()) {}
        if let Some(watch) = watch {
            while rustix::io::read(watch, &mut buffer).is_ok_and(|n| n > 0) {}
        }
    }
}
