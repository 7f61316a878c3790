//! How connections to the servers are secured, and which part of that failed.

use crate::broker::{BrokerError, NOT_PINNED, Pinned, Tls, is_authority};
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use async_nats::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use std::sync::Arc;

/// The configuration of rustls that `tls` asks for. It is used whenever a server or an address wants TLS.
///
/// # Errors
/// `Invalid`, naming the key and the file.
pub(super) fn configure(tls: &Tls) -> Result<ClientConfig, BrokerError> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| BrokerError::Invalid(format!("{what}: {why}"));
    let provider = Arc::new(ring::default_provider());
    let name = match &tls.server_name {
        None => None,
        Some(name) => Some(ServerName::try_from(name.clone()).map_err(|error| invalid("tls.server-name", &error))?),
    };
    let (roots, pinned) = roots(tls)?;
    // Nothing is less strict than usual but for what is pinned; at most it is judged by another name.
    let verifier = Pinned::new(roots, pinned, name, provider.clone()).map_err(|why| invalid("tls.ca", &why))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("tls", &error))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificate, key)) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate.load("tls.certificate")?.expose())
        .map_err(|error| invalid("tls.certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(key.load("tls.key")?.expose().as_bytes())
        .map_err(|error| invalid("tls.key", &error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| invalid("tls.certificate and tls.key", &error))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// The authorities to trust, and those of `tls.ca` as certificates that servers may have themselves.
fn roots(tls: &Tls) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), BrokerError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &tls.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok((roots, Vec::new()));
    };
    let invalid = |why: String| BrokerError::Invalid(format!("tls.ca: {why}"));
    let found = certificates(ca.load("tls.ca")?.expose()).map_err(invalid)?;
    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|error| invalid(error.to_string()))?;
    }
    Ok((roots, found))
}

/// What a failed handshake means to whoever configures it; `None` if `error` is no matter of TLS.
pub(super) fn explain(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it wraps from `source`.
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inside
            .and_then(|inside| inside.downcast_ref::<Error>())
            .or_else(|| error.downcast_ref())
        {
            return Some(meaning(tls));
        }
        next = inside.map(|inside| inside as _).or_else(|| error.source());
    }
    None
}

fn meaning(error: &Error) -> String {
    let remedy = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the server's certificate is not from an authority that is trusted: set tls.ca to the authority that \
             issued it"
        }
        Error::InvalidCertificate(error) if is_authority(error) => NOT_PINNED,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name: use that name in the address, or set tls.server-name to it",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate: set tls.certificate and tls.key"
        }
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateExpired,
        ) => {
            "the server does not accept the client certificate, or misses it: set tls.certificate and tls.key to one \
             that its authority issued"
        }
        Error::InvalidMessage(_) => "the server does not speak TLS: turn it on there, or use nats:// without tls",
        _ => return error.to_string(),
    };
    format!("{remedy} ({error})")
}
