//! `shardwright:tls/client`: the host secures a connection that an adapter has opened, with what the operator has set
//! and the adapter never sees.

use super::grants::split;
use super::state::State;
use super::tls_writer::TlsWriter;
use shardwright_coordinator::broker::{BrokerError, Security};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};
use wasmtime_wasi::p2::pipe::AsyncReadStream;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

/// How much is read ahead, in bytes.
const CHUNK: usize = 64 * 1024;

/// Why there is no secure connection.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum TlsError {
    #[component(name = "not-granted")]
    NotGranted(String),
    #[component(name = "refused")]
    Refused(String),
    #[component(name = "lost")]
    Lost(String),
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut client = linker.instance("shardwright:tls/client@0.1.0")?;
    client.func_wrap_async(
        "secure",
        |mut store: StoreContextMut<'_, State>,
         (server, input, output): (String, Resource<DynInputStream>, Resource<DynOutputStream>)| {
            Box::new(async move { Ok((secure(store.data_mut(), &server, input, output).await?,)) })
        },
    )
}

async fn secure(
    state: &mut State,
    server: &str,
    input: Resource<DynInputStream>,
    output: Resource<DynOutputStream>,
) -> wasmtime::Result<Result<Streams, TlsError>> {
    let plain = Plain {
        input: state.table.delete(input)?,
        output: state.table.delete(output)?,
    };
    let granted = split(server).and_then(|(host, port)| Some((host, port?.parse().ok()?)));
    let granted = granted.filter(|(host, port)| state.gate().allows_tls(host, *port));
    let (Some((host, _)), Some(security)) = (granted, state.shared.security.clone()) else {
        let why = format!("{server} may not be spoken to by TLS: add \"tls://{server}\" to `allow`");
        return Ok(Err(TlsError::NotGranted(why)));
    };
    // The streams of a socket belong to one task; a task of its own carries what goes through them from now on.
    let secured = match security.connect(Carried::new(plain), host, server).await {
        Ok(secured) => secured,
        Err(BrokerError::Tls { why, .. }) => return Ok(Err(TlsError::Refused(why))),
        Err(error) => return Ok(Err(TlsError::Lost(error.to_string()))),
    };
    let (read, write) = tokio::io::split(secured);
    let read = Explained {
        inner: read,
        host: host.to_owned(),
        server: server.to_owned(),
    };
    let input: DynInputStream = Box::new(AsyncReadStream::new(read));
    let output: DynOutputStream = Box::new(TlsWriter::new(write));
    let input = state.table.push(input)?;
    let output = state.table.push(output)?;
    Ok(Ok((input, output)))
}

/// The two streams of a plain connection.
struct Plain {
    input: DynInputStream,
    output: DynOutputStream,
}

/// A plain connection whose bytes are carried by a task of its own, to and from a pipe that has the traits of a stream.
struct Carried {
    pipe: tokio::io::DuplexStream,
    /// Ends the task.
    _stop: oneshot::Sender<()>,
}

impl Carried {
    fn new(plain: Plain) -> Self {
        let (near, far) = tokio::io::duplex(CHUNK);
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            tokio::select! {
                () = carry(plain, far) => {}
                _ = stopped => {}
            }
        });
        Self {
            pipe: near,
            _stop: stop,
        }
    }
}

/// Carries bytes both ways until one side ends.
async fn carry(plain: Plain, far: tokio::io::DuplexStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Plain { mut input, mut output } = plain;
    let (mut from_near, mut to_near) = tokio::io::split(far);
    let inward = async {
        loop {
            match input.blocking_read(CHUNK).await {
                Ok(bytes) if to_near.write_all(&bytes).await.is_ok() => {}
                _ => break,
            }
        }
        let _ = to_near.shutdown().await;
    };
    let outward = async {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = from_near.read(&mut chunk).await {
            let mut rest = bytes::Bytes::copy_from_slice(&chunk[..count]);
            while !rest.is_empty() {
                let Ok(room) = output.write_ready().await else { return };
                let now = rest.split_to(rest.len().min(room));
                if output.write(now).is_err() {
                    return;
                }
            }
            if output.flush().is_err() {
                return;
            }
        }
    };
    tokio::join!(inward, outward);
}

impl AsyncRead for Carried {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// The reading half, whose first error may be what the server has against our certificate: told in words.
struct Explained<R> {
    inner: R,
    host: String,
    server: String,
}

impl<R: AsyncRead + Unpin> AsyncRead for Explained<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        Poll::Ready(read.map_err(|error| io::Error::other(Security::explain(&error, &self.host, &self.server))))
    }
}
