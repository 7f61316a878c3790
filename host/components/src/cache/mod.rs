//! Compiled code on disk, so that a restart need not compile again.
//!
//! An entry is named by the component's digest and by everything of the engine that compiled code depends on:
//! Wasmtime's version, the processor, the settings. It begins with a checksum of itself, so a torn or changed file is
//! noticed; then, and whenever anything else is wrong with an entry, the component is compiled as if there were none.
//! An entry comes into being by a rename: readers see all of it or nothing.
//!
//! Loading compiled code means trusting it. So the directory must belong to the user of this process and nobody else
//! may write to it; otherwise it is refused. Who can write there could as well replace this program. The directory is
//! held open from the moment it is checked, and entries are opened in it and checked in the same way: what its path
//! leads to later, or a link in it, does not matter.

mod directory;
mod trusted;

use crate::Digest;
use directory::Directory;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What every entry begins with; the checksum of the rest follows.
const MAGIC: &[u8; 8] = b"swcode01";
const HEADER: usize = MAGIC.len() + 32;

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache(Directory);

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
    /// It is a link, which may lead elsewhere tomorrow.
    #[error("the code cache {path} is a symbolic link: name the directory that it leads to")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Others could put code there.
    #[error(
        "the code cache {path} must belong to the user of this process, and nobody else may write to it: chown it, \
         and chmod go-w"
    )]
    Untrusted {
        /// The directory.
        path: PathBuf,
    },
}

impl Cache {
    /// The cache in `directory`, which is created if need be.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, CacheError> {
        Directory::open(&directory).map(Self)
    }

    /// The compiled component of this digest, if there is one for this engine.
    pub(crate) fn get(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let entry = self.0.read(&name(engine, digest)).ok()?;
        let (header, code) = entry.split_at_checked(HEADER)?;
        let intact = header.starts_with(MAGIC) && &header[MAGIC.len()..] == Digest::of(code).as_bytes();
        if intact { trusted::load(engine, code) } else { None }
    }

    /// Keeps a compiled component. That this fails harms nothing: it will be compiled again.
    pub(crate) fn put(&self, engine: &Engine, digest: &Digest, component: &Component) {
        if let Ok(code) = component.serialize() {
            // Nobody can do anything about a full disk here, and nothing is lost.
            let _ = self
                .0
                .write(&name(engine, digest), &[MAGIC, Digest::of(&code).as_bytes(), &code]);
        }
    }
}

/// The name of an entry.
fn name(engine: &Engine, digest: &Digest) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.code", hasher.finish())
}
