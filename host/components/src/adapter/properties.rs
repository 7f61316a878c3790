//! What must hold of whatever an adapter answers, for `tests/properties`: functions over bytes that somebody makes up.

use super::component::checked;
use super::grants::{Grant, GrantError};
use super::history_guard::{HistoryGuard, HistoryViolation, KnownAtCall};
use super::redact::Redactor;
use super::translate::{bus_error, finding, store_error};
use super::world::exports::shardwright::coordinator::{bus, lifecycle, store as wit};
use shardwright_coordinator::broker::Password;
use shardwright_core::store::{Expected, Revision};

/// So many calls are answered at most.
const CALLS: usize = 64;
/// By how much the clock that is passed on may be ahead of the one in an answer.
const JITTER: u64 = 100;
const KEYS: [&str; 4] = ["a", "ab", "hosts/x", "leader"];
/// What every secret has in it.
const HIDDEN: &str = "hunter2";

/// The bytes, one after the other; zeroes where they end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number: mostly a small one, or one at which arithmetic ends.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..128 => small.into(),
            large @ 128..192 => u64::MAX - u64::from(large - 128),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn key(&mut self) -> String {
        let number = self.byte();
        KEYS.get(usize::from(number))
            .map_or_else(|| self.text(), |key| (*key).to_owned())
    }

    fn entry(&mut self) -> Option<wit::Entry> {
        (self.byte() & 1 == 1).then(|| wit::Entry {
            revision: self.number(),
            written: self.number(),
            value: self.bytes().to_vec(),
        })
    }

    fn expected(&mut self) -> Expected {
        match self.number() {
            0 => Expected::Absent,
            1 => Expected::Any,
            revision => Expected::Revision(Revision(revision)),
        }
    }
}

/// What there is to be known, kept in the plainest way.
#[derive(Default)]
struct Plain {
    revision: u64,
    now: u64,
    writes: Vec<(String, u64)>,
    history: Option<String>,
    lost: bool,
}

/// What is to be thought of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    Lied,
    Lost,
}

impl Verdict {
    fn of<T>(outcome: &Result<T, HistoryViolation>) -> Self {
        match outcome {
            Ok(_) => Self::Taken,
            Err(HistoryViolation::Fault(_)) => Self::Lied,
            Err(HistoryViolation::Lost(_)) => Self::Lost,
        }
    }
}

/// The clock that is passed on is that of the answer, or the one that was known if they hardly differ.
fn is_clock(passed: u64, answered: u64, known: u64) -> bool {
    passed == answered || passed == known && (answered..=answered.saturating_add(JITTER)).contains(&passed)
}

impl Plain {
    /// What an answer comes to: nothing of one that contradicts itself is used, whatever else there is to say.
    fn judge(&mut self, proper: bool, grown: bool) -> Verdict {
        if !proper {
            return Verdict::Lied;
        }
        self.lost |= !grown;
        if self.lost { Verdict::Lost } else { Verdict::Taken }
    }

    fn reading(&mut self, belief: &HistoryGuard, (before, began): (KnownAtCall, u64), script: &mut Script<'_>) {
        let answer = wit::Reading {
            entry: script.entry(),
            revision: script.number(),
            now: script.number(),
            unsure_before: script.number(),
        };
        let wit::Reading {
            entry,
            revision,
            now,
            unsure_before,
        } = answer.clone();
        let proper = entry
            .as_ref()
            .is_none_or(|entry| (1..=revision).contains(&entry.revision));
        let verdict = self.judge(proper, revision >= began);
        let outcome = belief.reading(before, answer);
        assert_eq!(
            Verdict::of(&outcome),
            verdict,
            "{entry:?} at {revision}, and {began} before"
        );
        let Ok(reading) = outcome else { return };
        assert!(is_clock(reading.now.0, now, self.now), "{now} after {}", self.now);
        assert_eq!(reading.unsure_before.0, unsure_before);
        assert_eq!(
            reading.entry.map(|e| (e.revision.0, e.written.0, e.value.to_vec())),
            entry.map(|e| (e.revision, e.written, e.value))
        );
        (self.revision, self.now) = (self.revision.max(revision), reading.now.0);
    }

