//! The lanes of one adapter: opened when they are needed, kept while they are good, replaced when they are not.

use super::component::AdapterComponent;
use super::fault::LaneFault;
use super::history_guard::HistoryGuard;
use super::lane::Lane;
use super::refusal::Refusal;
use super::state::Shared;
use super::status::{AdapterStatus, Counters};
use super::supervisor::Supervisor;
use super::world::exports::shardwright::coordinator::lifecycle::Purpose;
use crate::state::AdapterState;
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::Backoff;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// The most calls that wait for a lane of one purpose.
const WAITING: usize = 256;
/// The most bytes of values and messages that wait with them.
const WAITING_BYTES: usize = 32 << 20;
/// The most refusals that are remembered.
const REFUSALS: usize = 64;
/// A lane that was idle for longer may have lost its connection without knowing.
const STALE: Duration = Duration::from_secs(1);

/// Everything behind one coordinator.
pub(super) struct Pool {
    pub(super) shared: Arc<Shared>,
    pub(super) namespace: Namespace,
    pub(super) belief: HistoryGuard,
    pub(super) counters: Counters,
    pub(super) present: RwLock<ActiveComponent>,
    pub(super) store: LanePool,
    pub(super) publish: LanePool,
    pub(super) listen: LanePool,
    pub(super) states: watch::Sender<AdapterState>,
    /// The coordinator was dropped.
    pub(super) closed: watch::Sender<bool>,
    pub(super) began: Instant,
    pub(super) supervisor: Mutex<Supervisor>,
    pub(super) backoff: Mutex<Backoff>,
    pub(super) location: Mutex<String>,
    /// By how many milliseconds the times of the store may be wrong, as its lanes have said.
    pub(super) uncertainty: AtomicU64,
    refused: Mutex<BTreeSet<String>>,
}

/// The component whose turn it is.
#[derive(Clone)]
pub(super) struct ActiveComponent {
    pub(super) component: AdapterComponent,
    /// How many were before it.
    pub(super) number: u64,
}

/// The lanes of one purpose.
pub(super) struct LanePool {
    pub(super) purpose: Purpose,
    idle: Mutex<Vec<(u64, Lane)>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    pub(super) memo: Mutex<String>,
}

/// A lane in somebody's hands. Dropped, it is gone.
pub(super) struct LaneGuard<'p> {
    pub(super) lane: Lane,
    /// Which component it is an instance of.
    pub(super) number: u64,
    /// It has been idle for so long that its connection may be gone.
    pub(super) stale: bool,
    pool: &'p Pool,
    from: &'p LanePool,
    _permit: OwnedSemaphorePermit,
    _open: OpenLane<'p>,
}

/// Counts a lane as open for as long as it is.
struct OpenLane<'p>(&'p AtomicU64);

impl Drop for OpenLane<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a call as waiting for as long as it is.
struct WaitingCall<'p> {
    at: &'p LanePool,
    bytes: usize,
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.at.waiting.fetch_sub(1, Ordering::Relaxed);
        self.at.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LanePool {
    pub(super) fn new(purpose: Purpose, lanes: usize) -> Self {
        Self {
            purpose,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(lanes.max(1))),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            memo: Mutex::default(),
        }
    }

    fn wait(&self, bytes: usize) -> Option<WaitingCall<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let held = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let entry = WaitingCall { at: self, bytes };
        (waiting < WAITING && held + bytes <= WAITING_BYTES + shardwright_coordinator::limits::MAX_VALUE)
            .then_some(entry)
    }

    /// Drops the lanes whose connections may be gone.
    pub(super) fn clear_stale(&self) {
        let stale: Vec<_> = lock(&self.idle)
            .extract_if(.., |(_, lane)| lane.idle() >= STALE)
            .collect();
        drop(stale);
    }

    /// Drops the lanes that nobody uses.
    pub(super) fn clear(&self) {
        let lanes = std::mem::take(&mut *lock(&self.idle));
        drop(lanes);
    }
}

