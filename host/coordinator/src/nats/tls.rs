//! How connections to the servers are secured, and which part of that failed.

use crate::broker::{BrokerError, Tls};
use async_nats::rustls::client::WebPkiServerVerifier;
use async_nats::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use async_nats::rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// The configuration of rustls that `tls` asks for. It is used whenever a server or an address wants TLS.
///
/// # Errors
/// `Invalid`, naming the key and the file.
pub(super) fn configure(tls: &Tls) -> Result<ClientConfig, BrokerError> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| BrokerError::Invalid(format!("{what}: {why}"));
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(tls)?), provider.clone())
        .build()
        .map_err(|error| invalid("tls.ca", &error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("tls", &error))?;
    let name = match &tls.server_name {
        None => None,
        Some(name) => Some(ServerName::try_from(name.clone()).map_err(|error| invalid("tls.server-name", &error))?),
    };
    // Nothing is less strict than usual: the same verifier judges, at most by another name.
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { verifier, name }));
    let Some((certificate, key)) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate.load("tls.certificate")?.expose()).map_err(|error| invalid("tls.certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(key.load("tls.key")?.expose().as_bytes()).map_err(|error| invalid("tls.key", &error))?;
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

fn roots(tls: &Tls) -> Result<RootCertStore, BrokerError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &tls.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let invalid = |why: String| BrokerError::Invalid(format!("tls.ca: {why}"));
    for certificate in certificates(ca.load("tls.ca")?.expose()).map_err(invalid)? {
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(roots)
}

/// Judges the certificate of a server by the usual rules, by the name that was configured if there is one.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(name);
        self.verifier.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
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
            "the server's certificate is not from an authority that is trusted: set tls.ca to the authority that issued it"
        }
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: use that name in the address, or set tls.server-name to it"
        }
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
            "the server does not accept the client certificate, or misses it: set tls.certificate and tls.key to one that its authority issued"
        }
        Error::InvalidMessage(_) => "the server does not speak TLS: turn it on there, or use nats:// without tls",
        _ => return error.to_string(),
    };
    format!("{remedy} ({error})")
}