    fn listing(&mut self, belief: &HistoryGuard, (before, began): (KnownAtCall, u64), script: &mut Script<'_>) {
        let prefix = ["", "a", "hosts/"][usize::from(script.byte() % 3)];
        let since = script.number();
        let count = script.byte() % 8;
        let entries = (0..count).map(|_| wit::Listed {
            key: script.key(),
            revision: script.number(),
            written: script.number(),
            value: script.bytes().to_vec(),
        });
        let answer = wit::Listing {
            entries: entries.collect(),
            revision: script.number(),
            now: script.number(),
            unsure_before: script.number(),
        };
        let wit::Listing {
            entries, revision, now, ..
        } = answer.clone();
        let proper = entries.is_sorted_by(|a, b| a.key < b.key)
            && entries
                .iter()
                .all(|e| e.key.starts_with(prefix) && e.revision > since && e.revision > 0);
        let verdict = self.judge(proper, revision >= began);
        let outcome = belief.listing(before, prefix, since, answer);
        assert_eq!(
            Verdict::of(&outcome),
            verdict,
            "{entries:?} since {since} at {revision}, and {began} before"
        );
        let Ok(listing) = outcome else { return };
        assert!(is_clock(listing.now.0, now, self.now), "{now} after {}", self.now);
        assert_eq!(listing.revision.0, revision);
        let passed = listing
            .entries
            .iter()
            .map(|(key, e)| (key.as_str(), e.revision.0, e.written.0, &e.value[..]));
        assert!(
            passed.eq(entries
                .iter()
                .map(|e| (e.key.as_str(), e.revision, e.written, &e.value[..])))
        );
        let newest = entries.iter().map(|e| e.revision).max().unwrap_or(0);
        (self.revision, self.now) = (self.revision.max(revision).max(newest), listing.now.0);
    }

    fn written(&mut self, belief: &HistoryGuard, (before, began): (KnownAtCall, u64), script: &mut Script<'_>) {
        let (key, revision, now) = (script.key(), script.number(), script.number());
        let fresh = self.writes.iter().all(|(_, given)| *given != revision);
        let verdict = self.judge(true, revision > began && fresh);
        let outcome = belief.written(before, &key, wit::Written { revision, now });
        assert_eq!(
            Verdict::of(&outcome),
            verdict,
            "written at {revision}, and {began} before"
        );
        let Ok(written) = outcome else { return };
        assert_eq!((written.revision.0, written.now.0), (revision, now));
        self.writes.push((key, revision));
        (self.revision, self.now) = (self.revision.max(revision), self.now.max(now));
    }

    fn conflict(&mut self, belief: &HistoryGuard, script: &mut Script<'_>) {
        let (key, expected, found) = (script.key(), script.expected(), script.entry());
        let at = found.as_ref().map(|entry| entry.revision);
        let (proper, grown) = match expected {
            Expected::Any => (false, true),
            Expected::Absent => (at.is_some_and(|at| at > 0), true),
            Expected::Revision(Revision(wanted)) => {
                let ours = self.writes.iter().any(|(of, given)| *of == key && *given == wanted);
                (
                    at.is_none_or(|at| at > 0 && at != wanted),
                    !(ours && at.is_some_and(|at| at < wanted)),
                )
            }
        };
        let verdict = self.judge(proper, grown);
        let outcome = belief.conflict(&key, expected, found.clone());
        assert_eq!(
            Verdict::of(&outcome),
            verdict,
            "{found:?} where {expected:?} was expected"
        );
        let Ok(passed) = outcome else { return };
        assert_eq!(
            passed.map(|e| (e.revision.0, e.written.0, e.value.to_vec())),
            found.map(|e| (e.revision, e.written, e.value))
        );
        self.revision = self.revision.max(at.unwrap_or(0));
    }

    fn opened(&mut self, belief: &HistoryGuard, script: &mut Script<'_>) {
        let history = script.text();
        let proper =
            (1..=64).contains(&history.len()) && history.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if proper && self.history.get_or_insert_with(|| history.clone()) != &history {
            self.lost = true;
        }
        let verdict = match (proper, self.history.as_ref() == Some(&history)) {
            (false, _) => Verdict::Lied,
            (true, true) => Verdict::Taken,
            (true, false) => Verdict::Lost,
        };
        assert_eq!(Verdict::of(&belief.opened(&history)), verdict, "{history}");
        assert_eq!(belief.history(), self.history);
    }
}

