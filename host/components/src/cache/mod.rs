//! Compiled code on disk, so that a restart need not compile again.
//!
//! An entry is named by the component's digest and by everything of the engine that compiled code depends on: Wasmtime's version, the processor,
//! the settings. It begins with a checksum of itself, so a torn or changed file is noticed; then, and whenever anything else is wrong
//! with an entry, the component is compiled as if there were none. An entry comes into being by a rename: readers see all of it or nothing.
//!
//! Loading compiled code means trusting it. So the directory must belong to the user of this process and nobody else may write to it;
//! otherwise it is refused. Who can write there could as well replace this program.

mod trusted;

use crate::Digest;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// What every entry begins with; the checksum of the rest follows.
const MAGIC: &[u8; 8] = b"swcode01";
const HEADER: usize = MAGIC.len() + 32;

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

/// Why a directory cannot be a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be created or read.
    #[error("the code cache {path} cannot be used: {source}; choose another directory or none")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others could put code there.
    #[error("the code cache {path} must belong to the user of this process, and nobody else may write to it: chown it, and chmod go-w")]
    Untrusted {
        /// The directory.
        path: PathBuf,
    },
}

impl Cache {
    /// The cache in `directory`, which is created if need be.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io {
            path: directory.clone(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(io)?;
        let metadata = std::fs::metadata(&directory).map_err(io)?;
        if !metadata.is_dir() {
            return Err(io(std::io::ErrorKind::NotADirectory.into()));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(CacheError::Untrusted { path: directory });
        }
        Ok(Self { directory })
    }

    /// The compiled component of this digest, if there is one for this engine.
    pub(crate) fn get(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let entry = std::fs::read(self.path(engine, digest)).ok()?;
        let (header, code) = entry.split_at_checked(HEADER)?;
        let intact = header.starts_with(MAGIC) && &header[MAGIC.len()..] == Digest::of(code).as_bytes();
        if intact { trusted::load(engine, code) } else { None }
    }

    /// Keeps a compiled component. That this fails harms nothing: it will be compiled again.
    pub(crate) fn put(&self, engine: &Engine, digest: &Digest, component: &Component) {
        // Nobody can do anything about a full disk here, and nothing is lost.
        let _ = component
            .serialize()
            .map_err(std::io::Error::other)
            .and_then(|code| self.write(&self.path(engine, digest), &code));
    }

    fn write(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        // Readable and writable by its owner only, as temporary files are.
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(MAGIC)?;
        file.write_all(Digest::of(code).as_bytes())?;
        file.write_all(code)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.directory.join(format!("{digest}-{:016x}.code", hasher.finish()))
    }
}
