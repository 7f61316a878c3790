//! The way between an adapter and its backend, with the check in the middle: it passes on what is said, until it is
//! told to lose something.
//!
//! Nobody here understands what is said. An *exchange* is bytes from the adapter and the bytes that come back; an
//! answer that is lost was given, so the backend
//! has done what it was asked for.

use shardwright_components::adapter::Redirect;
use shardwright_coordinator::suite::Disturb;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much is taken from one side at once.
const PIECE: usize = 16 << 10;

/// What becomes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The backend answers, and the connection is cut before the answer is passed on.
    Answer,
    /// The same, but half of the answer's first piece is passed on.
    HalfAnswer,
    /// The backend answers, and nothing comes: the connection stays as it is.
    Silence,
    /// The connection is cut when the first piece of the request has been passed on, and there is more of it.
    HalfRequest,
}

/// The way. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Way(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// For each address of the backend the one that stands for it here.
    doors: Mutex<BTreeMap<SocketAddr, SocketAddr>>,
    plan: Mutex<Plan>,
    /// Changes whenever all connections are cut.
    cuts: watch::Sender<u64>,
}

/// What is to be lost.
#[derive(Default)]
struct Plan {
    loss: Option<Loss>,
    /// How many exchanges pass before it.
    pass: u32,
    fired: bool,
}

impl Way {
    /// For the options of the adapter.
    pub(super) fn detour(&self) -> Redirect {
        let way = self.clone();
        // Where no door can be opened, there is no way round.
        Redirect::new(move |to| way.door(to).unwrap_or(to))
    }

    /// Cuts all connections, for the check of the suite that has a backend disturbed.
    pub(super) fn disturb(&self) -> Disturb {
        let way = self.clone();
        Arc::new(move || {
            way.0.cuts.send_modify(|cuts| *cuts += 1);
            Box::pin(async {})
        })
    }

    /// The exchange after the next `pass` ones is lost.
    pub(super) fn lose(&self, loss: Loss, pass: u32) {
        *self.plan() = Plan {
            loss: Some(loss),
            pass,
            fired: false,
        };
    }

    /// Nothing more is lost; returns whether anything was.
    pub(super) fn heal(&self) -> bool {
        std::mem::take(&mut *self.plan()).fired
    }

    // Plain assignments: sound at any moment.
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        let mut doors = self.0.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(&to) {
            return Ok(*door);
        }
        let here = match to {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let listener = std::net::TcpListener::bind(here)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let door = listener.local_addr()?;
        // It ends with the runtime of the checks.
        tokio::spawn(serve(listener, to, self.clone()));
        doors.insert(to, door);
        Ok(door)
    }
}

impl Plan {
    /// An exchange reaches the stage at which `at` strikes; what is lost there, if anything.
    fn strike(&mut self, at: &[Loss], last: bool) -> Option<Loss> {
        let loss = self.loss.filter(|loss| at.contains(loss) && !self.fired)?;
        if self.pass > 0 {
            self.pass -= u32::from(last);
            return None;
        }
        self.fired = true;
        Some(loss)
    }
}

async fn serve(listener: TcpListener, to: SocketAddr, way: Way) {
    while let Ok((near, _)) = listener.accept().await {
        let way = way.clone();
        tokio::spawn(async move {
            let mut cuts = way.0.cuts.subscribe();
            tokio::select! {
                // How a connection ends is the two sides' business.
                _ = pass_on(near, to, &way) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Passes on what is said both ways, until one side has enough or something is to be lost. Dropping both connections
/// cuts them.
async fn pass_on(mut near: TcpStream, to: SocketAddr, way: &Way) -> io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; PIECE], vec![0; PIECE]);
    // How many pieces of a request were passed on since the last answer.
    let mut pieces: u32 = 0;
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                if pieces == 1 && way.plan().strike(&[Loss::HalfRequest], false).is_some() {
                    return Ok(());
                }
                pieces = pieces.saturating_add(1);
                far.write_all(&asked[..length]).await?;
            }
            read = far.read(&mut answered) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                let first = std::mem::take(&mut pieces) > 0;
                let lost = if first {
                    let all = [Loss::Answer, Loss::HalfAnswer, Loss::Silence, Loss::HalfRequest];
                    let mut plan = way.plan();
                    match plan.loss {
                        // It came through whole: the next one may not.
                        Some(Loss::HalfRequest) => {
                            plan.pass = plan.pass.saturating_sub(1);
                            None
                        }
                        _ => plan.strike(&all, true),
                    }
                } else {
                    None
                };
                match lost {
                    None => near.write_all(&answered[..length]).await?,
                    Some(Loss::HalfAnswer) => {
                        near.write_all(&answered[..length / 2]).await?;
                        return Ok(());
                    }
                    Some(Loss::Silence) => return silence(near, far).await,
                    Some(_) => return Ok(()),
                }
            }
        }
    }
}

/// Keeps both connections open, and nothing comes through, until the adapter gives up.
async fn silence(mut near: TcpStream, _far: TcpStream) -> io::Result<()> {
    let mut unheard = vec![0; PIECE];
    while near.read(&mut unheard).await? > 0 {}
    Ok(())
}
