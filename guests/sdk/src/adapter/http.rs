//! Requests over HTTP, each with a deadline. The host keeps the connection of a lane open between them, and does TLS
//! for `https`.

use super::Deadline;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

/// The most bytes that are read at once.
const CHUNK: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Nothing was sent: nobody answers there, or the name does not exist.
    Unreachable(String),
    /// The operator has not granted this address; the text says which grant is missing. Nothing was sent.
    NotGranted(String),
    /// No secure connection: a certificate does not fit. Nothing was sent.
    Tls(String),
    /// The request makes no sense. Nothing was sent.
    Invalid(String),
    /// The connection was lost, after the request may have been sent.
    Lost(String),
    /// The deadline came first; the request may have been sent.
    TimedOut,
}

impl HttpError {
    /// Whether the server cannot have seen the request.
    #[must_use]
    pub const fn unsent(&self) -> bool {
        !matches!(self, Self::Lost(_) | Self::TimedOut)
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) | Self::NotGranted(why) | Self::Tls(why) | Self::Invalid(why) | Self::Lost(why) => {
                f.write_str(why)
            }
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for HttpError {}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, `PUT`, `DELETE`, or any other.
    pub method: &'a str,
    /// `http://host:port/path?query`, or `https`.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent along.
    pub body: &'a [u8],
}

/// The beginning of an answer.
#[derive(Debug)]
pub struct Response {
    /// 200 and so on.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The rest of it.
    pub body: Body,
}

impl Response {
    /// The first header of this name, in lower case, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }
}

impl Request<'_> {
    /// Sends the request and waits for the beginning of the answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn send(&self, deadline: Deadline) -> Result<Response, HttpError> {
        let future = self.start(deadline)?;
        if !deadline.wait(&future.subscribe()) {
            return Err(HttpError::TimedOut);
        }
        match future.get() {
            Some(Ok(Ok(response))) => Response::new(response),
            Some(Ok(Err(code))) => Err(explain(code, self.url)),
            _ => Err(HttpError::Lost("the host gave no answer".into())),
        }
    }

    fn start(&self, deadline: Deadline) -> Result<FutureIncomingResponse, HttpError> {
        let invalid = |what: &str| HttpError::Invalid(format!("{what} of the request to {} is not valid", self.url));
        let (scheme, rest) = self.url.split_once("://").ok_or_else(|| invalid("the address"))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let length = self.body.len().to_string();
        let own = [("content-length", length.as_str())];
        let headers = own.iter().chain(self.headers);
        let headers: Vec<_> = headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let request = OutgoingRequest::new(Fields::from_list(&headers).map_err(|_| invalid("a header"))?);
        let method = match self.method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            other => Method::Other(other.to_owned()),
        };
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(invalid("the scheme")),
        };
        request.set_method(&method).map_err(|()| invalid("the method"))?;
        request.set_scheme(Some(&scheme)).map_err(|()| invalid("the scheme"))?;
        request
            .set_authority(Some(authority))
            .map_err(|()| invalid("the host"))?;
        request
            .set_path_with_query(Some(path))
            .map_err(|()| invalid("the path"))?;
        let body = request.body().map_err(|()| invalid("the body"))?;
        // No options: they would only be hints, since this side looks at its own deadline, and Wasmtime 48 never frees
        // them.
        let future = handle(request, None).map_err(|code| explain(code, self.url))?;
        self.write(body, deadline)?;
        Ok(future)
    }

    fn write(&self, body: OutgoingBody, deadline: Deadline) -> Result<(), HttpError> {
        if !self.body.is_empty() {
            let stream = body
                .write()
                .map_err(|()| HttpError::Lost("the host takes no body".into()))?;
            let mut rest = self.body;
            while !rest.is_empty() {
                match stream.check_write() {
                    Ok(0) if deadline.wait(&stream.subscribe()) => {}
                    Ok(0) => return Err(HttpError::TimedOut),
                    Ok(room) => {
                        let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                        if stream.write(now).is_err() {
                            break;
                        }
                        rest = later;
                    }
                    // The answer says why.
                    Err(_) => break,
                }
            }
        }
        // If it did not take all of it, the answer says why, too.
        let _ = OutgoingBody::finish(body, None);
        Ok(())
    }
}

impl Response {
    fn new(response: IncomingResponse) -> Result<Self, HttpError> {
        let gone = |()| HttpError::Lost("the host gave the answer without its body".into());
        let status = response.status();
        let headers = response.headers().entries();
        let body = response.consume().map_err(gone)?;
        let stream = body.stream().map_err(gone)?;
        Ok(Self {
            status,
            headers,
            body: Body { stream, _body: body },
        })
    }
}

/// What an answer brings.
#[derive(Debug)]
pub struct Body {
    // Before the body that it belongs to.
    stream: InputStream,
    _body: IncomingBody,
}

impl Body {
    /// Waits for bytes, appends what has come to `into`, and returns how many that were; 0 at the end of the body.
    ///
    /// # Errors
    /// `Lost`; `TimedOut`, and more may still come.
    pub fn read(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<usize, HttpError> {
        loop {
            match self.stream.read(CHUNK) {
                Ok(bytes) if bytes.is_empty() => {
                    if !deadline.wait(&self.stream.subscribe()) {
                        return Err(HttpError::TimedOut);
                    }
                }
                Ok(bytes) => {
                    into.extend_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(HttpError::Lost(format!(
                        "the answer broke off: {}",
                        error.to_debug_string()
                    )));
                }
            }
        }
    }

    /// All of it, at most `limit` bytes.
    ///
    /// # Errors
    /// `Lost`, also if it is longer; `TimedOut`.
    pub fn read_all(&mut self, limit: usize, deadline: Deadline) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while self.read(&mut bytes, deadline)? > 0 {
            if bytes.len() > limit {
                return Err(HttpError::Lost(format!("the answer is longer than {limit} bytes")));
            }
        }
        Ok(bytes)
    }
}

/// What the host's word for a failure means.
fn explain(code: ErrorCode, url: &str) -> HttpError {
    let server = url.split('/').take(3).collect::<Vec<_>>().join("/");
    match code {
        ErrorCode::HttpRequestDenied => {
            HttpError::NotGranted(format!("{server} is not granted: add \"{server}\" to `allow`"))
        }
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => {
            HttpError::Unreachable(format!("{server}: there is no such name"))
        }
        ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached => {
            HttpError::Unreachable(format!("{server} does not answer ({})", word(&code)))
        }
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            HttpError::Tls(format!("no TLS connection to {server} ({})", word(&code)))
        }
        ErrorCode::InternalError(Some(why)) => HttpError::Lost(format!("{server}: {why}")),
        code => HttpError::Lost(format!("{server}: {}", word(&code))),
    }
}

fn word(code: &ErrorCode) -> String {
    format!("{code:?}").trim_start_matches("ErrorCode::").to_owned()
}
