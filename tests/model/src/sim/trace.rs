//! What happened in a run: counters always, words when a failure is replayed.

use super::clock::{MS, Time};
use shardwright_core::engine::{Command, Event, Notice};
use shardwright_core::values::{Key, Value};
use std::collections::{BTreeMap, VecDeque};

/// Lines kept: enough for the last seconds of a run.
const LINES: usize = 2_000;

/// The account of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// How often each kind of thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Steps made.
    pub steps: u64,
    log: Option<VecDeque<String>>,
}

impl Trace {
    /// Counts only.
    #[must_use]
    pub fn counting() -> Self {
        Self::default()
    }

    /// Also keeps the last steps in words.
    #[must_use]
    pub fn telling() -> Self {
        Self {
            log: Some(VecDeque::new()),
            ..Self::default()
        }
    }

    /// The last steps in words.
    #[must_use]
    pub fn lines(self) -> Vec<String> {
        self.log.unwrap_or_default().into()
    }

    /// Counts one of a kind.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Takes a step down.
    pub fn note(&mut self, now: Time, who: &str, what: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            if log.len() == LINES {
                log.pop_front();
            }
            log.push_back(format!("{:>7}.{:03} {who}: {}", now / MS, now % MS, what()));
        }
    }

    /// A process is told something.
    pub fn event(&mut self, now: Time, who: &str, event: &Event) {
        if !matches!(event, Event::Wake | Event::Look) {
            self.note(now, who, || shorten(format!("< {event:?}")));
        }
    }

    /// A process orders something.
    pub fn command(&mut self, now: Time, who: &str, command: &Command) {
        if !matches!(command, Command::Wake(_) | Command::Registry(_) | Command::Plan { .. }) {
            self.note(now, who, || shorten(format!("  > {command:?}")));
        }
    }

    /// A write succeeded.
    pub fn wrote(&mut self, now: Time, who: &str, key: &Key, value: &Value) {
        self.note(now, "store", || shorten(format!("{key} written by {who}: {value:?}")));
    }

    /// A process has something to say.
    pub fn noticed(&mut self, notice: &Notice) {
        self.count(match notice {
            Notice::Joined { .. } => "joined",
            Notice::Grace { .. } => "grace",
            Notice::Fenced { .. } => "fenced",
            Notice::Resumed { .. } => "resumed",
            Notice::SessionLost => "session lost",
            Notice::HistoryLost { .. } => "history lost",
            Notice::CoordinatorDown(_) => "coordinator down",
            Notice::SettingsDiffer { .. } => "settings differ",
            Notice::SettingsAgree => "settings agree",
            Notice::Leading => "leading",
            Notice::ClockJumped { .. } => "clock jump seen",
            Notice::PlanAccepted { native: true, .. } => "native plan",
            Notice::PlanAccepted { .. } => "plan accepted",
            Notice::PlanRefused { .. } => "plan refused",
            Notice::PolicySuspended { .. } => "policy suspended",
            Notice::Refused(_) => "join refused later",
            _ => return,
        });
    }
}

fn shorten(mut line: String) -> String {
    if line.len() > 300 {
        let end = (0..=300).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}
