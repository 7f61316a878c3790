//! A certificate authority of a test's own.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// An authority, its certificate, and those that it gave out, in a folder that is deleted with the last clone.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    given: AtomicU32,
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
        let folder = tempfile::Builder::new().prefix("shardwright-authority-").tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Shardwright test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        write(&folder.path().join(CA), &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self(Arc::new(Inner {
            folder,
            issuer,
            given: AtomicU32::new(0),
        })))
    }

    /// The file with the authority's own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.0.folder.path().join(CA)
    }

    /// A server's certificate for these host names and IP addresses.
    ///
    /// # Errors
    /// A name is none, or the files cannot be written.
    pub fn server(&self, names: &[&str]) -> Result<Certificate> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let common = names.first().cloned().unwrap_or_default();
        self.give(CertificateParams::new(names)?, &common, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate with this common name.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn client(&self, name: &str) -> Result<Certificate> {
        self.give(CertificateParams::default(), name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn give(&self, mut params: CertificateParams, common_name: &str, usage: ExtendedKeyUsagePurpose) -> Result<Certificate> {
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

/// For the owner alone: PostgreSQL takes no key that others can read.
fn write(path: &Path, pem: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(pem.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
