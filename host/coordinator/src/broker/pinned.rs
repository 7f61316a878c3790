//! Which certificates of servers are accepted: the usual rules, and the very certificates that `tls.ca` holds.
//!
//! `openssl req -x509` makes a certificate that signs itself and is marked as an authority's. The usual rules take
//! such a one for no server's; but who puts it into `tls.ca` means exactly this server. So a certificate that is
//! there, byte for byte, is accepted without an issuer and despite the mark: its time and its name are judged as
//! ever, and the server proves that it has the key.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// What to do about a certificate that is marked as an authority's and is not in `tls.ca` itself.
pub(crate) const NOT_PINNED: &str = "the server's own certificate is marked as an authority's (`openssl req -x509` \
                                     does that): put this very certificate into tls.ca, or make one without the mark \
                                     (-addext basicConstraints=critical,CA:FALSE)";

/// Judges the certificates of servers.
#[derive(Debug)]
pub(crate) struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    /// The name that a certificate must have, if not the host's.
    name: Option<ServerName<'static>>,
}

impl Pinned {
    /// Trusts `roots`, and `pinned` as servers' own.
    ///
    /// # Errors
    /// In words, why the roots do not do.
    pub(crate) fn new(
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
        name: Option<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let usual = usual.map_err(|error| error.to_string())?;
        Ok(Self { usual, pinned, name })
    }
}

/// Whether a certificate is refused only because it is marked as an authority's.
pub(crate) fn is_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(name);
        match self.usual.verify_server_cert(certificate, chain, name, ocsp, now) {
            // Both come after its time was judged.
            Err(Error::InvalidCertificate(error))
                if (error == CertificateError::UnknownIssuer || is_authority(&error))
                    && self.pinned.iter().any(|own| own == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
