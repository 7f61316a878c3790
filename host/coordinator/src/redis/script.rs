//! What is asked of the script, and what it answers.

use super::connection::{Connection, NoReply};
use super::reply::Refusal;
use crate::clock;
use bytes::Bytes;
use redis::{Cmd, Script, Value, cmd};
use shardwright_core::store::{Entry, Expected, Revision, StoreTime};
use std::sync::LazyLock;
use tokio::time::Instant;

/// One script for all operations: whatever it decides, it decides at one moment.
static SCRIPT: LazyLock<(Script, &'static str)> = LazyLock::new(|| {
    let text = include_str!("script.lua");
    (Script::new(text), text)
});

/// The version of what is stored: the first byte of each entry, and `format` in the namespace's meta.
const FORMAT: u8 = 1;
/// Format, revision and time before each value.
const HEADER: usize = 17;

/// The three keys of a namespace. They share what is in braces, so a cluster keeps them together.
pub(super) struct Keys {
    pub(super) meta: String,
    index: String,
    entries: String,
    /// Where its messages are published.
    pub(super) channel: String,
}

impl Keys {
    pub(super) fn of(namespace: &crate::Namespace) -> Self {
        let key = |what: &str| format!("shardwright:{{{namespace}}}:{what}");
        Self {
            meta: key("meta"),
            index: key("index"),
            entries: key("entries"),
            channel: key("bus"),
        }
    }

    /// What to say when something is not permitted.
    pub(super) fn grant(&self, why: &str) -> String {
        let keys = self.meta.trim_end_matches("meta");
        format!(
            "{why}; the ACL user needs the keys ~{keys}*, the channels &{keys}* and the commands that docs/redis.md \
             names"
        )
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) enum Operation<'a> {
    /// Begins a history of this name if there is none.
    Open(&'a str),
    Get(&'a str),
    List(&'a str, Revision),
    /// By somebody who was told of no later `unsure_before` than the last, if he says so.
    Put(&'a str, &'a [u8], Expected, Option<StoreTime>),
    Delete(&'a str, Expected),
    Erase,
}

impl Operation<'_> {
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Put(..) | Self::Delete(..))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Get(_) => "get",
            Self::List(..) => "list",
            Self::Put(..) => "put",
            Self::Delete(..) => "delete",
            Self::Erase => "erase",
        }
    }
}

/// What the asking handle knows of the store; the script refuses it if that is no longer so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The history; empty before the first answer.
    pub(super) history: String,
    /// The run: one life of one master. Empty before the first answer.
    pub(super) run: String,
    /// The greatest revision seen.
    pub(super) seen: u64,
    /// The time that the last answer of that run told, and when it came, on the local clock.
    pub(super) time: u64,
    pub(super) at: u64,
}

impl Known {
    /// What the store's clock has certainly reached by now, if the run is still the same: the local clock may be
    /// fast, by a tenth at most (`drift-ppm`).
    fn floor(&self) -> u64 {
        let since = clock::boottime().saturating_sub(self.at);
        if self.time == 0 {
            0
        } else {
            self.time + since - since.div_ceil(10)
        }
    }
}

/// The script's answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was done, or the expectation did not hold.
    Done {
        held: bool,
        revision: Revision,
        now: StoreTime,
        unsure_before: StoreTime,
        /// An entry, a listing, a history and run: by the operation.
        more: Value,
    },
    /// Nothing was done: the server, or its life, is another one than the handle knows. The runs that are known there.
    Run(Vec<Run>),
    /// Nothing was done: the writer has not heard of the last partial loss.
    Unheard,
    /// Nothing was done: it is not the store that the handle knows.
    Lost(String),
}

/// One life of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    /// The revision of the store when it began.
    pub(super) base: u64,
}

/// Why the script did not answer.
#[derive(Debug)]
pub(super) enum Failure {
    Silence(NoReply),
    Refusal(Refusal),
}

/// How many replicas must confirm a write, and how long they may take, in milliseconds.
pub(super) type Replicas = Option<(u32, u64)>;

/// How many replicas have what was written, or why that could not be asked.
pub(super) type Confirmed = Result<u32, String>;

