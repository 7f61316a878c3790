//! A certificate authority of a test's own.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority, its certificate, and those that it gave out, in a folder that is deleted with the last clone.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    given: AtomicU32,
    /// Its own certificate, if that is also the server's.
    alone: Option<Certificate>,
}

/// A certificate and its key, as files in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key, in PKCS #8.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; nobody trusts it but who is told.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Shardwright test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self::of(params, false)
    }

    /// A server that is its own authority, as `openssl req -x509` makes it: one certificate for these names that
    /// signs itself, and is marked as an authority's.
    ///
    /// # Errors
    /// A name is none, or the folder cannot be written.
    pub fn alone(names: &[&str]) -> Result<Self> {
        Self::of(lone(names)?, true)
    }

    /// As [`Self::alone`], and over long ago.
    ///
    /// # Errors
    /// As [`Self::alone`].
    pub fn alone_and_expired(names: &[&str]) -> Result<Self> {
        let mut params = lone(names)?;
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Self::of(params, true)
    }

    fn of(mut params: CertificateParams, alone: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("shardwright-authority-").tempdir()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let own = Certificate {
            certificate: folder.path().join(CA),
            key: folder.path().join("ca.key.pem"),
        };
        write(&own.certificate, &params.self_signed(&key)?.pem())?;
        write(&own.key, &key.serialize_pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self(Arc::new(Inner {
            folder,
            issuer,
            given: AtomicU32::new(0),
            alone: alone.then_some(own),
        })))
    }

    /// The file with the authority's own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.0.folder.path().join(CA)
    }

    /// A server's certificate for these host names and IP addresses; that of one that is alone is the only one it has.
    ///
    /// # Errors
    /// A name is none, or the files cannot be written.
    pub fn server(&self, names: &[&str]) -> Result<Certificate> {
        if let Some(own) = &self.0.alone {
            return Ok(own.clone());
        }
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let common = names.first().cloned().unwrap_or_default();
        self.give(
            CertificateParams::new(names)?,
            &common,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// A client's certificate with this common name.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn client(&self, name: &str) -> Result<Certificate> {
        self.give(CertificateParams::default(), name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn give(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Certificate> {
        params.distinguished_name.push(DnType::CommonName, common_name);
        // Brokers of a cluster are each other's clients with their server certificate.
        params.extended_key_usages = if usage == ExtendedKeyUsagePurpose::ServerAuth {
            vec![usage, ExtendedKeyUsagePurpose::ClientAuth]
        } else {
            vec![usage]
        };
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.0.issuer)?;
        let number = self.0.given.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.0.folder.path().join(format!("{number}.{kind}.pem"));
        let certificate = Certificate {
            certificate: file("certificate"),
            key: file("key"),
        };
        write(&certificate.certificate, &signed.pem())?;
        write(&certificate.key, &key.serialize_pem())?;
        Ok(certificate)
    }
}

const CA: &str = "ca.pem";

/// All such have one common name: only their keys tell them apart.
fn lone(names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "a server");
    Ok(params)
}

/// For the owner alone: PostgreSQL takes no key that others can read.
fn write(path: &Path, pem: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(pem.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
