//! `wasi:http` for one lane, through the gate: one connection, kept open between requests, with TLS by the host.
//! Redirects are not followed: what an adapter makes of one is a request like any other, and has to be granted.

use super::connect_policy::{ConnectPolicy, ResolveError};
use super::grants::{Scheme, split};
use super::kept::{body, headers};
use super::redirect::Redirect;
use super::sent;
use super::state::CHUNK;
use http::uri::{Authority, PathAndQuery};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use shardwright_coordinator::broker::{BrokerError, Security};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use std::{io, iter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The most connections that one lane may have at once: one that is kept, and those whose answers are still coming.
const CONNECTIONS: usize = 8;
/// How long a kept connection may take to be free again after its last answer.
const FREE: Duration = Duration::from_millis(5);
/// How long a connection that has ended may take to say why, on a machine that has little time for it.
const END: Duration = Duration::from_secs(1);
/// The longest for what the adapter sets no limit; its own call ends before.
const PATIENCE: Duration = Duration::from_secs(60);

type IoFuture = Box<dyn Future<Output = Result<(), Error>> + Send>;
/// Tells why a connection ended.
type Ended = oneshot::Receiver<hyper::Error>;
type Sent = Result<(Response<WasiBody>, IoFuture), Error>;

/// The HTTP of one lane.
pub(super) struct HttpClient(Arc<Inner>);

struct Inner {
    gate: ConnectPolicy,
    security: Option<Security>,
    sent: sent::Sent,
    detour: Option<Redirect>,
    kept: Mutex<Option<IdleConnection>>,
    connections: Arc<Semaphore>,
    /// Bytes of the requests that are on their way.
    sending: AtomicUsize,
    /// Those that move the bytes; they end with the lane.
    tasks: std::sync::Mutex<JoinSet<()>>,
}

/// A connection that waits for its next request.
struct IdleConnection {
    to: Target,
    sender: SendRequest<WasiBody>,
}

#[derive(Clone, PartialEq, Eq)]
struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl HttpClient {
    pub(super) fn new(
        gate: ConnectPolicy,
        security: Option<Security>,
        sent: sent::Sent,
        detour: Option<Redirect>,
    ) -> Self {
        Self(Arc::new(Inner {
            gate,
            security,
            sent,
            detour,
            kept: Mutex::new(None),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            sending: AtomicUsize::new(0),
            tasks: std::sync::Mutex::default(),
        }))
    }

    pub(super) fn gate(&self) -> &ConnectPolicy {
        &self.0.gate
    }

    /// Bytes of the requests that are on their way.
    pub(super) fn sending(&self) -> usize {
        self.0.sending.load(Ordering::Relaxed)
    }
}

/// A request that is on its way, for as long as there is no answer.
struct Sending {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Sending {
    fn new(inner: Arc<Inner>, request: &Request<WasiBody>) -> Self {
        let uri = request.uri();
        let texts = [
            uri.authority().map(Authority::as_str),
            uri.path_and_query().map(PathAndQuery::as_str),
        ];
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        let bytes = texts + headers(request.headers()) + body(!request.body().is_end_stream());
        inner.sending.fetch_add(bytes, Ordering::Relaxed);
        Self { inner, bytes }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.inner.sending.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl WasiHttpHooks for HttpClient {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: IoFuture,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let sending = Sending::new(self.0.clone(), &request);
        sending.inner.sent.note();
        Box::new(async move {
            let response = sending.inner.send(request, options).await?;
            let done: IoFuture = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

impl Inner {
    async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        let to = Target::of(request.uri())?;
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
        let first_byte = options
            .and_then(|options| options.first_byte_timeout)
            .unwrap_or(PATIENCE);
        let connect = options.and_then(|options| options.connect_timeout).unwrap_or(PATIENCE);

        if let Some(mut sender) = self.free(&to).await {
            let answer = timeout(first_byte, sender.try_send_request(request)).await;
            match answer.map_err(|_| Error::ConnectionReadTimeout)? {
                Ok(response) => return Ok(self.keep(to, sender, response).await),
                // The server had closed it meanwhile: what was not sent can be sent again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    // It may have been sent, whatever the error is about.
                    None => return Err(gone(error.into_error())),
                },
            }
        }
        let dialled = timeout(connect, self.dial(&to)).await;
        let (mut sender, ended) = dialled.map_err(|_| Error::ConnectionTimeout)??;
        let answer = timeout(first_byte, sender.send_request(request)).await;
        match answer.map_err(|_| Error::ConnectionReadTimeout)? {
            Ok(response) => Ok(self.keep(to, sender, response).await),
            // Whoever asks just after the connection ended is told that it did, and not why.
            Err(error) if error.is_canceled() || error.is_closed() => {
                let why = timeout(END, ended).await.ok().and_then(Result::ok);
                Err(first(why.unwrap_or(error), &to))
            }
            Err(error) => Err(first(error, &to)),
        }
    }

    /// The kept connection, if it leads to `to` and can be used.
    async fn free(&self, to: &Target) -> Option<SendRequest<WasiBody>> {
        let mut kept = self.kept.lock().await.take().filter(|kept| kept.to == *to)?;
        let ready = timeout(FREE, kept.sender.ready()).await;
        matches!(ready, Ok(Ok(()))).then_some(kept.sender)
    }

    async fn keep(
        &self,
        to: Target,
        sender: SendRequest<WasiBody>,
        response: Response<hyper::body::Incoming>,
    ) -> Response<WasiBody> {
        *self.kept.lock().await = Some(IdleConnection { to, sender });
        response.map(|body| body.map_err(Error::from).boxed_unsync())
    }

    async fn dial(&self, to: &Target) -> Result<(SendRequest<WasiBody>, Ended), Error> {
        let permit = self
            .connections
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::ConnectionLimitReached)?;
        let addresses = self
            .gate
            .allows_host(to.scheme, &to.host, to.port)
            .await
            .map_err(|error| match error {
                ResolveError::NotGranted => Error::HttpRequestDenied,
                ResolveError::Unknown => Error::DnsError {
                    rcode: Some("NXDOMAIN".into()),
                    info_code: None,
                },
            })?;
        let stream = connect(&addresses, to.port, self.detour.as_ref()).await?;
        if to.scheme == Scheme::Http {
            return self.drive(stream, permit).await;
        }
        let security = self.security.as_ref().ok_or(Error::TlsProtocolError)?;
        let stream = security
            .connect(stream, &to.host, &to.host)
            .await
            .map_err(|error| alert(&error))?;
        self.drive(stream, permit).await
    }

    /// Has a task of its own move the bytes, until nobody is interested any more or the lane is gone.
    async fn drive<S>(&self, stream: S, permit: OwnedSemaphorePermit) -> Result<(SendRequest<WasiBody>, Ended), Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Error::from)?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let (end, ended) = oneshot::channel();
        tasks.spawn(async move {
            // What ends it is told to whoever waits for an answer, and to the first who asks.
            if let Err(error) = connection.await {
                let _ = end.send(error);
            }
            drop(permit);
        });
        Ok((sender, ended))
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
        let port = port
            .map_or(Ok(default), str::parse)
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

async fn connect(addresses: &[IpAddr], port: u16, detour: Option<&Redirect>) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationNotFound;
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let address = detour.map_or(address, |detour| detour.lead(address));
        match TcpStream::connect(address).await {
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

/// An error while a request was under way: it may have been sent.
fn gone(error: hyper::Error) -> Error {
    if error.is_incomplete_message()
        || std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<io::Error>)
    {
        Error::ConnectionTerminated
    } else {
        Error::from(error)
    }
}

/// An error of the first request on a connection. By TLS 1.3 the server judges our certificate only after the
/// handshake; if it refuses it, it has not looked at the request.
fn first(error: hyper::Error, to: &Target) -> Error {
    // Of a request that was still waiting for its turn hyper says that it was cancelled, and by which error.
    let mut causes = iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let io = causes.find_map(|cause| cause.downcast_ref::<io::Error>());
    match io.filter(|io| Security::is_about_our_certificate(io)) {
        Some(io) => alert(&Security::explain(io, &to.host, &to.host)),
        None => gone(error),
    }
}