impl Pool {
    pub(super) fn new(component: AdapterComponent, shared: Arc<Shared>, namespace: Namespace) -> Self {
        let lanes = shared.options.lanes;
        Self {
            store: LanePool::new(Purpose::Store, lanes),
            publish: LanePool::new(Purpose::Publish, 1),
            // As many as there are subscriptions; memory is what limits them.
            listen: LanePool::new(Purpose::Subscribe, Semaphore::MAX_PERMITS),
            belief: HistoryGuard::new(shared.mask.clone()),
            shared,
            namespace,
            counters: Counters::default(),
            present: RwLock::new(ActiveComponent { component, number: 0 }),
            states: watch::Sender::new(AdapterState::Running),
            closed: watch::Sender::new(false),
            began: Instant::now(),
            supervisor: Mutex::default(),
            backoff: Mutex::default(),
            location: Mutex::default(),
            uncertainty: AtomicU64::new(0),
            refused: Mutex::default(),
        }
    }

    pub(super) fn present(&self) -> ActiveComponent {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn location(&self) -> String {
        lock(&self.location).clone()
    }

    /// The end of the time that a call has.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.options.timeout
    }

    /// Tells the supervisor something, and everybody else if it changes how the adapter is.
    pub(super) fn tell<T>(&self, f: impl FnOnce(&mut Supervisor, Duration) -> T) -> T {
        let mut supervisor = lock(&self.supervisor);
        let told = f(&mut supervisor, self.began.elapsed());
        let state = supervisor.state();
        drop(supervisor);
        let news = self
            .states
            .send_if_modified(|known| std::mem::replace(known, state) != state);
        if news {
            if matches!(state, AdapterState::Quarantined | AdapterState::Lost) {
                // What was opened before is not used any more.
                for purposed in [&self.store, &self.publish, &self.listen] {
                    purposed.clear();
                }
            }
            let (adapter, location) = (self.shared.options.id.as_str(), self.location());
            let why = self.why();
            match state {
                AdapterState::Running => tracing::info!(adapter, location, "the adapter works"),
                AdapterState::Restarting => {
                    tracing::warn!(adapter, why, "a lane of the adapter failed and is replaced");
                }
                // Before it was ever open, whoever opens it says so: not at every try.
                AdapterState::Unreachable if location.is_empty() => {
                    tracing::debug!(adapter, why, "the adapter's backend cannot be reached yet");
                }
                AdapterState::Unreachable => tracing::warn!(
                    adapter,
                    why,
                    "the adapter's backend cannot be reached; it is tried again"
                ),
                AdapterState::Quarantined => {
                    tracing::error!(adapter, why, "the adapter failed too often and is quarantined");
                }
                AdapterState::Lost => tracing::error!(adapter, why, "the store behind the adapter lost its history"),
            }
        }
        told
    }

    fn why(&self) -> String {
        if let Err(lost) = self.belief.begin() {
            return lost;
        }
        let supervisor = lock(&self.supervisor);
        let why = supervisor.unreachable().or(supervisor.last_fault());
        why.unwrap_or_default().to_owned()
    }

    /// A lane ended by `fault`. Returns what to tell of it.
    pub(super) fn failed(&self, fault: &LaneFault) -> String {
        let told = self.shared.mask.line(&fault.to_string());
        self.tell(|supervisor, now| supervisor.fault(now, fault, &told));
        told
    }

    /// The history is lost: no call is made any more.
    pub(super) fn lost(&self, why: String) {
        self.belief.lose(why);
        self.tell(Supervisor::lost);
    }

    /// Another component took the place of the present one.
    pub(super) fn replaced(&self) {
        lock(&self.backoff).reset();
        self.tell(Supervisor::replaced);
        for purposed in [&self.store, &self.publish] {
            purposed.clear();
        }
    }

    /// Whether no lane will be opened any more.
    pub(super) fn is_over(&self) -> bool {
        self.belief.begin().is_err()
    }

    /// A lane answered.
    pub(super) fn answered(&self) {
        // The states in which there is something to learn from it are rare.
        self.tell(Supervisor::answered);
    }