/// Runs one operation. With `replicas`, also says how many have it.
pub(super) async fn run(
    wire: &Connection,
    keys: &Keys,
    operation: &Operation<'_>,
    known: &Known,
    replicas: Replicas,
    deadline: Instant,
) -> Result<(Answer, Confirmed), Failure> {
    let hash = SCRIPT.0.get_hash();
    let mut asked = ask(
        wire,
        command("EVALSHA", hash, keys, operation, known),
        replicas,
        deadline,
    )
    .await;
    if let Err(Failure::Refusal(Refusal::NoScript)) = asked {
        // The server was started anew, or its scripts were thrown away. Nothing was done yet.
        asked = ask(
            wire,
            command("EVAL", SCRIPT.1, keys, operation, known),
            replicas,
            deadline,
        )
        .await;
    }
    let (answer, confirmed) = asked.map_err(|failure| match failure {
        Failure::Refusal(Refusal::Denied(why)) => Failure::Refusal(Refusal::Denied(keys.grant(&named(why)))),
        failure => failure,
    })?;
    let answer =
        decode(answer).ok_or_else(|| Failure::Refusal(Refusal::Other("the script's answer makes no sense".into())))?;
    Ok((answer.map_err(Failure::Refusal)?, confirmed))
}

/// A denial with the name of the command: older servers say only in which line of the script it is.
fn named(why: String) -> String {
    let line = why
        .rsplit_once("user_script:")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
    let line = line.and_then(|line| SCRIPT.1.lines().nth(line.checked_sub(1)?));
    match line.and_then(|line| line.split_once("redis.call('")?.1.split('\'').next()) {
        Some(command) => format!("it may not run {command} ({why})"),
        None => why,
    }
}

async fn ask(
    wire: &Connection,
    command: Cmd,
    replicas: Replicas,
    deadline: Instant,
) -> Result<(Value, Confirmed), Failure> {
    let Some((count, patience)) = replicas else {
        let answer = wire.ask(&command, deadline).await.map_err(Failure::Silence)?;
        return Ok((Refusal::check(answer).map_err(Failure::Refusal)?, Ok(0)));
    };
    let mut both = redis::pipe();
    both.add_command(command).cmd("WAIT").arg(count).arg(patience);
    let answers = wire.ask_all(&both, deadline).await.map_err(Failure::Silence)?;
    let [answer, confirmed] = <[Value; 2]>::try_from(answers).unwrap_or([Value::Nil, Value::Nil]);
    let answer = Refusal::check(answer).map_err(Failure::Refusal)?;
    // The script has run, whatever is said of this.
    let confirmed = match Refusal::check(confirmed) {
        Ok(Value::Int(count)) => Ok(u32::try_from(count).unwrap_or(0)),
        Ok(_) => Err("its answer to WAIT makes no sense".into()),
        Err(refusal) => Err(refusal.why()),
    };
    Ok((answer, confirmed))
}

fn command(how: &str, script: &str, keys: &Keys, operation: &Operation<'_>, known: &Known) -> Cmd {
    let mut command = cmd(how);
    command
        .arg(script)
        .arg(3)
        .arg(&keys.meta)
        .arg(&keys.index)
        .arg(&keys.entries);
    command
        .arg(operation.name())
        .arg(&known.history)
        .arg(&known.run)
        .arg(known.seen)
        .arg(known.floor());
    let (name, expected) = match *operation {
        Operation::Open(name) | Operation::Get(name) => (name, None),
        Operation::List(prefix, since) => (prefix, Some(Expected::Revision(since))),
        Operation::Put(key, _, expected, _) | Operation::Delete(key, expected) => (key, Some(expected)),
        Operation::Erase => return command,
    };
    command.arg(name);
    match expected {
        Some(Expected::Absent) => command.arg("absent"),
        Some(Expected::Revision(revision)) => command.arg(revision.0),
        Some(Expected::Any) => command.arg("any"),
        None => &mut command,
    };
    if let Operation::Put(_, value, _, heard) = operation {
        command.arg(value);
        if let Some(heard) = heard {
            command.arg(heard.0);
        }
    }
    command
}

