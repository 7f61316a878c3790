//! A look at the server for an operator: what could lose acknowledged writes, and what could slow it down.

use crate::client::{Client, Failure};
use crate::login::Place;
use crate::row::Cells;
use crate::schema;
use crate::statement::{Statement, Value};
use crate::store::Space;
use crate::wire::Transport;
use shardwright_guest::adapter::{Finding, Verdict};
use std::time::Duration;

/// How many round trips are measured.
const ROUNDS: usize = 7;

/// What is found; what cannot be found out is left out, or is a finding itself.
pub(crate) fn examine<W: Transport>(space: &mut Space<W>) -> Vec<Finding> {
    let mut findings = match settings(&mut space.client) {
        Ok(settings) => vec![
            version(&settings),
            durability(&settings),
            replication(&settings),
            room(&settings),
        ],
        Err(failure) => return vec![unknown("server", &failure)],
    };
    findings.push(match clock(&mut space.client, &space.place) {
        Ok(clock) => clock,
        Err(failure) => unknown("clock", &failure),
    });
    findings.push(match tables(&mut space.client, &space.place.schema) {
        Ok(tables) => tables,
        Err(failure) => unknown("tables", &failure),
    });
    match round_trip(&mut space.client) {
        Ok(Some(median)) => findings.push(good("round trip", format!("{median:.1?}, the median of {ROUNDS}"))),
        Ok(None) => {}
        Err(failure) => findings.push(unknown("round trip", &failure)),
    }
    findings
}

/// What the server says of itself.
#[derive(Clone, Debug, Default)]
struct Settings {
    version: String,
    commit: String,
    full_pages: bool,
    standbys: String,
    replicas: u64,
    connections: u64,
    most: u64,
    queue: u64,
}

fn settings<W: Transport>(client: &mut Client<W>) -> Result<Settings, Failure> {
    let text = "SELECT current_setting('server_version'), current_setting('synchronous_commit'), \
        current_setting('full_page_writes') = 'on', current_setting('synchronous_standby_names'), \
        (SELECT count(*) FROM pg_stat_replication), \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
        current_setting('max_connections')::int, floor(pg_notification_queue_usage() * 100)::bigint";
    let mut found = None;
    once(client, text, &[], |row| {
        found = Some(Settings {
            version: Cells::there(row.text()?)?.to_owned(),
            commit: Cells::there(row.text()?)?.to_owned(),
            full_pages: Cells::there(row.flag()?)?,
            standbys: Cells::there(row.text()?)?.to_owned(),
            replicas: Cells::there(row.number()?)?,
            connections: Cells::there(row.number()?)?,
            most: Cells::there(row.number()?)?,
            queue: Cells::there(row.number()?)?,
        });
        Ok(())
    })?;
    found.ok_or_else(|| Failure::Lost("the server told nothing about itself".into()))
}