    /// A lane for a call of this purpose which carries `bytes`.
    pub(super) async fn enter<'p>(
        &'p self,
        from: &'p LanePool,
        bytes: usize,
        deadline: Instant,
    ) -> Result<LaneGuard<'p>, Refusal> {
        self.belief.begin().map_err(Refusal::Lost)?;
        let Some(waiting) = from.wait(bytes) else {
            Counters::add(&self.counters.busy);
            return Err(Refusal::Later(format!(
                "more than {WAITING} calls or {WAITING_BYTES} bytes are waiting for a lane"
            )));
        };
        let permit = timeout_at(deadline, from.permits.clone().acquire_owned()).await;
        let permit =
            permit.map_err(|_| Refusal::Later("all lanes were busy for the whole time that a call may take".into()))?;
        let permit = permit.map_err(|_| Refusal::Later("the coordinator is closed".into()))?;
        drop(waiting);
        // Not even a lane that is still there works in quarantine.
        lock(&self.supervisor)
            .quarantined(self.began.elapsed())
            .map_err(Refusal::Later)?;
        let present = self.present();
        let found = loop {
            match lock(&from.idle).pop() {
                Some((number, lane)) if number == present.number => break Some(lane),
                Some(_) => {}
                None => break None,
            }
        };
        self.counters.lanes_open.fetch_add(1, Ordering::Relaxed);
        let open = OpenLane(&self.counters.lanes_open);
        let (lane, stale) = match found {
            Some(lane) => {
                let stale = lane.idle() >= STALE;
                (lane, stale)
            }
            None => (self.open(&present, from, deadline).await?, false),
        };
        Ok(LaneGuard {
            lane,
            number: present.number,
            stale,
            pool: self,
            from,
            _permit: permit,
            _open: open,
        })
    }

    /// Takes note of what a lane asked for and was refused.
    pub(super) fn note_refused(&self, lane: &Lane) {
        let refused = lane.refused();
        if !refused.is_empty() {
            let mut known = lock(&self.refused);
            for grant in refused {
                if known.len() < REFUSALS && known.insert(grant.clone()) {
                    let adapter = self.shared.options.id.as_str();
                    tracing::warn!(adapter, grant, "the adapter asked for what it is not granted");
                }
            }
        }
    }

    pub(super) fn status(&self) -> AdapterStatus {
        let present = self.present();
        let supervisor = lock(&self.supervisor);
        let idle: usize = [&self.store, &self.publish]
            .iter()
            .map(|purposed| lock(&purposed.idle).len())
            .sum();
        let (now, ms) = (self.began.elapsed(), |time: Duration| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        });
        AdapterStatus {
            id: self.shared.options.id.clone(),
            name: present.component.name().to_owned(),
            version: present.component.version().to_owned(),
            digest: present.component.digest().to_string(),
            location: self.location(),
            state: supervisor.state(),
            state_for_ms: ms(now.saturating_sub(supervisor.since())),
            retry_in_ms: supervisor.closed_for(now).map(ms),
            lost: self.belief.begin().err(),
            unreachable: supervisor.unreachable().map(str::to_owned),
            last_fault: supervisor.last_fault().map(str::to_owned),
            lanes_open: self.counters.lanes_open.load(Ordering::Relaxed) + idle as u64,
            memory: self.shared.memory.used() as u64,
            refused: lock(&self.refused).clone(),
            totals: self.counters.totals(supervisor.counts().clone()),
        }
    }
}

impl LaneGuard<'_> {
    /// The lane is good: somebody else may have it, unless it is worn.
    pub(super) fn give_back(self) {
        let Self {
            lane,
            number,
            pool,
            from,
            ..
        } = self;
        pool.note_refused(&lane);
        if lane.is_worn() {
            return;
        }
        let mut idle = lock(&from.idle);
        if pool.present.read().unwrap_or_else(PoisonError::into_inner).number == number && !pool.is_over() {
            idle.push((number, lane));
        }
    }

    /// The lane ended by `fault`. Returns what to tell of it.
    pub(super) fn fail(self, fault: &LaneFault) -> String {
        self.pool.note_refused(&self.lane);
        self.pool.failed(fault)
    }
}
