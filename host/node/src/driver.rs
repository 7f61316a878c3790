//! The one task that owns the engine: it takes events in, and has the engine's commands performed.

use crate::bus::Bus;
use crate::clock;
use crate::crew::{Crew, failure as crew_failure};
use crate::echo::Echo;
use crate::event::NodeEvent;
use crate::health::Pulse;
use crate::life::Life;
use crate::losing::{Losing, LosingHook};
use crate::policies::Policies;
use crate::shared::{Ended, Phase, Shared};
use crate::state_dir::{self, StateDir};
use crate::store::StoreCalls;
use crate::tell;
use shardwright_core::duty::StopId;
use shardwright_core::engine::{Command, Engine, Event, NodeRecord, Notice};
use shardwright_core::id::Token;
use shardwright_core::store::StoreError;
use shardwright_core::time::Instant;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

/// How long a node that leaves waits for its last hints to be sent. The others see what it wrote at their next renewal
/// at the latest.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the driver works with.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<StoreCalls>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) losing: Option<LosingHook>,
    pub(crate) stop_timeout: Duration,
    pub(crate) life: Life,
    /// Locked for as long as the driver lives.
    pub(crate) state: Arc<StateDir>,
    /// The cluster's name.
    pub(crate) cluster: String,
}

pub(crate) struct Driver {
    engine: Engine,
    parts: Parts,
    roles: Vec<String>,
    inbox: mpsc::UnboundedReceiver<Event>,
    wake: Option<Instant>,
    /// Work under way, each with the event that stands for it if it panics.
    work: JoinSet<Event>,
    fallback: HashMap<Id, Event>,
    /// Where hints that are due are left.
    hints: mpsc::Sender<()>,
    /// The task that sends them. It ends with the last of them, when nobody leaves any more.
    hinting: JoinSet<()>,
    /// The listener for hints, and the echo.
    crew: Crew,
    echo: AbortHandle,
    /// What fails outside the driver.
    failure: watch::Receiver<Option<String>>,
    /// Why the node has to end, once it has.
    failed: Option<String>,
}

/// However the driver ends, by panic or by being dropped: the node acts no more, and everybody is told.
struct Closing(Arc<Shared>, Arc<Bus>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.fence.close();
        self.0.hold_none();
        self.1.end();
        let panicked = std::thread::panicking();
        let reason = panicked.then(|| "its driver panicked; the log says more".to_owned());
        let ended = reason.clone().map_or(Ended::Dropped, Ended::Failed);
        let mut was = Phase::Starting;
        let news = self.0.phase.send_if_modified(|phase| {
            let open = !matches!(phase, Phase::Ended(_));
            if open {
                was = std::mem::replace(phase, Phase::Ended(ended));
            }
            open
        });
        if news {
            // Whoever gives up a start asked for no more than that; a member that is dropped is missed by the others.
            let dropped = || (was == Phase::Member).then(|| "it was dropped without a shutdown".to_owned());
            self.0.emit(NodeEvent::Ended {
                reason: reason.or_else(dropped),
            });
        }
    }
}

/// The registry, if that is the command.
fn listed(command: &Command) -> Option<Arc<[NodeRecord]>> {
    match command {
        Command::Registry(records) => Some(records.clone()),
        _ => None,
    }
}

impl Driver {
    /// Events for `engine` come from `inbox`; `outbox` is its other end, for hints from other nodes.
    pub(crate) fn new(
        engine: Engine,
        parts: Parts,
        inbox: mpsc::UnboundedReceiver<Event>,
        outbox: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let roles = parts
            .shared
            .tables
            .iter()
            .map(|table| table.spec.name.clone())
            .collect();
        let life = &parts.life;
        // One that is due is as good as many.
        let (hints, due) = mpsc::channel(1);
        let mut hinting = JoinSet::new();
        hinting.spawn(life.follow(parts.bus.clone().hint_all(due)));
        let mut crew = Crew::default();
        let shared = parts.shared.clone();
        let listening = parts.bus.clone().listen(move |loss| {
            if let Some(reason) = loss {
                shared.emit(NodeEvent::Resync { reason });
            }
            // The driver has ended if this fails.
            let _ = outbox.send(Event::Look);
        });
        crew.spawn("listens for hints", life.follow(listening));
        let watching = state_dir::watch(parts.state.clone(), parts.shared.clone());
        crew.spawn("watches the state directory", life.follow(watching));
        let (bus, shared) = (parts.bus.clone(), parts.shared.clone());
        let watching = async move {
            let why = bus.ended().await;
            shared.fail(format!("the coordinator has ended for good: {why}"));
            std::future::pending::<()>().await;
        };
        crew.spawn("watches the coordinator", life.follow(watching));
        let echo = Echo::new(parts.bus.clone(), parts.pulse.clone());
        let echo = crew.spawn("listens for this node's echo", life.follow(echo.run()));
        let failure = parts.shared.failure.subscribe();
        Self {
            engine,
            parts,
            roles,
            inbox,
            wake: None,
            work: JoinSet::new(),
            fallback: HashMap::new(),
            hints,
            hinting,
            crew,
            echo,
            failure,
            failed: None,
        }
    }