/// Runs a statement that is not kept.
fn once<W: Transport>(
    client: &mut Client<W>,
    text: &str,
    values: &[Value<'_>],
    row: impl FnMut(&mut Cells<'_>) -> Result<(), String>,
) -> Result<(), Failure> {
    let statement = Statement {
        name: "",
        text: text.into(),
        types: &[],
    };
    client.prepare(&statement)?;
    client.bind("", values)?;
    client.exchange(row)
}

fn version(settings: &Settings) -> Finding {
    good("version", format!("PostgreSQL {}", settings.version))
}

fn durability(settings: &Settings) -> Finding {
    let detail = format!(
        "fsync on, full_page_writes {}, synchronous_commit {} for what nodes write",
        if settings.full_pages { "on" } else { "off" },
        settings.commit
    );
    if settings.full_pages {
        return good("durability", detail);
    }
    let remedy = "set full_page_writes = on, unless the file system writes pages of 8 KiB wholly or not at all (ZFS)";
    warning("durability", detail, remedy)
}

fn replication(settings: &Settings) -> Finding {
    let replicas = settings.replicas;
    if !settings.standbys.is_empty() {
        let detail = format!(
            "writes wait for synchronous_standby_names = {:?}; {replicas} replicas are connected",
            settings.standbys
        );
        return good("replication", detail);
    }
    if replicas == 0 {
        return good("replication", "none: the data is as safe as this server's disk".into());
    }
    let detail = format!("{replicas} replicas are connected, and no write waits for them");
    let remedy = "set synchronous_standby_names, or promoting one of them may lose what was acknowledged; that would \
        be noticed, and nodes would stop and join anew";
    warning("replication", detail, remedy)
}

/// The time of the store does not go back, so it stands still while the server's clock is behind it.
fn clock<W: Transport>(client: &mut Client<W>, place: &Place) -> Result<Finding, Failure> {
    let text = "SELECT greatest(0, \
        coalesce(max(e.written), 0) - floor(date_part('epoch', clock_timestamp()) * 1000)::bigint) \
        FROM shardwright.entries e WHERE e.namespace = $1";
    let mut behind = 0;
    once(
        client,
        &schema::within(text, &place.schema),
        &[Value::Text(&place.namespace)],
        |row| {
            behind = Cells::there(row.number()?)?;
            Ok(())
        },
    )?;
    if behind < 100 {
        return Ok(good("clock", "it is ahead of all that was written".into()));
    }
    let detail = format!("it is {behind} ms behind the newest entry, so no time passes for that long");
    Ok(warning(
        "clock",
        detail,
        "let chrony or ntpd keep the server's clock, without steps",
    ))
}

fn room(settings: &Settings) -> Finding {
    let Settings {
        connections,
        most,
        queue,
        ..
    } = settings;
    let detail = format!("{connections} of {most} connections are in use, and {queue} % of the queue of notifications");
    if *queue >= 10 {
        let remedy = "find who listens without reading, or keeps a transaction open: pg_stat_activity, state \"idle in \
            transaction\"";
        return warning("room", detail, remedy);
    }
    if connections * 10 >= most * 9 {
        return warning(
            "room",
            detail,
            "raise max_connections: each node needs a few, and one more while it replaces another",
        );
    }
    good("room", detail)
}

/// How large the entries are, and whether what they were is cleared away.
fn tables<W: Transport>(client: &mut Client<W>, schema: &str) -> Result<Finding, Failure> {
    let text = "SELECT pg_total_relation_size(t.relid), t.n_live_tup, t.n_dead_tup, \
        current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' \
        FROM pg_stat_user_tables t WHERE t.schemaname = $1::text AND t.relname = 'entries'";
    let mut found = None;
    once(client, text, &[Value::Text(schema)], |row| {
        let (size, live) = (Cells::there(row.number()?)?, Cells::there(row.number()?)?);
        found = Some((size, live, Cells::there(row.number()?)?, Cells::there(row.flag()?)?));
        Ok(())
    })?;
    let Some((size, live, dead, vacuum)) = found else {
        return Ok(warning(
            "tables",
            "the table of the entries is not there".into(),
            "look whether somebody has dropped it",
        ));
    };
    let detail = format!(
        "{live} entries of all clusters and {dead} old versions in {} KiB",
        size / 1024
    );
    if !vacuum {
        let remedy = "set autovacuum = on and track_counts = on, or old versions stay for ever";
        return Ok(Finding {
            verdict: Verdict::Bad,
            ..warning("tables", format!("{detail}; nobody clears them away"), remedy)
        });
    }
    if dead > 20_000 + 10 * live {
        let remedy = "end the transaction that keeps them: the oldest in pg_stat_activity, pg_prepared_xacts or \
            pg_replication_slots";
        return Ok(warning("tables", detail, remedy));
    }
    Ok(good("tables", detail))
}

fn round_trip<W: Transport>(client: &mut Client<W>) -> Result<Option<Duration>, Failure> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = client.wire.now();
        client.exchange(|_| Ok(()))?;
        took.push(client.wire.now().saturating_sub(begun));
    }
    took.sort_unstable();
    Ok(took.get(ROUNDS / 2).copied())
}

fn good(name: &str, detail: String) -> Finding {
    Finding {
        name: name.into(),
        verdict: Verdict::Good,
        detail,
        remedy: String::new(),
    }
}

fn warning(name: &str, detail: String, remedy: &str) -> Finding {
    Finding {
        name: name.into(),
        verdict: Verdict::Warning,
        detail,
        remedy: remedy.into(),
    }
}

fn unknown(name: &str, failure: &Failure) -> Finding {
    let why = match failure {
        Failure::Unsent(why) | Failure::Lost(why) => why.clone(),
        Failure::Refused(refusal) => refusal.to_string(),
    };
    warning(
        name,
        format!("could not be looked at: {why}"),
        "see what the server's log says",
    )
}
