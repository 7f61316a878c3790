//! The engine: one node's decisions, all of them. Events and the time go in, commands come out.
//!
//! It joins ([`crate::join`]), renews its session, mirrors the store ([`crate::view`]), knows what it may act on
//! ([`crate::duty`]), ends the sessions of the dead and, when it leads, asks policies and moves shards
//! ([`crate::handoff`]).

mod ending;
mod entry;
mod event;
mod history;
mod info;
mod lead;
mod memory;
mod op;
mod peers;
mod plans;
mod policies;
mod renew;
mod roles;
mod settings;
mod sight;
mod sync;

#[cfg(test)]
mod test;

pub use event::{Command, Ending, Event, NodeRecord, Notice, OpId, Refusal, Settings, Status};

use crate::clock::BackendClock;
use crate::duty::{Change, Duty};
use crate::id::{HistoryId, NodeId, SessionId};
use crate::join::{Awaited, Outcome, Request};
use crate::plan::shape;
use crate::store::{Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::view::View;
use entry::Phase;
use info::InfoState;
use lead::Lead;
use memory::MemoryState;
use op::{Op, Pending, revision_of, time_of};
use renew::Mine;
use settings::SettingsState;
use sight::Sight;
use std::collections::BTreeMap;
use std::sync::Arc;
use sync::Sync;
use xxhash_rust::xxh3::xxh3_128;

/// One node.
#[derive(Clone, Debug)]
pub struct Engine {
    set: Settings,
    phase: Phase,
    clock: BackendClock,
    view: View,
    duty: Duty,
    mine: Option<Mine>,
    sync: Sync,
    info: InfoState,
    settings: SettingsState,
    lead: Lead,
    memory: MemoryState,
    sight: Sight,
    /// Probes and ends of other nodes' sessions: when the next try may begin.
    probes: BTreeMap<NodeId, Instant>,
    /// The history in which this node has acted, and whether the store went back within it.
    history: Option<(HistoryId, u64)>,
    regressed: bool,
    /// The present history, since when nobody may act by what it has lost, and when that was first read here.
    meta_seen: Option<(HistoryId, StoreTime, Instant)>,
    /// Until when nobody may be granted anything, after history was lost or a part of it may have been.
    grace_until: Instant,
    /// Until when this node has said that it waits before it joins.
    told_grace: Instant,
    /// The last partial loss of the store that this node was told of.
    heard: StoreTime,
    /// Whether this node's settings differ from the prevailing ones.
    differs: bool,
    /// What was told of that a join waits for.
    awaited: Option<Awaited>,
    /// Whether this node has joined before: a refusal is then tried again instead of being final.
    joined_once: bool,
    /// Whether the coordinator failed last, and whether it failed to write.
    down: bool,
    down_to_writes: bool,
    registry: Arc<[NodeRecord]>,
    registry_due: Option<Instant>,
    told_deadline: Option<Instant>,
    told_wake: Option<Instant>,
    ops: BTreeMap<OpId, Pending>,
    /// The highest revision in any answer: no later listing may be below it.
    highest: Revision,
    counter: u64,
    /// The time of the event that is being handled.
    now: Instant,
    out: Vec<Command>,
}

impl Engine {
    /// A node that has not started yet.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        settings.info.settings = settings.shared.fingerprint();
        let duty = Duty::new(settings.roles.iter().map(shape).collect(), settings.rules);
        let lead = Lead::new(settings.roles.len());
        let memory = MemoryState::new(settings.memory.clone());
        Self {
            set: settings,
            phase: Phase::New,
            clock: BackendClock::default(),
            view: View::default(),
            duty,
            mine: None,
            sync: Sync::default(),
            info: InfoState::default(),
            settings: SettingsState::default(),
            lead,
            memory,
            sight: Sight::default(),
            probes: BTreeMap::new(),
            history: None,
            regressed: false,
            meta_seen: None,
            grace_until: Instant(0),
            told_grace: Instant(0),
            heard: StoreTime::default(),
            differs: false,
            awaited: None,
            joined_once: false,
            down: false,
            down_to_writes: false,
            registry: Arc::from(Vec::new()),
            registry_due: None,
            told_deadline: None,
            told_wake: None,
            ops: BTreeMap::new(),
            highest: Revision(0),
            counter: 0,
            now: Instant(0),
            out: Vec::new(),
        }
    }

    /// Takes one event in at local time `now` and returns what is to be done, in order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Command> {
        self.now = now;
        // Before anything else: a process that was suspended must not act on what it believed.
        self.check_deadline(now);
        match event {
            Event::Start => self.begin(),
            // The timer is spent, even if it rang early: it is set again below.
            Event::Wake => self.told_wake = None,
            Event::Look => self.look(),
            Event::Stored { op, outcome } => self.stored(op, outcome, now),
            Event::Stopped(stop) => {
                let changes = self.duty.stopped(stop);
                self.perform(changes);
            }
            Event::Answered { request, answer } => self.answered(request, answer, now),
            Event::PolicyChanged { role, digest } => self.policy_changed(role, digest),
            Event::Order { drain, cordon } => self.order(drain, cordon),
            Event::Leave => self.leave(now),
        }
        self.turn(now);
        std::mem::take(&mut self.out)
    }

    /// The id, while it is held.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.mine.as_ref().map(|m| m.id)
    }

    /// The present session, while the id is held.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.mine.as_ref().map(|m| m.session.session)
    }

    /// What this node holds and what is stopping.
    #[must_use]
    pub fn duty(&self) -> &Duty {
        &self.duty
    }

    /// Until when this node may act, if it may act at all.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        // From the moment that the end of the session may be in the store, somebody else may hold the id.
        let ends = matches!(self.phase, Phase::Bye | Phase::Gone);
        self.mine
            .as_ref()
            .filter(|m| !m.late && !self.differs && !ends)
            .map(|m| m.deadline)
    }

    /// Whether this node believes that it leads.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.lead.leading
    }

    /// The store as last seen.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Everything that is due by now, then the time of the next thing to do.
    fn turn(&mut self, now: Instant) {
        self.turn_entry(now);
        self.turn_memory(now);
        if self.mine.is_some() && matches!(self.phase, Phase::Held) {
            self.check_settings();
            self.gate();
            self.turn_renewal(now);
            self.turn_sync(now);
            self.turn_settings(now);
            self.turn_info(now);
            self.turn_registry(now);
            self.turn_peers(now);
            self.turn_lead(now);
        }
        if matches!(self.phase, Phase::Leaving) {
            // Until its work has stopped it is still the holder, and must not look dead.
            self.turn_renewal(now);
        }
        self.tell_deadline();
        let wake = self.next_wake(now);
        if wake != self.told_wake {
            self.told_wake = wake;
            self.out.extend(wake.map(Command::Wake));
        }
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let mut due = vec![self.entry_due(), self.memory_due()];
        if matches!(self.phase, Phase::Leaving) {
            due.push(self.renewal_due());
        }
        if self.mine.is_some() && matches!(self.phase, Phase::Held) {
            due.extend([
                self.renewal_due(),
                self.sync_due(),
                self.settings_due(),
                self.info_due(),
                self.registry_due,
                self.peers_due(now),
                self.lead_due(),
            ]);
        }
        due.into_iter().flatten().min().map(|at| at.max(now.plus(1)))
    }

    fn stored(&mut self, id: OpId, outcome: Outcome, now: Instant) {
        let Some(pending) = self.ops.remove(&id) else { return };
        let Pending {
            op,
            sent,
            floor,
            writes,
            heard,
        } = pending;
        let was_down = self.down;
        // What keeps a node from starting is told once, as the reason why it does not.
        if !(matches!(op, Op::ReadMeta | Op::Joined(_)) && self.is_refusal(&outcome)) {
            self.note_health(&outcome, writes);
        }
        if matches!(outcome, Ok(_) | Err(StoreError::Conflict(_))) {
            self.sight.answered(now, self.set.timing.renew, self.set.timing.margin);
        }
        if let (Err(StoreError::HistoryLost(why)), Some((known, _)), false) =
            (&outcome, self.history, was_down || self.mine.is_some())
        {
            // Between two sessions there is nothing to lose but the way back: whoever runs this node may have to open
            // the store anew.
            let reason = why.clone();
            self.notice(Notice::HistoryLost { known, reason });
        }
        if let Some(backend) = time_of(&outcome) {
            let set = &self.set.timing;
            if let Some(by) = self.clock.learn(sent, now, backend, set.drift_ppm, set.taker()) {
                self.notice(Notice::ClockJumped { by });
            }
        }
        self.hear(&outcome, now);
        if let Some(revision) = revision_of(&outcome) {
            self.highest = self.highest.max(revision);
        }
        let lost = self.sign_of_loss(&outcome, floor, heard);
        if let (Some(reason), true) = (lost, self.mine.is_some()) {
            self.regressed = true;
            self.lose_history(reason, now);
            return;
        }
        match op {
            Op::ReadMeta => self.meta_read(outcome, now),
            Op::Joined(read) => self.joined_seen(*read, outcome, now),
            Op::WriteMeta => self.meta_written(&outcome, now),
            Op::Join => self.join_answered(outcome, now),
            Op::Claim { claim } => self.claimed(*claim, outcome, now),
            Op::Seal => self.sealed(outcome, now),
            Op::Prove => self.proved(outcome, sent, now),
            Op::Renew { applied } => self.renewed(outcome, applied, sent, now),
            Op::List { full } => self.listed(outcome, full, floor, sent, now),
            Op::Reserve(op) => self.reserved(&op, outcome, now),
            Op::Info(op) => self.info_answered(op, outcome, now),
            Op::Settings(op) => self.settings_answered(&op, outcome, now),
            Op::Probe { node, seen } => self.probed(node, seen, outcome, sent, now),
            Op::End { node, ended } => self.ended(node, *ended, outcome, now),
            Op::Lead { value } => self.led(value, outcome, now),
            // The end of the session is the greater news, if it is on its way.
            Op::Policies { value } => self.policies_told(value, outcome, now),
            Op::Resign if matches!(self.phase, Phase::Leaving) => self.out.push(Command::Hint),
            Op::Resign => {}
            Op::Plan { role, part, plan } => self.planned(role, part, plan, outcome, now),
            Op::Bye => self.bye_answered(outcome, now),
        }
    }

    fn send(&mut self, op: Op, request: Request, now: Instant) {
        self.counter += 1;
        let id = OpId(self.counter);
        self.ops.insert(
            id,
            Pending {
                op,
                sent: now,
                floor: self.highest,
                writes: request.is_write(),
                heard: self.heard,
            },
        );
        let heard = self.heard;
        self.out.push(Command::Store { op: id, request, heard });
    }

    fn notice(&mut self, notice: Notice) {
        self.out.push(Command::Notice(notice));
    }

    fn perform(&mut self, changes: Vec<Change>) {
        let deadline = self.deadline().unwrap_or(self.now);
        // A process that was stopped learns late that its time was over.
        let until = self.told_deadline.map_or(self.now, |told| told.min(self.now));
        for change in changes {
            self.out.push(match change {
                Change::Gain { role, epoch, shards } => Command::Gain {
                    role,
                    epoch,
                    shards,
                    since: self.now,
                    deadline,
                },
                Change::Stop { stop, role, shards } => Command::Stop {
                    stop,
                    role,
                    shards,
                    until,
                },
            });
        }
    }

    /// Tells once that the coordinator fails, and once that it answers again: a store that only reads has not recovered
    /// from failing to write.
    fn note_health(&mut self, outcome: &Outcome, writes: bool) {
        let trouble = match outcome {
            Ok(_) | Err(StoreError::Conflict(_)) => None,
            Err(e) => Some(e.to_string()),
        };
        match trouble {
            Some(why) => {
                self.down_to_writes |= writes;
                if !std::mem::replace(&mut self.down, true) {
                    self.notice(Notice::CoordinatorDown(why));
                }
            }
            None if self.down && (writes || !self.down_to_writes) => {
                (self.down, self.down_to_writes) = (false, false);
                self.notice(Notice::CoordinatorUp);
            }
            _ => {}
        }
    }

    /// Pseudo-random bits that follow from the seed.
    fn random(&mut self) -> u128 {
        self.counter += 1;
        let mut key = [0; 24];
        key[..16].copy_from_slice(&self.set.seed.to_le_bytes());
        key[16..].copy_from_slice(&self.counter.to_le_bytes());
        xxh3_128(&key)
    }

    /// `ms` less up to a tenth.
    fn jitter(&mut self, ms: u64) -> u64 {
        let tenth = u128::from(ms / 10 + 1);
        ms - u64::try_from(self.random() % tenth).unwrap_or(0)
    }

    /// How long to wait before an operation that failed is tried again.
    fn retry(&mut self) -> u64 {
        let ms = (self.set.timing.renew / 8).clamp(20, 1_000);
        self.jitter(ms)
    }
}