    /// Drives the node until it has left.
    pub(crate) async fn run(mut self) {
        let _closing = Closing(self.parts.shared.clone(), self.parts.bus.clone());
        let mut event = Event::Start;
        while self.feed(event) {
            event = self.next().await;
        }
        // What was written last is news for the others.
        drop(self.hints);
        if tokio::time::timeout(LAST_WORDS, self.hinting.join_next())
            .await
            .is_err()
        {
            tracing::warn!("the other nodes could not be told: they see at their next look that this node has ended");
        }
        self.crew.end().await;
    }

    async fn next(&mut self) -> Event {
        let (watched, failed) = (&mut self.failure, self.failed.is_some());
        loop {
            tokio::select! {
                Some(event) = self.inbox.recv() => return event,
                Some(done) = self.work.join_next_with_id() => {
                    if let Some(event) = ended(&mut self.fallback, done) {
                        return event;
                    }
                }
                () = clock::sleep_until(self.wake) => {
                    self.wake = None;
                    return Event::Wake;
                }
                reason = broken(&mut self.crew, &mut self.hinting, &mut *watched), if !failed => {
                    // In good order, as far as it still can: the others wait for nothing.
                    tracing::error!(reason, "this node cannot go on: it hands over and ends");
                    self.failed = Some(reason);
                    return Event::Leave;
                }
            }
        }
    }

    fn spawn(&mut self, fallback: Event, work: impl Future<Output = Event> + Send + 'static) {
        let handle = self.work.spawn(work.in_current_span());
        self.fallback.insert(handle.id(), fallback);
    }

    /// Gives `event` and all that follows from it at once to the engine. False when the node has left.
    fn feed(&mut self, event: Event) -> bool {
        if matches!(event, Event::Leave) {
            // Who leaves is not ill.
            self.echo.abort();
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let commands = self.engine.handle(event, clock::now());
            // Before the news of the same turn, which names nodes as they are listed there.
            if let Some(records) = commands.iter().rev().find_map(listed) {
                self.parts.shared.set_registry(records);
            }
            for command in commands {
                if let Command::Left(outcome) = command {
                    let (ended, reason) = match (self.failed.take(), outcome) {
                        (Some(reason), _) => (Ended::Failed(reason.clone()), Some(reason)),
                        (None, Ok(())) => (Ended::Asked, None),
                        (None, Err(refusal)) => (Ended::Refused(refusal.clone()), Some(refusal.to_string())),
                    };
                    self.parts.shared.hold_none();
                    let before = self.parts.shared.phase.send_replace(Phase::Ended(ended));
                    let event = NodeEvent::Ended { reason };
                    match before {
                        // The error with which the start ends says it.
                        Phase::Starting => self.parts.shared.announce(event),
                        _ => self.parts.shared.emit(event),
                    }
                    return false;
                }
                self.perform(command, &mut events);
            }
        }
        true
    }

