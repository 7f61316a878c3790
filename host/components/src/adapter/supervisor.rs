//! How often an adapter may fail, and what becomes of it: replaced at once, later, or not for a while. Pure: the time
//! is an argument.

use super::fault::{FaultKind, LaneFault};
use crate::state::AdapterState;
use shardwright_core::human::Span;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most faults within [`WINDOW`]; one more is quarantine.
const BUDGET: usize = 5;
/// How long a fault counts; and how long an adapter must be well for quarantines to be short again.
const WINDOW: Duration = Duration::from_secs(60);
/// The wait after the second fault within the window; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The first quarantine; it doubles with each further one.
const FIRST_QUARANTINE: Duration = Duration::from_secs(30);
/// How long the lane that is tried after a quarantine has to answer, before another one is.
const TRIAL: Duration = Duration::from_secs(5);
/// The longest quarantine.
const LONGEST_QUARANTINE: Duration = Duration::from_secs(600);

/// The account of one adapter. Times are since any fixed beginning.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    faults: VecDeque<Duration>,
    counts: BTreeMap<FaultKind, u64>,
    last_fault: Option<String>,
    /// No lane is opened before.
    not_before: Duration,
    state: AdapterState,
    since: Duration,
    quarantines: u32,
    /// The lane that is tried after a quarantine has been opened, or is being.
    trial: bool,
    unreachable: Option<String>,
}

/// No lane may be opened now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// When it may be tried.
    pub(super) until: Duration,
    /// Why not now.
    pub(super) why: String,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            faults: VecDeque::new(),
            counts: BTreeMap::new(),
            last_fault: None,
            not_before: Duration::ZERO,
            state: AdapterState::Running,
            since: Duration::ZERO,
            quarantines: 0,
            trial: false,
            unreachable: None,
        }
    }
}

impl Supervisor {
    pub(super) const fn state(&self) -> AdapterState {
        self.state
    }

    /// When it entered its state.
    pub(super) const fn since(&self) -> Duration {
        self.since
    }

    /// For how long no lane may be opened yet.
    pub(super) fn closed_for(&self, now: Duration) -> Option<Duration> {
        self.not_before.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// How often each kind of fault has happened.
    pub(super) const fn counts(&self) -> &BTreeMap<FaultKind, u64> {
        &self.counts
    }

    pub(super) fn last_fault(&self) -> Option<&str> {
        self.last_fault.as_deref()
    }

    /// Why the backend cannot be reached at present.
    pub(super) fn unreachable(&self) -> Option<&str> {
        self.unreachable.as_deref()
    }

    fn enter(&mut self, state: AdapterState, now: Duration) {
        if self.state != state && self.state != AdapterState::Lost {
            self.state = state;
            self.since = now;
        }
    }

    /// Why no call is made at present, if the adapter is quarantined and it is not yet time to try it.
    pub(super) fn quarantined(&self, now: Duration) -> Result<(), String> {
        match self.wait(now) {
            Some(wait) if self.state == AdapterState::Quarantined && !self.trial => Err(wait.why),
            _ => Ok(()),
        }
    }

    /// Whether a lane may be opened. After a quarantine one is, as a trial; the others wait for what becomes of it.
    pub(super) fn may_open(&mut self, now: Duration) -> Result<(), Wait> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        if self.state == AdapterState::Quarantined {
            self.trial = true;
            self.not_before = now + TRIAL;
        }
        Ok(())
    }

    fn wait(&self, now: Duration) -> Option<Wait> {
        if now >= self.not_before {
            return None;
        }
        let left = self.not_before - now;
        let last = self.last_fault.as_deref().unwrap_or("unknown");
        let why = match self.state {
            AdapterState::Quarantined => format!(
                "the adapter is quarantined for another {} s after {} faults within {} s, the last: {last}",
                left.as_secs() + 1,
                BUDGET + 1,
                WINDOW.as_secs()
            ),
            AdapterState::Unreachable => self.unreachable.clone().unwrap_or_default(),
            _ => format!(
                "the adapter is started again in {} after a fault: {last}",
                Span::from(left)
            ),
        };
        Some(Wait {
            until: self.not_before,
            why,
        })
    }

