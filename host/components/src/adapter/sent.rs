//! Whether a lane has sent anything during a call: what nobody was sent, nobody has done.
//!
//! Every function by which an adapter can put bytes into a stream is Wasmtime's own, and takes note of it first; so
//! does `http` of a request.

use super::state::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sync::io::streams::{Host as _, HostOutputStream as _, StreamError as Told};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, Pollable, StreamError};

/// The most that one blocking call may write, as Wasmtime has it.
const BLOCKING: usize = 4096;

/// Whether anything was sent since it was last asked to begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(Arc<AtomicBool>);

impl Sent {
    /// A call begins.
    pub(super) fn begin(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Something is about to be sent.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether something may have been sent.
    pub(super) fn anything(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

type Output = Resource<DynOutputStream>;
type Input = Resource<DynInputStream>;

/// What the adapter is told of `done`.
fn told<T>(state: &mut State, done: Result<T, StreamError>) -> wasmtime::Result<(Result<T, Told>,)> {
    match done {
        Ok(done) => Ok((Ok(done),)),
        Err(error) => Ok((Err(state.table.convert_stream_error(error)?),)),
    }
}

async fn write_blocking(state: &mut State, stream: &Output, bytes: bytes::Bytes) -> Result<(), StreamError> {
    if bytes.len() > BLOCKING {
        return Err(StreamError::trap("more than 4096 bytes in one blocking write"));
    }
    state.table.get_mut(stream)?.blocking_write_and_flush(bytes).await
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut store: StoreContextMut<'_, State>, (stream, bytes): (Output, Vec<u8>)| {
            let state = store.data_mut();
            state.sent.note();
            let done = state.table.write(stream, bytes);
            told(state, done)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.write-zeroes",
        |mut store: StoreContextMut<'_, State>, (stream, length): (Output, u64)| {
            let state = store.data_mut();
            state.sent.note();
            let done = state.table.write_zeroes(stream, length);
            told(state, done)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.splice",
        |mut store: StoreContextMut<'_, State>, (stream, from, length): (Output, Input, u64)| {
            let state = store.data_mut();
            state.sent.note();
            let done = state.table.splice(stream, from, length);
            told(state, done)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, State>, (stream, bytes): (Output, Vec<u8>)| {
            Box::new(async move {
                let state = store.data_mut();
                state.sent.note();
                let done = write_blocking(state, &stream, bytes.into()).await;
                told(state, done)
            })
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-zeroes-and-flush",
        |mut store: StoreContextMut<'_, State>, (stream, length): (Output, u64)| {
            Box::new(async move {
                let state = store.data_mut();
                state.sent.note();
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let done = write_blocking(state, &stream, vec![0; length.min(BLOCKING + 1)].into()).await;
                told(state, done)
            })
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-splice",
        |mut store: StoreContextMut<'_, State>, (stream, from, length): (Output, Input, u64)| {
            Box::new(async move {
                let state = store.data_mut();
                state.sent.note();
                state.table.get_mut(&stream)?.ready().await;
                state.table.get_mut(&from)?.ready().await;
                let done = state.table.splice(stream, from, length);
                told(state, done)
            })
        },
    )
}
