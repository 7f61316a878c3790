//! A way round: whoever tests an adapter stands between it and its backend, on the connections that the host makes
//! for it.
//!
//! The gate judges where an adapter wants to go, as ever; only then the connection is led elsewhere. Nothing else
//! leads anywhere else.

use super::state::State;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::TcpSocket;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::sockets::WasiSocketsView;

/// Where the connections of an adapter lead instead of where it wants to go: to somebody who passes on what is said,
/// or does not.
#[derive(Clone)]
pub struct Redirect {
    way: Arc<dyn Fn(SocketAddr) -> SocketAddr + Send + Sync>,
    ends: Arc<Mutex<BTreeSet<SocketAddr>>>,
}

impl Redirect {
    /// Each connection to an address leads to what `way` makes of it, an address of the same family.
    pub fn new(way: impl Fn(SocketAddr) -> SocketAddr + Send + Sync + 'static) -> Self {
        Self {
            way: Arc::new(way),
            ends: Arc::default(),
        }
    }

    /// Where a connection to `address`, which is granted, leads.
    pub(super) fn lead(&self, address: SocketAddr) -> SocketAddr {
        let end = (self.way)(address);
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(end);
        end
    }

    /// Whether a granted connection was led to `address`.
    pub(super) fn leads_to(&self, address: SocketAddr) -> bool {
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&address)
    }
}

impl std::fmt::Debug for Redirect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redirect")
    }
}

/// Replaces one function of Wasmtime's: `start-connect`, which knows no way round.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:sockets/tcp@0.2.12")?.func_wrap(
        "[method]tcp-socket.start-connect",
        |mut store: StoreContextMut<'_, State>,
         (socket, network, address): (Resource<TcpSocket>, Resource<Network>, IpSocketAddress)| {
            let state = store.data_mut();
            let mut to = address;
            if let Some(detour) = state.shared.options.detour.clone() {
                let wanted = SocketAddr::from(address);
                if !state.gate().allows_address(wanted) {
                    return Ok((Err(ErrorCode::AccessDenied),));
                }
                to = detour.lead(wanted).into();
            }
            let mut sockets = state.sockets();
            match sockets.start_connect(socket, network, to) {
                Ok(()) => Ok((Ok(()),)),
                Err(error) => Ok((Err(error.downcast()?),)),
            }
        },
    )
}