    /// A lane ended by a fault, of which `told` is told.
    pub(super) fn fault(&mut self, now: Duration, fault: &LaneFault, told: &str) {
        *self.counts.entry(fault.kind()).or_default() += 1;
        self.last_fault = Some(told.to_owned());
        if !fault.is_counted() {
            return;
        }
        let trial = std::mem::take(&mut self.trial);
        if self.state == AdapterState::Quarantined && !trial {
            // A call that was under way.
            return;
        }
        self.forget(now);
        self.faults.push_back(now);
        if trial || self.faults.len() > BUDGET {
            let length = FIRST_QUARANTINE
                .saturating_mul(1 << self.quarantines.min(10))
                .min(LONGEST_QUARANTINE);
            self.quarantines += 1;
            self.faults.clear();
            self.not_before = now + length;
            self.enter(AdapterState::Quarantined, now);
            return;
        }
        // The first is replaced at once.
        let earlier = u32::try_from(self.faults.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if earlier > 0 {
            self.not_before = now + FIRST_WAIT.saturating_mul(1 << (earlier - 1).min(10));
        }
        self.enter(AdapterState::Restarting, now);
    }

    /// A lane could not be opened because of the backend; the next try comes after `wait`.
    pub(super) fn unopened(&mut self, now: Duration, why: &str, wait: Duration) {
        self.unreachable = Some(why.to_owned());
        self.trial = false;
        self.not_before = self.not_before.max(now + wait);
        self.enter(AdapterState::Unreachable, now);
    }

    /// A lane was opened.
    pub(super) fn opened(&mut self, now: Duration) {
        self.unreachable = None;
        if self.state == AdapterState::Unreachable {
            self.enter(AdapterState::Running, now);
        }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, now: Duration) {
        if self.state == AdapterState::Running && self.quarantines == 0 {
            return;
        }
        self.forget(now);
        if self.state == AdapterState::Quarantined && std::mem::take(&mut self.trial) {
            self.not_before = now;
            self.enter(AdapterState::Running, now);
        }
        if matches!(self.state, AdapterState::Restarting | AdapterState::Unreachable) {
            self.enter(AdapterState::Running, now);
        }
        if self.state == AdapterState::Running && now.saturating_sub(self.since) >= WINDOW && self.faults.is_empty() {
            self.quarantines = 0;
        }
    }

    /// Another component is in its place, which is not to blame for what the former one did.
    pub(super) fn replaced(&mut self, now: Duration) {
        self.faults.clear();
        self.quarantines = 0;
        self.trial = false;
        self.not_before = Duration::ZERO;
        self.unreachable = None;
        self.enter(AdapterState::Running, now);
    }

    /// The history is lost.
    pub(super) fn lost(&mut self, now: Duration) {
        self.enter(AdapterState::Lost, now);
    }

    fn forget(&mut self, now: Duration) {
        while self.faults.front().is_some_and(|at| now.saturating_sub(*at) >= WINDOW) {
            self.faults.pop_front();
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn trap() -> LaneFault {
        LaneFault::Trap("unreachable".into())
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_fault_is_replaced_at_once_and_the_next_later_and_later() {
        let mut supervisor = Supervisor::default();
        supervisor.fault(s(1), &trap(), "unreachable");
        assert_eq!(
            (supervisor.may_open(s(1)), supervisor.state()),
            (Ok(()), AdapterState::Restarting)
        );
        let mut waits = Vec::new();
        for _ in 0..3 {
            let now = supervisor.not_before.max(s(1));
            supervisor.fault(now, &trap(), "unreachable");
            let wait = supervisor.may_open(now).expect_err("not at once");
            assert!(wait.why.contains("unreachable"), "{}", wait.why);
            waits.push((wait.until - now).as_millis());
        }
        assert_eq!(waits, [100, 200, 400]);
        supervisor.answered(s(10));
        assert_eq!((supervisor.state(), supervisor.since()), (AdapterState::Running, s(10)));
    }

    #[test]
    fn too_many_faults_are_quarantine_which_ends_with_a_trial() {
        let mut supervisor = Supervisor::default();
        for at in 0..=5 {
            supervisor.fault(s(at), &trap(), "unreachable");
        }
        assert_eq!(supervisor.state(), AdapterState::Quarantined);
        assert_eq!(
            (supervisor.closed_for(s(6)), supervisor.closed_for(s(35))),
            (Some(s(29)), None)
        );
        let wait = supervisor.may_open(s(6)).expect_err("quarantined");
        assert!(wait.until == s(35) && wait.why.contains("quarantined"), "{wait:?}");
        // A call that was under way says nothing new, whatever it says.
        supervisor.fault(s(7), &trap(), "unreachable");
        supervisor.answered(s(8));
        assert!(supervisor.quarantined(s(8)).expect_err("still").contains("quarantined"));
        assert_eq!(
            (supervisor.quarantined(s(35)), supervisor.may_open(s(35))),
            (Ok(()), Ok(()))
        );
        assert!(supervisor.may_open(s(35)).is_err(), "one is tried, not all");
        // The trial fails: twice as long.
        supervisor.fault(s(35), &trap(), "unreachable");
        assert_eq!(supervisor.may_open(s(36)).expect_err("again").until, s(95));
        // The trial succeeds.
        assert_eq!(supervisor.may_open(s(95)), Ok(()));
        supervisor.answered(s(95));
        assert_eq!(supervisor.may_open(s(95)), Ok(()));
        assert_eq!(supervisor.state(), AdapterState::Running);
        // Well for as long as a fault counts: all is forgotten.
        supervisor.answered(s(155));
        for at in 0..=5 {
            supervisor.fault(s(200 + at), &trap(), "unreachable");
        }
        assert_eq!(supervisor.may_open(s(206)).expect_err("quarantined").until, s(235));
    }

    #[test]
    fn another_component_begins_anew_unless_the_store_is_lost() {
        let mut supervisor = Supervisor::default();
        (0..=5).for_each(|at| supervisor.fault(s(at), &trap(), "unreachable"));
        supervisor.replaced(s(7));
        assert_eq!(
            (supervisor.state(), supervisor.since(), supervisor.may_open(s(7))),
            (AdapterState::Running, s(7), Ok(()))
        );
        (8..=13).for_each(|at| supervisor.fault(s(at), &trap(), "unreachable"));
        assert_eq!(
            supervisor.may_open(s(14)).expect_err("quarantined").until,
            s(43),
            "as briefly as the first time"
        );
        supervisor.lost(s(15));
        supervisor.replaced(s(16));
        assert_eq!(supervisor.state(), AdapterState::Lost);
    }

    #[test]
    fn faults_that_are_far_apart_do_not_add_up() {
        let mut supervisor = Supervisor::default();
        for at in 0..100 {
            supervisor.fault(s(at * 61), &trap(), "unreachable");
            assert_eq!(supervisor.may_open(s(at * 61)), Ok(()));
            supervisor.answered(s(at * 61 + 1));
        }
        assert_eq!(supervisor.counts()[&FaultKind::Trap], 100);
    }

    #[test]
    fn a_silent_backend_is_not_the_adapters_fault() {
        let mut supervisor = Supervisor::default();
        for at in 0..100 {
            supervisor.fault(s(at), &LaneFault::Silent { limit: s(1) }, "silent");
        }
        assert_eq!(
            (supervisor.state(), supervisor.may_open(s(100))),
            (AdapterState::Running, Ok(()))
        );
        supervisor.unopened(s(100), "nobody answers", s(1));
        assert_eq!(supervisor.state(), AdapterState::Unreachable);
        assert_eq!(supervisor.may_open(s(100)).expect_err("later").why, "nobody answers");
        supervisor.opened(s(101));
        assert_eq!(supervisor.state(), AdapterState::Running);
    }
}
