//! What the host keeps for a lane, in bytes: it counts like the lane's own memory.
//!
//! It is counted anew after each call of a host function, so no function can forget to. What an entry takes is known
//! exactly where a guest decides about it, and at its most where the host's own limits do.

use super::state::CHUNK;
use http::HeaderMap;
use std::any::Any;
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, TcpSocket};
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};

/// What any entry takes.
const ENTRY: usize = 512;
/// What a header takes besides its name and value.
const HEADER: usize = 128;
/// The most that may be in one collection of headers that a guest makes, as Wasmtime counts.
pub(super) const FIELDS: usize = 64 << 10;
/// The most that a body or a stream has in it: what waits in a queue of two, and trailers.
const BODY: usize = 2 * CHUNK + FIELDS;

/// Bytes that the host keeps for what is in `table`.
///
/// # Errors
/// `Full` if there are more than `sockets` sockets.
pub(super) fn kept(table: &mut ResourceTable, sockets: usize) -> Result<usize, ResourceTableError> {
    let (mut bytes, mut open) = (0, 0);
    for entry in table.iter_mut() {
        bytes += ENTRY + weight(entry);
        open += usize::from(entry.is::<TcpSocket>());
    }
    if open > sockets {
        Err(ResourceTableError::Full)
    } else {
        Ok(bytes)
    }
}

/// Bytes of `headers`.
pub(super) fn headers(headers: &HeaderMap) -> usize {
    let each = |(name, value): (&http::HeaderName, &http::HeaderValue)| HEADER + name.as_str().len() + value.len();
    headers.iter().map(each).sum()
}

/// Bytes of a body that has not come to its end.
pub(super) const fn body(is_there: bool) -> usize {
    if is_there { BODY } else { 0 }
}

fn weight(entry: &dyn Any) -> usize {
    if let Some(fields) = entry.downcast_ref::<FieldMap>() {
        headers(fields)
    } else if let Some(request) = entry.downcast_ref() {
        outgoing(request)
    } else if let Some(response) = entry.downcast_ref::<HostOutgoingResponse>() {
        headers(&response.headers) + body(response.body.is_some())
    } else if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
        headers(&response.headers) + body(response.body.is_some())
    } else if let Some(future) = entry.downcast_ref::<HostFutureIncomingResponse>() {
        match future {
            HostFutureIncomingResponse::Ready(Ok((response, _))) => headers(response.headers()) + BODY,
            _ => 0,
        }
    } else if let Some(trailers) = entry.downcast_ref::<HostFutureTrailers>() {
        match trailers {
            HostFutureTrailers::Done(Ok(Some(trailers))) => headers(trailers),
            HostFutureTrailers::Waiting(_) => BODY,
            _ => 0,
        }
    } else if entry.is::<HostIncomingBody>() {
        BODY
    } else if entry.is::<DynInputStream>() || entry.is::<DynOutputStream>() {
        CHUNK
    } else {
        0
    }
}

fn outgoing(request: &HostOutgoingRequest) -> usize {
    let method = match &request.method {
        Method::Other(name) => name.len(),
        _ => 0,
    };
    let scheme = match &request.scheme {
        Some(Scheme::Other(name)) => name.len(),
        _ => 0,
    };
    let texts = [&request.authority, &request.path_with_query]
        .into_iter()
        .flatten()
        .map(String::len);
    method + scheme + texts.sum::<usize>() + headers(&request.headers) + body(request.body.is_some())
}
