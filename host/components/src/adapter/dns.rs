//! `wasi:sockets/ip-name-lookup`, through the gate: only granted names are resolved.

use super::connect_policy::ResolveError;
use super::state::State;
use async_trait::async_trait;
use std::net::IpAddr;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// The addresses of a name, one after the other.
struct Addresses {
    looking: Option<tokio::task::JoinHandle<Result<Vec<IpAddr>, ResolveError>>>,
    found: Result<std::vec::IntoIter<IpAddr>, ResolveError>,
}

#[async_trait]
impl Pollable for Addresses {
    async fn ready(&mut self) {
        if let Some(looking) = &mut self.looking {
            let found = looking.await.unwrap_or(Err(ResolveError::Unknown));
            self.found = found.map(Vec::into_iter);
            self.looking = None;
        }
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

const fn code(error: ResolveError) -> ErrorCode {
    match error {
        ResolveError::NotGranted => ErrorCode::AccessDenied,
        ResolveError::Unknown => ErrorCode::NameUnresolvable,
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut names = linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?;
    let dispose = |mut store: StoreContextMut<'_, State>, rep| {
        store.data_mut().table.delete(Resource::<Addresses>::new_own(rep))?;
        Ok(())
    };
    names.resource("resolve-address-stream", ResourceType::host::<Addresses>(), dispose)?;
    names.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, State>, (network, name): (Resource<Network>, String)| {
            let state = store.data_mut();
            // The network stands for the right to ask; it has to exist.
            state.table.get(&network)?;
            // What is not granted is not kept, nor is a task begun for it.
            let stream = match state.gate().may_resolve(&name) {
                Ok(lookup) => Addresses {
                    looking: Some(tokio::spawn(lookup.addresses())),
                    found: Err(ResolveError::Unknown),
                },
                Err(refused) => Addresses {
                    looking: None,
                    found: Err(refused),
                },
            };
            Ok((Ok::<_, ErrorCode>(state.table.push(stream)?),))
        },
    )?;
    names.func_wrap_async(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, State>, (stream,): (Resource<Addresses>,)| {
            Box::new(async move {
                let stream = store.data_mut().table.get_mut(&stream)?;
                if stream.looking.as_ref().is_some_and(|looking| !looking.is_finished()) {
                    return Ok((Err(ErrorCode::WouldBlock),));
                }
                stream.ready().await;
                let next: Result<Option<IpAddress>, ErrorCode> = match &mut stream.found {
                    Ok(found) => Ok(found.next().map(Into::into)),
                    Err(error) => Err(code(*error)),
                };
                Ok((next,))
            })
        },
    )?;
    names.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, State>, (stream,): (Resource<Addresses>,)| {
            let pollable: Resource<DynPollable> = subscribe(&mut store.data_mut().table, stream)?;
            Ok((pollable,))
        },
    )
}
