//! TLS for what has no TLS of its own, and which of the three things does not fit when it fails.

use super::pinned::{NOT_PINNED, Pinned, is_authority};
use super::{BrokerError, Pem, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use std::error::Error;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How to secure the connections of a coordinator: authorities, our certificate, the server's name.
#[derive(Clone)]
pub struct Security {
    connector: TlsConnector,
    /// The name that the certificate must have, if not the host's.
    name: Option<ServerName<'static>>,
}

opaque!(Security);

impl Security {
    /// Reads what `tls` names.
    ///
    /// # Errors
    /// `Invalid`: a file that cannot be read, holds no certificate, or a key that does not fit.
    pub fn new(tls: &Tls) -> Result<Self, BrokerError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let invalid = |what: &str, error: &dyn Error| BrokerError::Invalid(format!("{what}: {error}"));
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| invalid("tls", &error))?;
        let builder = match &tls.ca {
            None => builder.with_root_certificates(system()?),
            Some(ca) => {
                let (roots, pinned) = roots(ca)?;
                let verifier = Pinned::new(roots, pinned, None, provider)
                    .map_err(|why| BrokerError::Invalid(format!("tls.ca: {why}")))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "tls.certificate")?;
                let key = key.load("tls.key")?;
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                    .map_err(|error| invalid("tls.key", &error))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| invalid("tls.certificate and tls.key", &error))?
            }
        };
        let name = match &tls.server_name {
            None => None,
            Some(name) => Some(server_name(name)?),
        };
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, name })
    }

    /// Secures `stream`, which leads to `host`, from the client's side. By TLS 1.3 the server judges our certificate
    /// only after the handshake: what it has against it comes with the first read, and [`Security::explain`] says
    /// what it means.
    ///
    /// # Errors
    /// `Tls` with which thing does not fit; `Unreachable` if the connection was lost.
    pub async fn connect<S>(&self, stream: S, host: &str, location: &str) -> Result<TlsStream<S>, BrokerError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let connected = self.connector.connect(name, stream).await;
        connected.map_err(|error| Self::explain(&error, host, location))
    }

    /// Whether an error is the server's word against our certificate, or the lack of one.
    #[must_use]
    pub fn is_about_our_certificate(error: &io::Error) -> bool {
        use AlertDescription as A;
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(
            cause,
            Some(rustls::Error::AlertReceived(
                A::CertificateRequired
                    | A::NoCertificate
                    | A::BadCertificate
                    | A::UnknownCA
                    | A::CertificateUnknown
                    | A::CertificateExpired
            ))
        )
    }

    /// What an error of a TLS connection to `host` means.
    #[must_use]
    pub fn explain(error: &io::Error, host: &str, location: &str) -> BrokerError {
        explain(error, host, location)
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, BrokerError> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        BrokerError::Invalid(format!(
            "{name:?} is no name that a certificate could have; set tls.server-name"
        ))
    })
}

fn certificates(pem: &Pem, what: &str) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let text = pem.load(what)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.expose().as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(BrokerError::Invalid(format!("{what} holds no certificate"))),
        Err(error) => Err(BrokerError::Invalid(format!("{what}: {error}"))),
    }
}

/// The authorities in `ca`, and the same as certificates that servers may have themselves.
fn roots(ca: &Pem) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), BrokerError> {
    let mut roots = RootCertStore::empty();
    let found = certificates(ca, "tls.ca")?;
    for certificate in &found {
        let added = roots.add(certificate.clone());
        added.map_err(|error| BrokerError::Invalid(format!("tls.ca: {error}")))?;
    }
    Ok((roots, found))
}

/// The authorities of the operating system.
fn system() -> Result<RootCertStore, BrokerError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(BrokerError::Invalid(
            "this system trusts no authority: name one with tls.ca".into(),
        ));
    }
    Ok(roots)
}

/// What an error of a TLS connection means.
fn explain(error: &io::Error, host: &str, location: &str) -> BrokerError {
    let location = location.to_owned();
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "it closed the connection during the TLS handshake; does it speak TLS at this port?".into()
            }
            _ => error.to_string(),
        };
        return BrokerError::Unreachable { location, why };
    };
    let why = match cause {
        // Two authorities of one name differ only in what they sign with.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the server's certificate comes from an authority that is not trusted; tls.ca must hold the one that \
             signed it"
                .into()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            format!(
                "the server's certificate is not for the name {host:?} ({cause}); connect to a name that it has, or \
                 set tls.server-name"
            )
        }
        rustls::Error::InvalidCertificate(error) if is_authority(error) => NOT_PINNED.into(),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the server's certificate has expired ({cause}): renew it")
        }
        rustls::Error::InvalidCertificate(_) => format!("the server's certificate is not accepted: {cause}"),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS at this port".into()
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::HandshakeFailure,
        ) => format!("the server asks for a client certificate ({cause}); set tls.certificate and tls.key"),
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError,
        ) => format!("the server does not accept our client certificate ({cause}); check tls.certificate and tls.key"),
        _ => cause.to_string(),
    };
    BrokerError::Tls { location, why }
}
