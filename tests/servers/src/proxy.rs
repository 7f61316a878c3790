//! A way to a server that can be cut, slowed down, or made to swallow answers or to date them wrongly.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as blocking};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::dates;
use crate::port::Port;
use crate::stamps::{Speech, Stamps};

/// How much is taken from one side at once, and how many such pieces may be on their way.
const PIECE: usize = 64 << 10;
const PIECES: usize = 64;

/// Forwards what comes to its port, on 127.0.0.1 or another address, to a server's port on 127.0.0.1.
pub struct Proxy {
    address: Ipv4Addr,
    port: Port,
    shared: Arc<Shared>,
    open: Mutex<Option<Open>>,
    // An option only so that `drop` can take it.
    runtime: Option<Runtime>,
}

/// What all connections look at.
struct Shared {
    target: AtomicU16,
    accepted: AtomicUsize,
    requests: AtomicUsize,
    delay_micros: AtomicU64,
    swallow: AtomicBool,
    date_seconds: AtomicI64,
    stamps: Option<Arc<Stamps>>,
}

/// For how long an address may stay in use that nobody uses any more.
const LINGERS: Duration = Duration::from_secs(10);

/// Listens there. A process that is being started meanwhile has a copy of every descriptor until it executes its
/// program, so that a socket which was closed here listens for a moment longer.
fn listen(address: SocketAddr) -> std::io::Result<Listener> {
    let begun = std::time::Instant::now();
    loop {
        match Listener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < LINGERS => {
                std::thread::sleep(Duration::from_millis(1));
            }
            bound => return bound,
        }
    }
}

/// The task that accepts and forwards, while the way is open.
struct Open {
    task: JoinHandle<()>,
    /// Disconnected when the task and all its connections are gone.
    gone: blocking::Receiver<()>,
}

impl Proxy {
    /// An open way to `target` on 127.0.0.1.
    ///
    /// # Errors
    /// No port is free, or no thread can be had.
    pub fn to(target: u16) -> Result<Self> {
        Self::on(Ipv4Addr::LOCALHOST, target)
    }

    /// An open way from `address` to `target` on 127.0.0.1.
    ///
    /// # Errors
    /// No port is free, the address is none of this machine's, or no thread can be had.
    pub fn on(address: Ipv4Addr, target: u16) -> Result<Self> {
        Self::new(address, target, None)
    }

    /// An open way to a NATS server on 127.0.0.1, which is dated by `stamps`.
    pub(crate) fn dating(target: u16, stamps: Arc<Stamps>) -> Result<Self> {
        Self::new(Ipv4Addr::LOCALHOST, target, Some(stamps))
    }

    fn new(address: Ipv4Addr, target: u16, stamps: Option<Arc<Stamps>>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()?;
        let proxy = Self {
            address,
            port: Port::free()?,
            shared: Arc::new(Shared {
                target: AtomicU16::new(target),
                accepted: AtomicUsize::new(0),
                requests: AtomicUsize::new(0),
                delay_micros: AtomicU64::new(0),
                swallow: AtomicBool::new(false),
                date_seconds: AtomicI64::new(0),
                stamps,
            }),
            open: Mutex::new(None),
            runtime: Some(runtime),
        };
        proxy.heal()?;
        Ok(proxy)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Leads to another server from now on: new connections go there, those that are open stay where they are.
    pub fn lead_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
    }

    /// Closes all connections and refuses new ones; both have happened when it returns.
    pub fn cut(&self) {
        if let Some(open) = self.open().take() {
            open.task.abort();
            // An error is what it waits for: everybody who could send is gone.
            let _ = open.gone.recv();
        }
    }

    /// Accepts connections again after [`Self::cut`].
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub fn heal(&self) -> Result<()> {
        let mut open = self.open();
        if open.is_some() {
            return Ok(());
        }
        let runtime = self.runtime.as_ref().context("the proxy is gone")?;
        let listener = listen((self.address, self.port()).into())?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (alive, gone) = blocking::channel();
        let shared = Arc::clone(&self.shared);
        // In this order, also if the task is aborted before it has begun: whoever waits for the end may take the port
        // again.
        let held = (listener, alive);
        let task = runtime.spawn(async move {
            let (listener, alive) = held;
            serve(listener, shared, &alive).await;
        });
        *open = Some(Open { task, gone });
        Ok(())
    }

    /// Closes all connections; new ones are accepted at once.
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub fn interrupt(&self) -> Result<()> {
        self.cut();
        self.heal()
    }

    /// Everything that is received from now on, in either direction, takes this much longer. It takes no bandwidth
    /// away.
    pub fn delay(&self, each_way: Duration) {
        let micros = u64::try_from(each_way.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// Whether what the server says from now on is thrown away. What is said to it always passes.
    pub fn swallow_answers(&self, swallow: bool) {
        self.shared.swallow.store(swallow, Ordering::SeqCst);
    }

    /// By how many seconds the `Date` of what the server says over plain HTTP from now on is put on, or back.
    pub fn shift_dates(&self, seconds: i64) {
        self.shared.date_seconds.store(seconds, Ordering::SeqCst);
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// In how many pieces clients have sent something so far: as many as requests, where these come apart.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped inside an async test, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// Accepts until it is dropped; its connections go with it.
async fn serve(listener: TcpListener, shared: Arc<Shared>, alive: &blocking::Sender<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                let (shared, alive) = (Arc::clone(&shared), alive.clone());
                connections.spawn(async move {
                    // Moved into the task: it ends when the connection has.
                    let _alive = alive;
                    // How a connection ends is the two sides' business.
                    let _ = forward(client, &shared).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let server = TcpStream::connect(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        shared.target.load(Ordering::Relaxed),
    )))
    .await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let request = |piece: Vec<u8>| {
        shared.requests.fetch_add(1, Ordering::SeqCst);
        piece
    };
    let mut speech = shared.stamps.clone().map(Speech::new);
    let answer = |mut piece: Vec<u8>| {
        let seconds = shared.date_seconds.load(Ordering::SeqCst);
        if seconds != 0 {
            dates::shift(&mut piece, seconds);
        }
        if let Some(speech) = &mut speech {
            piece = speech.pass(&piece);
        }
        if shared.swallow.load(Ordering::SeqCst) {
            piece.clear();
        }
        piece
    };
    tokio::try_join!(
        carry(from_client, to_server, shared, request),
        carry(from_server, to_client, shared, answer),
    )?;
    Ok(())
}

/// Carries one direction to its end: of each piece what `pass` leaves of it, as late as it should be.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    mut pass: impl FnMut(Vec<u8>) -> Vec<u8>,
) -> std::io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let due = Instant::now() + Duration::from_micros(shared.delay_micros.load(Ordering::SeqCst));
            let piece = pass(buffer[..length].to_vec());
            if !piece.is_empty() && sender.send((due, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            // A sleep until now would still last a millisecond.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}