pub(super) fn decode(answer: Value) -> Option<Result<Answer, Refusal>> {
    let Value::Array(parts) = answer else { return None };
    let mut parts = parts.into_iter();
    let status = super::route::text(&parts.next()?)?;
    let mut number = || {
        if let Some(Value::Int(n)) = parts.next() {
            u64::try_from(n).ok()
        } else {
            None
        }
    };
    Some(Ok(match status.as_str() {
        "ok" | "conflict" => Answer::Done {
            held: status == "ok",
            revision: Revision(number()?),
            now: StoreTime(number()?),
            unsure_before: StoreTime(number()?),
            more: parts.next().unwrap_or(Value::Nil),
        },
        "run" => Answer::Run(runs(&super::route::text(&parts.next()?)?)?),
        "unheard" => Answer::Unheard,
        "lost" => Answer::Lost(super::route::text(&parts.next()?)?),
        "format" => {
            let format = super::route::text(&parts.next()?)?;
            let why = format!(
                "the namespace is stored in format {format}, which a newer release wrote; this one reads format \
                 {FORMAT}"
            );
            return Some(Err(Refusal::Newer(why)));
        }
        _ => return None,
    }))
}

/// One run a line: its id, and the revision at which it began.
fn runs(text: &str) -> Option<Vec<Run>> {
    let run = |line: &str| {
        let (id, base) = line.split_once(' ')?;
        Some(Run {
            id: id.to_owned(),
            base: base.parse().ok()?,
        })
    };
    text.lines().map(run).collect()
}

/// The entry in an answer, if there is one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn entry(stored: Value) -> Result<Option<Entry<Bytes>>, String> {
    let bytes = match stored {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => Bytes::from(bytes),
        _ => return Err("an entry of another type".into()),
    };
    let number = |at: usize| {
        bytes
            .get(at..at + 8)
            .and_then(|b| b.try_into().ok())
            .map(u64::from_be_bytes)
    };
    match (bytes.first(), number(1), number(9)) {
        (Some(&FORMAT), Some(revision), Some(written)) => Ok(Some(Entry {
            revision: Revision(revision),
            written: StoreTime(written),
            value: bytes.slice(HEADER..),
        })),
        _ => Err(format!("an entry that is not in format {FORMAT}")),
    }
}

/// The keys and entries of a listing, in the order in which they came.
///
/// # Errors
/// What is wrong with it.
pub(super) fn listing(found: Value) -> Result<Vec<(String, Entry<Bytes>)>, String> {
    let Value::Array(found) = found else {
        return Err("a listing of another type".into());
    };
    let mut entries = Vec::with_capacity(found.len() / 2);
    let mut found = found.into_iter();
    while let (Some(key), Some(stored)) = (found.next(), found.next()) {
        let key = super::route::text(&key).ok_or("a key of another type")?;
        let entry = entry(stored)?.ok_or_else(|| format!("no entry for the indexed key {key}"))?;
        entries.push((key, entry));
    }
    Ok(entries)
}

#[cfg(test)]
mod test {
    use super::*;

    /// The stored format, fixed: whoever changes it must raise `FORMAT`.
    #[test]
    fn an_entry_is_a_format_two_numbers_and_the_value() {
        let stored = b"\x01\0\0\0\0\0\0\x01\x02\0\0\x01\xa2\x00\x00\x00\x07value".to_vec();
        let expected = Entry {
            revision: Revision(0x102),
            written: StoreTime(0x1a2_0000_0007),
            value: Bytes::from_static(b"value"),
        };
        assert_eq!(entry(Value::BulkString(stored)), Ok(Some(expected)));
        for bad in [
            &b"\x02\0\0\0\0\0\0\x01\x02\0\0\x01\xa2\x00\x00\x00\x07v"[..],
            b"\x01\0\0",
            b"",
        ] {
            assert!(entry(Value::BulkString(bad.to_vec())).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn runs_are_lines() {
        let parsed = runs("abc 0\ndef 17\n");
        let run = |id: &str, base| Run { id: id.into(), base };
        assert_eq!(parsed, Some(vec![run("abc", 0), run("def", 17)]));
        assert_eq!(runs("abc"), None);
    }

    #[test]
    fn the_keys_of_a_namespace_share_a_slot() {
        let namespace = crate::Namespace::new("prod").unwrap_or_else(|e| panic!("{e}"));
        let keys = Keys::of(&namespace);
        for key in [&keys.meta, &keys.index, &keys.entries, &keys.channel] {
            assert!(key.starts_with("shardwright:{prod}:"), "{key}");
        }
    }
}