    fn perform(&mut self, command: Command, events: &mut VecDeque<Event>) {
        match command {
            Command::Store { op, request, heard } => {
                let store = self.parts.store.clone();
                let panicked = Err(StoreError::Indeterminate("the backend panicked".into()));
                let done = async move {
                    Event::Stored {
                        op,
                        outcome: store.perform(request, heard).await,
                    }
                };
                self.spawn(Event::Stored { op, outcome: panicked }, done);
            }
            Command::Hint => {
                // If there is no room, one is due already.
                let _ = self.hints.try_send(());
            }
            Command::Ask {
                request,
                role,
                snapshot,
            } => {
                let policies = self.parts.policies.clone();
                let failed = |reason: String| Event::Answered {
                    request,
                    answer: Err(reason),
                };
                let done = async move {
                    let asked = tokio::task::spawn_blocking(move || policies.assign(role, *snapshot)).await;
                    let answer = asked.unwrap_or_else(|error| Err(format!("the call of the policy failed: {error}")));
                    Event::Answered { request, answer }
                };
                self.spawn(failed("the call of the policy failed".into()), done);
            }
            Command::Gain {
                role,
                epoch,
                shards,
                since,
                deadline,
            } => self.gain(role, epoch, &shards, (since, deadline)),
            Command::Stop {
                stop,
                role,
                shards,
                until,
            } => self.stop(stop, role, &shards, until, events),
            Command::Deadline(deadline) => {
                if let Some(deadline) = deadline {
                    self.parts.pulse.renewed(deadline);
                }
                self.parts.shared.fence.set(deadline);
            }
            Command::Plan { role, part, plan, .. } => {
                if let Some(table) = self.parts.shared.tables.get(role) {
                    table.learn(part, plan);
                }
            }
            Command::Remember(memory) => self.parts.state.remember(&self.parts.cluster, memory),
            // It was taken before the rest.
            Command::Registry(_) => {}
            Command::Notice(notice) => self.notice(notice),
            Command::Wake(instant) => self.wake = Some(instant),
            Command::Left(_) => {}
        }
    }

    fn notice(&self, notice: Notice) {
        let shared = &self.parts.shared;
        if let Notice::Joined { id, .. } = notice {
            self.parts.life.holds(id);
            let _in = self.parts.life.span().entered();
            shared.hold(id);
            self.parts.bus.begin(id, self.parts.store.session_written());
            shared.emit(tell::event(notice, &self.roles));
            shared.phase.send_replace(Phase::Member);
        } else {
            if matches!(notice, Notice::SessionLost | Notice::HistoryLost { .. }) {
                shared.hold_none();
            }
            shared.emit(tell::event(notice, &self.roles));
        }
    }

    fn gain(&self, role: usize, epoch: u64, held: &[(u32, Token)], (since, deadline): (Instant, Instant)) {
        let shared = &self.parts.shared;
        let Some(table) = shared.tables.get(role) else { return };
        table.grant(held);
        shared.holding.send_modify(|holding| *holding += held.len());
        let (shards, tokens) = held.iter().copied().unzip();
        let event = NodeEvent::Gained {
            role: table.spec.name.clone(),
            shards,
            tokens,
            epoch,
            since: Duration::from_millis(since.0),
            deadline: Duration::from_millis(deadline.0),
        };
        shared.emit(event);
    }

    /// Nothing new can begin on these shards from here on; what runs is told, and waited for.
    fn stop(&mut self, stop: StopId, role: usize, held: &[(u32, Token)], until: Instant, events: &mut VecDeque<Event>) {
        let shared = self.parts.shared.clone();
        let Some(table) = shared.tables.get(role) else {
            events.push_back(Event::Stopped(stop));
            return;
        };
        let (shards, tokens): (Vec<u32>, Vec<Token>) = held.iter().copied().unzip();
        let losing = Losing {
            grants: table.revoke(&shards),
            shared: shared.clone(),
            role: table.spec.name.clone(),
            shards,
            tokens,
        };
        losing.begin(until);
        if losing.grants.is_empty() && self.parts.losing.is_none() {
            losing.done(false);
            events.push_back(Event::Stopped(stop));
            return;
        }
        let (hook, limit) = (self.parts.losing.clone(), self.parts.stop_timeout);
        self.spawn(Event::Stopped(stop), async move {
            losing.end(hook, limit).await;
            Event::Stopped(stop)
        });
    }
}

/// Waits until something has ended that the node needs, and says what.
async fn broken(crew: &mut Crew, hinting: &mut JoinSet<()>, failure: &mut watch::Receiver<Option<String>>) -> String {
    tokio::select! {
        reason = crew.deserted() => reason,
        // It ends by itself only after the driver.
        Some(Err(error)) = hinting.join_next() => format!("the task that sends hints {}", crew_failure(error)),
        // The sender is in what the driver and its node share.
        Ok(told) = failure.wait_for(Option::is_some) => told.clone().unwrap_or_default(),
    }
}

/// The event of work that has ended.
fn ended(fallback: &mut HashMap<Id, Event>, done: Result<(Id, Event), JoinError>) -> Option<Event> {
    match done {
        Ok((id, event)) => {
            fallback.remove(&id);
            Some(event)
        }
        Err(error) => {
            let id = error.id();
            tracing::error!(error = crew_failure(error), "a task of the runtime failed");
            fallback.remove(&id)
        }
    }
}