/// Answers of lanes that work at once: what is taken is passed on as it came, an answer that contradicts itself ends
/// its lane and changes nothing, and a store that goes back has lost its history for good, and no other has.
pub fn answers(data: &[u8]) {
    let (belief, mut plain, mut script) = (HistoryGuard::default(), Plain::default(), Script(data));
    let Ok(first) = belief.begin() else {
        panic!("nothing is lost yet")
    };
    let mut call = (first, 0);
    for _ in 0..CALLS {
        if script.0.is_empty() {
            break;
        }
        let deed = script.byte();
        match belief.begin() {
            // A call may have begun before others were answered.
            Ok(before) if deed & 1 == 0 => call = (before, plain.revision),
            Ok(_) => assert!(!plain.lost, "a call begins in a history that is lost"),
            Err(why) => assert!(plain.lost && !why.is_empty(), "{why}"),
        }
        match (deed >> 1) % 5 {
            0 => plain.reading(&belief, call, &mut script),
            1 => plain.listing(&belief, call, &mut script),
            2 => plain.written(&belief, call, &mut script),
            3 => plain.conflict(&belief, &mut script),
            _ => plain.opened(&belief, &mut script),
        }
    }
}

/// Whatever an adapter says of a failure, of its backend or of itself is a line without secrets, and not a long one.
pub fn words(data: &[u8]) {
    let mut script = Script(data);
    let (kind, secret) = (script.byte(), format!("{}{HIDDEN}{}", script.text(), script.text()));
    let mask = Redactor::new(&[Password::new(secret.as_str())]);
    let (mut text, mut times) = (script.text(), 0);
    while !script.0.is_empty() && times < 8 {
        text = text + &secret + &script.text();
        times += 1;
    }
    // Only as a whole is it a secret, and it must not come about by chance.
    if text.matches(HIDDEN).count() != times {
        return;
    }
    let told = match kind % 16 {
        0 => store_error::<()>(wit::StoreError::Unavailable(text), &mask).to_string(),
        1 => store_error::<()>(wit::StoreError::Indeterminate(text), &mask).to_string(),
        2 => store_error::<()>(wit::StoreError::Denied(text), &mask).to_string(),
        3 => store_error::<()>(wit::StoreError::Invalid(text), &mask).to_string(),
        4 => store_error::<()>(wit::StoreError::HistoryLost(text), &mask).to_string(),
        5 => bus_error(bus::BusError::Unavailable(text), &mask).to_string(),
        6 => bus_error(bus::BusError::Denied(text), &mask).to_string(),
        7 => bus_error(bus::BusError::Invalid(text), &mask).to_string(),
        8 => {
            let verdict = [
                lifecycle::Verdict::Good,
                lifecycle::Verdict::Warning,
                lifecycle::Verdict::Bad,
            ][times % 3];
            let found = lifecycle::Finding {
                name: text.clone(),
                verdict,
                detail: text.clone(),
                remedy: text,
            };
            let finding = finding(&found, &mask);
            assert!(
                finding.remedy.is_none() || verdict != lifecycle::Verdict::Good,
                "all is well"
            );
            format!(
                "{}\u{1f}{}\u{1f}{}",
                finding.name,
                finding.detail,
                finding.remedy.unwrap_or_default()
            )
        }
        _ => mask.line(&text),
    };
    assert!(!told.contains(HIDDEN), "{told}");
    for line in told.split('\u{1f}') {
        assert!(line.len() <= 1024 + 128 && !line.contains(char::is_control), "{line:?}");
    }
}

/// A grant has one spelling, which is read as the same grant; what an adapter says of itself has limits.
pub fn about(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Grant::parse(&text) {
        Ok(grant) => assert_eq!(Grant::parse(&grant.to_string()), Ok(grant)),
        Err(GrantError { flaw, text: shown }) => {
            assert!(!flaw.is_empty() && (shown.len() <= text.len() || shown == "…@…"));
        }
    }
    let mut script = Script(data);
    let (name, version, summary) = (script.text(), script.text(), script.text());
    let options = (0..script.byte()).map(|_| script.text()).collect();
    let description = lifecycle::Description {
        name,
        version,
        summary,
        options,
    };
    match checked(description) {
        Ok(description) => {
            let lines = description.options.iter().chain([&description.summary]);
            assert!(lines.into_iter().all(|line| line.len() <= 500 && !line.contains('\n')));
            assert!((1..=32).contains(&description.name.len()) && description.version.split('.').count() == 3);
        }
        Err(error) => assert!(
            error.to_string().len() < 1024 && !error.to_string().contains('\n'),
            "{error}"
        ),
    }
}
