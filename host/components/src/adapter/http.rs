//! `wasi:http` for one lane, through the gate: one connection, kept open between requests, with TLS by the host. Redirects are not followed: what an adapter
//! makes of one is a request like any other, and has to be granted.

use super::gate::{Gate, Unresolved};
use super::grants::{Scheme, split};
use super::state::State;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use shardwright_coordinator::broker::{BrokerError, Security};
use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::Host as _;
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};

/// Replaces `handle`, which in Wasmtime keeps the options of each request for as long as the lane lives.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut handler = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    handler.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>, (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>)| {
            let mut http = store.data_mut().http();
            let given = options.as_ref().map(Resource::rep);
            let sent = http.handle(request, options);
            if let Some(given) = given {
                http.table.delete(Resource::<RequestOptions>::new_own(given))?;
            }
            match sent {
                Ok(future) => Ok((Ok(future),)),
                Err(error) => Ok((Err(http.convert_error_code(error)?),)),
            }
        },
    )
}

/// The most connections that one lane may have at once: one that is kept, and those whose answers are still coming.
const CONNECTIONS: usize = 8;
/// How long a kept connection may take to be free again after its last answer.
const FREE: Duration = Duration::from_millis(5);
/// The longest for what the adapter sets no limit; its own call ends before.
const PATIENCE: Duration = Duration::from_secs(60);

type IoFuture = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, IoFuture), Error>;

/// The HTTP of one lane.
pub(super) struct Wire(Arc<Inner>);

struct Inner {
    gate: Gate,
    security: Option<Security>,
    kept: Mutex<Option<Kept>>,
    connections: Arc<Semaphore>,
}

/// A connection that waits for its next request.
struct Kept {
    to: Target,
    sender: SendRequest<WasiBody>,
}

#[derive(Clone, PartialEq, Eq)]
struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Wire {
    pub(super) fn new(gate: Gate, security: Option<Security>) -> Self {
        Self(Arc::new(Inner {
            gate,
            security,
            kept: Mutex::new(None),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }))
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }
}

impl WasiHttpHooks for Wire {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: IoFuture,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let inner = self.0.clone();
        Box::new(async move {
            let response = inner.send(request, options).await?;
            let done: IoFuture = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

impl Inner {
    async fn send(&self, mut request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Response<WasiBody>, Error> {
        let to = Target::of(request.uri())?;
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
        let first_byte = options.and_then(|options| options.first_byte_timeout).unwrap_or(PATIENCE);
        let connect = options.and_then(|options| options.connect_timeout).unwrap_or(PATIENCE);

        if let Some(mut sender) = self.free(&to).await {
            let answer = timeout(first_byte, sender.try_send_request(request)).await;
            match answer.map_err(|_| Error::ConnectionReadTimeout)? {
                Ok(response) => return Ok(self.keep(to, sender, response).await),
                // The server had closed it meanwhile: what was not sent can be sent again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(explain(error.into_error(), &to)),
                },
            }
        }
        let dialled = timeout(connect, self.dial(&to)).await;
        let mut sender = dialled.map_err(|_| Error::ConnectionTimeout)??;
        let answer = timeout(first_byte, sender.send_request(request)).await;
        let response = answer
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| explain(error, &to))?;
        Ok(self.keep(to, sender, response).await)
    }

    /// The kept connection, if it leads to `to` and can be used.
    async fn free(&self, to: &Target) -> Option<SendRequest<WasiBody>> {
        let mut kept = self.kept.lock().await.take().filter(|kept| kept.to == *to)?;
        let ready = timeout(FREE, kept.sender.ready()).await;
        matches!(ready, Ok(Ok(()))).then_some(kept.sender)
    }

    async fn keep(&self, to: Target, sender: SendRequest<WasiBody>, response: Response<hyper::body::Incoming>) -> Response<WasiBody> {
        *self.kept.lock().await = Some(Kept { to, sender });
        response.map(|body| body.map_err(Error::from).boxed_unsync())
    }

    async fn dial(&self, to: &Target) -> Result<SendRequest<WasiBody>, Error> {
        let addresses = self.gate.speaks(to.scheme, &to.host, to.port).await.map_err(|error| match error {
            Unresolved::NotGranted => Error::HttpRequestDenied,
            Unresolved::Unknown => Error::DnsError {
                rcode: Some("NXDOMAIN".into()),
                info_code: None,
            },
        })?;
        let permit = self
            .connections
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::ConnectionLimitReached)?;
        let stream = connect(&addresses, to.port).await?;
        if to.scheme == Scheme::Http {
            return drive(stream, permit).await;
        }
        let security = self.security.as_ref().ok_or(Error::TlsProtocolError)?;
        let stream = security.connect(stream, &to.host, &to.host).await.map_err(|error| alert(&error))?;
        drive(stream, permit).await
    }
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, Error> {
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(Error::HttpRequestUriInvalid),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?.as_str();
        let (host, port) = split(authority).ok_or(Error::HttpRequestUriInvalid)?;
        let default = if scheme == Scheme::Http { 80 } else { 443 };
        let port = port.map_or(Ok(default), str::parse).map_err(|_| Error::HttpRequestUriInvalid)?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationNotFound;
    for address in addresses {
        match TcpStream::connect((*address, port)).await {
            Ok(stream) => {
                // Small requests must not wait for each other.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => last = Error::ConnectionRefused,
            Err(_) => last = Error::DestinationUnavailable,
        }
    }
    Err(last)
}

/// Has a task of its own move the bytes, until nobody is interested any more.
async fn drive<S>(stream: S, permit: OwnedSemaphorePermit) -> Result<SendRequest<WasiBody>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Error::from)?;
    tokio::spawn(async move {
        // What ends it is told to whoever waits for an answer.
        let _ = connection.await;
        drop(permit);
    });
    Ok(sender)
}

/// A failure of TLS, in the one error that has room for words.
fn alert(error: &BrokerError) -> Error {
    match error {
        BrokerError::Tls { why, .. } | BrokerError::Invalid(why) => Error::TlsAlertReceived {
            alert_id: None,
            alert_message: Some(why.clone()),
        },
        _ => Error::ConnectionTerminated,
    }
}

/// An error while a request was under way: the request may have been sent, unless it was about certificates.
fn explain(error: hyper::Error, to: &Target) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(|io| Security::explain(io, &to.host, &to.host)) {
        Some(error @ BrokerError::Tls { .. }) => alert(&error),
        _ if error.is_incomplete_message() => Error::ConnectionTerminated,
        _ => Error::from(error),
    }
}
