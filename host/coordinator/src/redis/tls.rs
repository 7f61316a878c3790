//! Redis over TLS.

use crate::broker::{BrokerError, Security};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Secures `stream`, which leads to `host`.
///
/// # Errors
/// `Tls` with which thing does not fit; `Unreachable` if the connection was lost.
pub(super) async fn secure(
    security: &Security,
    stream: TcpStream,
    host: &str,
    location: &str,
) -> Result<TlsStream<TcpStream>, BrokerError> {
    let explained = |error: io::Error| Security::explain(&error, host, location);
    let mut stream = security.connect(stream, host, location).await?;
    // By TLS 1.3 the server judges our certificate only after the handshake: this asks whether it did.
    stream.write_all(b"PING\r\n").await.map_err(explained)?;
    while stream.read_u8().await.map_err(explained)? != b'\n' {}
    Ok(stream)
}
