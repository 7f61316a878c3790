//! From a session to a lane: is the server fit for it, and which history does it hold?

use crate::client::{Client, Failure};
use crate::config::Config;
use crate::login::{Place, SETTINGS};
use crate::refusal::POOLER;
use crate::row::Cells;
use crate::statement::{self, Statement, Value};
use crate::wire::Transport;
use shardwright_guest::adapter::{Context, OpenError, Purpose};

/// The oldest server that has all that is used.
const OLDEST: u64 = 130_000;

/// A lane, before it is one of the three kinds.
pub(crate) struct Begun<W> {
    pub(crate) client: Client<W>,
    pub(crate) place: Place,
    pub(crate) history: String,
    /// Why this lane began a new history where there was one, for the operator.
    pub(crate) moved: Option<String>,
}

/// Checks the server, and finds or begins the history.
pub(crate) fn begin<W: Transport>(
    mut client: Client<W>,
    config: &Config,
    place: Place,
    context: &Context,
) -> Result<Begun<W>, OpenError> {
    check(&mut client, context.purpose, &place)?;
    let mut statements = vec![statement::open(&config.schema)];
    match context.purpose {
        Purpose::Store => statements.extend(statement::of_store(&config.schema)),
        Purpose::Publish => statements.push(statement::notify()),
        Purpose::Subscribe => {}
    }
    let fresh = random()?;
    let found = match history(&mut client, &statements, &context.namespace, &fresh) {
        Err(Failure::Refused(refusal)) if refusal.missing() => {
            crate::schema::make(&mut client, &config.schema).map_err(|failure| opening(failure, &place))?;
            history(&mut client, &statements, &context.namespace, &fresh)
        }
        found => found,
    };
    let Found { history, began } = found.map_err(|failure| opening(failure, &place))?;
    let moved = (began.as_deref() == Some("moved")).then(|| {
        format!(
            "the data of {} at {place} comes from another server, an older timeline or a backup, so acknowledged \
             writes may be missing; it goes on as history {history}",
            context.namespace
        )
    });
    match &context.history {
        Some(expected) if *expected != history => Err(OpenError::HistoryLost(match moved {
            Some(why) => why,
            None => format!(
                "the namespace {} at {place} has the history {history}, not {expected}",
                context.namespace
            ),
        })),
        _ => Ok(Begun {
            client,
            place,
            history,
            moved,
        }),
    }
}

/// What there is to know before anything is asked of the server.
struct Facts {
    version: u64,
    standby: bool,
    fsync: bool,
    isolated: bool,
    process: u64,
    /// How many of the settings that we logged in with are those of this session.
    settings: u64,
}

/// Puts the session right, and looks whether the server is.
fn check<W: Transport>(client: &mut Client<W>, purpose: Purpose, place: &Place) -> Result<(), OpenError> {
    let facts = facts(client, purpose).map_err(|failure| opening(failure, place))?;
    let unsafe_backend = |why: &str| Err(OpenError::UnsafeBackend(format!("{place} {why}")));
    if facts.version < OLDEST {
        let release = facts.version / 10_000;
        return Err(OpenError::Other(format!(
            "{place} is PostgreSQL {release}; 13 or newer is needed"
        )));
    }
    if facts.standby {
        let why = format!("{place} is a standby, which can only be read; `host` must name the primary");
        return Err(OpenError::Unreachable(why));
    }
    if !facts.fsync {
        return unsafe_backend(
            "runs with `fsync` off: a crash of its machine loses or spoils what it acknowledged; set fsync = on in \
             postgresql.conf",
        );
    }
    // A pooler may run each transaction in another session, where neither our settings nor our LISTEN hold.
    let ours = client
        .process
        .is_some_and(|process| u64::try_from(process) == Ok(facts.process));
    if !facts.isolated || !ours || facts.settings < SETTINGS.len() as u64 {
        return unsafe_backend(&format!("does not keep the session that we log in to: {POOLER}"));
    }
    Ok(())
}

fn facts<W: Transport>(client: &mut Client<W>, purpose: Purpose) -> Result<Facts, Failure> {
    // A notification needs no disk. A write waits for it, whatever the role is set to, and for standbys as long as they
    // are set to matter.
    let commit = match purpose {
        Purpose::Store => {
            "CASE WHEN current_setting('synchronous_commit') = 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
        }
        Purpose::Publish | Purpose::Subscribe => "'off'",
    };
    // Settings that not every release has.
    let newer = "(SELECT count(set_config(s.name, '0', false)) FROM pg_settings s \
        WHERE s.name IN ('idle_session_timeout', 'transaction_timeout'))";
    let names: Vec<_> = SETTINGS.iter().map(|(name, _)| format!("'{name}'")).collect();
    let kept = format!(
        "(SELECT count(*) FROM pg_settings s WHERE s.source IN ('client', 'session') AND s.name IN ({}))",
        names.join(", ")
    );
    let text = format!(
        "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('fsync') = 'on', \
         current_setting('transaction_isolation') = 'read committed', pg_backend_pid(), {kept}, \
         set_config('synchronous_commit', {commit}, false), {newer}"
    );
    let mut found = None;
    client.prepare(&Statement {
        name: "",
        text,
        types: &[],
    })?;
    client.bind("", &[])?;
    client.exchange(|row| {
        found = Some(Facts {
            version: Cells::there(row.number()?)?,
            standby: Cells::there(row.flag()?)?,
            fsync: Cells::there(row.flag()?)?,
            isolated: Cells::there(row.flag()?)?,
            process: Cells::there(row.number()?)?,
            settings: Cells::there(row.number()?)?,
        });
        Ok(())
    })?;
    found.ok_or_else(|| Failure::Lost(client.give_up("the server told nothing about itself")))
}

/// What the server has.
struct Found {
    history: String,
    began: Option<String>,
}

/// Prepares all statements and asks for the history, in one round trip.
fn history<W: Transport>(
    client: &mut Client<W>,
    statements: &[Statement],
    namespace: &str,
    fresh: &str,
) -> Result<Found, Failure> {
    for statement in statements {
        client.prepare(statement)?;
    }
    client.bind("open", &[Value::Text(namespace), Value::Text(fresh)])?;
    let mut found = None;
    client.exchange(|row| {
        let history = Cells::there(row.text()?)?.to_owned();
        let began = row.text()?.map(str::to_owned);
        found = Some(Found { history, began });
        Ok(())
    })?;
    found.ok_or_else(|| Failure::Lost(client.give_up("the server told no history")))
}

fn opening(failure: Failure, place: &Place) -> OpenError {
    match failure {
        Failure::Unsent(why) | Failure::Lost(why) => OpenError::Unreachable(format!("{}: {why}", place.who())),
        Failure::Refused(refusal) => refusal.opening(&place.who()),
    }
}

/// A name for a new history: 128 random bits.
fn random() -> Result<String, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Other(format!("no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
