//! What a lane asks of the server: prepared once, executed in one round trip each.

use crate::schema;
use bytes::{BufMut, BytesMut};
use postgres_protocol::{IsNull, Oid};

const BYTEA: Oid = 17;
const INT8: Oid = 20;
const TEXT: Oid = 25;

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) types: &'static [Oid],
}

/// A parameter, in binary format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(i64),
    Null,
}

impl Value<'_> {
    pub(crate) fn write(&self, buffer: &mut BytesMut) -> IsNull {
        match self {
            Self::Text(text) => buffer.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => buffer.extend_from_slice(bytes),
            Self::Number(number) => buffer.put_i64(*number),
            Self::Null => return IsNull::Yes,
        }
        IsNull::No
    }
}

/// The state of the store, as of the statement's one snapshot, for $1 a namespace and $2 its history. The clock is read
/// before the snapshot is taken, or an entry that somebody renews in between would seem older than it is.
const STATE: &str = "SELECT greatest(n.revision, t.revision) AS revision, \
    greatest(n.time, t.written, floor(date_part('epoch', now()) * 1000)::bigint) AS now, n.unsure_before \
    FROM shardwright.namespaces n LEFT JOIN LATERAL \
    (SELECT l.revision, l.written FROM shardwright.entries l \
    WHERE l.namespace = $1 ORDER BY l.revision DESC LIMIT 1) t ON true \
    WHERE n.namespace = $1 AND n.history = $2";

/// The history of a namespace, for every lane.
pub(crate) fn open(schema: &str) -> Statement {
    let text = "SELECT life, began FROM shardwright.open_1($1, $2)";
    statement("open", text, &[TEXT, TEXT], schema)
}

/// What a lane of the store asks.
pub(crate) fn of_store(schema: &str) -> [Statement; 5] {
    let get = format!(
        "SELECT s.revision, s.now, s.unsure_before, e.revision, e.written, e.value FROM ({STATE}) s \
         LEFT JOIN shardwright.entries e ON e.namespace = $1 AND e.key = $3 AND e.value IS NOT NULL"
    );
    // The first row is the state, the others are the entries. News are found by their revisions, so the prefix is put
    // such that no index knows it.
    let list = |which: &str| {
        format!(
            "WITH s AS MATERIALIZED ({STATE}) \
             SELECT NULL::text, s.revision, s.now, NULL::bytea, s.unsure_before FROM s UNION ALL \
             (SELECT e.key, e.revision, e.written, e.value, NULL FROM s, shardwright.entries e \
             WHERE e.namespace = $1 AND {which} AND e.value IS NOT NULL ORDER BY e.key)"
        )
    };
    let all = list("e.key >= $3 AND e.key < $4");
    let news = list("starts_with(e.key, $3) AND e.revision > $4");
    let write = "SELECT status, at_revision, at_time, there FROM shardwright.write_1($1, $2, $3, $4, $5)";
    let erase = "SELECT done FROM shardwright.erase_1($1, $2)";
    [
        statement("get", &get, &[TEXT, TEXT, TEXT], schema),
        statement("all", &all, &[TEXT, TEXT, TEXT, TEXT], schema),
        statement("news", &news, &[TEXT, TEXT, TEXT, INT8], schema),
        statement("write", write, &[TEXT, TEXT, TEXT, BYTEA, INT8], schema),
        statement("erase", erase, &[TEXT, TEXT], schema),
    ]
}

/// What a lane that publishes asks.
pub(crate) fn notify() -> Statement {
    Statement {
        name: "notify",
        text: "SELECT pg_notify($1, $2)".into(),
        types: &[TEXT, TEXT],
    }
}

fn statement(name: &'static str, text: &str, types: &'static [Oid], schema: &str) -> Statement {
    Statement {
        name,
        text: schema::within(text, schema),
        types,
    }
}
