//! What one lane has in the host: its view of WASI, its gate, and what it has used.

use super::connect_policy::ConnectPolicy;
use super::fault::{self, LaneFault};
use super::http::HttpClient;
use super::kept::{FIELDS, kept};
use super::options::AdapterOptions;
use super::redact::{LogRateLimiter, Redactor, StderrTail};
use super::sent::Sent;
use super::world::shardwright::coordinator::log;
use crate::limiter::{Limiter, Total};
use shardwright_coordinator::broker::Security;
use shardwright_coordinator::clock;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{CallHook, StoreContextMut};
use wasmtime_wasi::clocks::HostMonotonicClock;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The most resources that one lane may hold: sockets, streams, requests, bodies. A thousand sockets are not for it.
pub(super) const RESOURCES: usize = 256;
/// The most sockets among them.
const SOCKETS: usize = 32;
/// The most sockets of a lane that may not connect to anything.
const SOCKETS_UNGRANTED: usize = 4;
/// The most bytes that wait in one stream or body before they are sent, or after they were read.
pub(super) const CHUNK: usize = 64 << 10;
/// The most bytes that one call of a host function may be given: they are copied before the function can look at them.
pub(super) const ARGUMENT: usize = 1 << 20;

/// The most random bytes that it may ask for at once.
const RANDOM: u64 = 64 << 10;
/// The most names that are resolved at once for all lanes: the system's resolver cannot be hurried, nor given up.
pub(super) const LOOKUPS: usize = 4;

/// What all lanes of one adapter share.
pub(super) struct Shared {
    pub(super) options: AdapterOptions,
    /// Of all lanes together.
    pub(super) memory: Arc<Total>,
    pub(super) mask: Redactor,
    pub(super) quota: LogRateLimiter,
    /// How `tls://` and `https://` are secured.
    pub(super) security: Option<Security>,
    /// Room for names that are being resolved.
    pub(super) lookups: Arc<Semaphore>,
    /// Values of the granted variables.
    pub(super) variables: Vec<(String, String)>,
}

/// The data of a lane's store.
pub(super) struct State {
    pub(super) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(super) wire: HttpClient,
    pub(super) memory: Limiter,
    pub(super) sent: Sent,
    pub(super) words: StderrTail,
    pub(super) shared: Arc<Shared>,
}

impl State {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let gate = ConnectPolicy::new(
            shared.options.grants.clone(),
            shared.mask.clone(),
            shared.lookups.clone(),
        );
        let (words, sent) = (StderrTail::default(), Sent::default());
        let mut wasi = WasiCtx::builder();
        let (checked, detour) = (gate.clone(), shared.options.detour.clone());
        wasi.stdout(words.clone())
            .stderr(words.clone())
            .monotonic_clock(Boottime)
            .max_random_size(RANDOM)
            .allow_udp(false)
            .allow_tcp(true)
            .allow_ip_name_lookup(false)
            .socket_addr_check(move |address, purpose| {
                let allowed = match purpose {
                    // What the system binds by itself in order to connect.
                    wasmtime_wasi::sockets::SocketAddrUse::TcpBind => {
                        address.ip().is_unspecified() && address.port() == 0
                    }
                    wasmtime_wasi::sockets::SocketAddrUse::TcpConnect => {
                        detour.as_ref().is_some_and(|detour| detour.leads_to(address))
                            || checked.allows_address(address)
                    }
                    _ => false,
                };
                Box::pin(async move { allowed })
            });
        for (name, value) in &shared.variables {
            wasi.env(name, value);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS);
        let budget = &shared.options.budget;
        Self {
            table,
            wasi: wasi.build(),
            http,
            wire: HttpClient::new(
                gate,
                shared.security.clone(),
                sent.clone(),
                shared.options.detour.clone(),
            ),
            sent,
            memory: Limiter::sharing(budget.memory, shared.memory.clone()),
            words,
            shared,
        }
    }

    /// What an error of a call means. Nothing that it says holds a secret.
    pub(super) fn explain(&self, error: &wasmtime::Error) -> LaneFault {
        let mask = &self.shared.mask;
        match fault::explain(error, self.shared.options.budget.answer, self.words.say(mask)) {
            LaneFault::Malformed(why) => LaneFault::Malformed(mask.line(&why)),
            other => other,
        }
    }

    /// Counts anew what the host keeps for this lane.
    ///
    /// # Errors
    /// `Exceeded` if that is more than there is room for, `Full` if there are too many sockets: the end of the lane.
    pub(super) fn settle(&mut self) -> wasmtime::Result<()> {
        let may_connect = self.shared.options.grants.sockets().next().is_some();
        let sockets = if may_connect { SOCKETS } else { SOCKETS_UNGRANTED };
        let bytes = kept(&mut self.table, sockets)? + self.wire.sending();
        Ok(self.memory.keeps(bytes)?)
    }

    pub(super) fn gate(&self) -> &ConnectPolicy {
        self.wire.gate()
    }
}

/// Nanoseconds since the machine was started, suspended time included, as the host's own deadlines count.
struct Boottime;

impl HostMonotonicClock for Boottime {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        clock::boottime_nanos()
    }
}

/// At each crossing between a lane and the host: how much may be copied by the next call or answer, and what the host
/// keeps by now.
pub(super) fn cross(mut store: StoreContextMut<'_, State>, crossing: CallHook) -> wasmtime::Result<()> {
    match crossing {
        CallHook::CallingWasm => {}
        CallHook::CallingHost => store.set_hostcall_fuel(ARGUMENT),
        CallHook::ReturningFromHost => store.data_mut().settle()?,
        CallHook::ReturningFromWasm => {
            let answer = store.data().shared.options.budget.answer;
            store.set_hostcall_fuel(answer);
        }
    }
    Ok(())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.wire,
        }
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        let shared = &self.shared;
        let Some(dropped) = shared.quota.take() else { return };
        let adapter = shared.options.id.as_str();
        if dropped > 0 {
            tracing::warn!(adapter, dropped, "lines of the adapter's log were dropped");
        }
        let line = shared.mask.line(&message);
        match level {
            log::Level::Debug => tracing::debug!(adapter, "{line}"),
            log::Level::Info => tracing::info!(adapter, "{line}"),
            log::Level::Warn => tracing::warn!(adapter, "{line}"),
            log::Level::Error => tracing::error!(adapter, "{line}"),
        }
    }
}

/// Everything that an adapter may import.
pub(super) fn imports(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    super::dns::add_to_linker(&mut linker)?;
    super::requests::add_to_linker(&mut linker)?;
    super::sent::add_to_linker(&mut linker)?;
    super::redirect::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    super::tls::add_to_linker(&mut linker)?;
    log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}
