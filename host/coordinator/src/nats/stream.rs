//! The stream that holds the store of a namespace: made if it is missing, and refused if it is set up otherwise than it
//! must be.

use super::api::{ApiError, CallError, StreamConfig, StreamInfo};
use super::connection::{Connection, RequestError};
use super::names::Names;
use crate::broker::{BrokerError, random_name};

/// The settings that the store rests on.
pub(super) fn wanted(names: &Names, history: &str, replicas: u8) -> StreamConfig {
    StreamConfig {
        name: names.stream.clone(),
        description: Some("A store of Shardwright: do not write, edit or purge it".into()),
        subjects: vec![names.stream_subjects(history)],
        // A full store refuses new messages; it never drops old ones, except that of each subject only the last one
        // stays.
        discard: "new".into(),
        max_msgs_per_subject: 1,
        num_replicas: replicas,
        // Deleting single messages stays possible: deletions and parts of large values are tidied up that way.
        deny_purge: true,
        ..StreamConfig::default()
    }
}

/// The first setting of `found` that the store cannot rest on.
pub(super) fn flaw(found: &StreamConfig, wanted: &StreamConfig) -> Option<String> {
    let mut flaws = Vec::new();
    let mut check = |field: &str, found: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
        if found != wanted {
            flaws.push(format!("{field} is {found} and must be {wanted}"));
        }
    };
    macro_rules! same {
        ($($field:ident),*) => { $(check(stringify!($field), &found.$field, &wanted.$field);)* };
    }
    same!(
        subjects,
        retention,
        storage,
        discard,
        max_msgs,
        max_bytes,
        max_age,
        max_msg_size,
        max_msgs_per_subject,
        discard_new_per_subject,
        allow_direct,
        mirror_direct,
        allow_rollup_hdrs,
        deny_delete,
        deny_purge,
        sealed,
        no_ack
    );
    check("mirror", &found.mirror.is_some(), &false);
    check("sources", &found.sources.is_some(), &false);
    check("subject_transform", &found.subject_transform.is_some(), &false);
    if found.persist_mode.as_deref().is_some_and(|mode| mode != "default") {
        check("persist_mode", &found.persist_mode, &"default");
    }
    if found.num_replicas < wanted.num_replicas {
        check("num_replicas", &found.num_replicas, &wanted.num_replicas);
    }
    flaws.into_iter().next()
}

/// The stream of the namespace, made if there is none, and the history that it holds.
///
/// # Errors
/// Everything that [`BrokerError`] can say.
pub(super) async fn open(
    wire: &Connection,
    names: &Names,
    replicas: u8,
    location: &str,
) -> Result<(StreamInfo, String), BrokerError> {
    let stream = &names.stream;
    let failed = |error: &CallError| explain(error, wire, names, replicas, location);
    let info = match wire.stream_info(stream).await {
        Ok(info) => info,
        Err(CallError::Refused(error)) if error.err_code == ApiError::NOT_FOUND => {
            let history = random_name().map_err(BrokerError::Invalid)?;
            match wire.create_stream(&wanted(names, &history, replicas)).await {
                // Somebody else was faster.
                Err(CallError::Refused(error)) if error.err_code == ApiError::NAME_IN_USE => {}
                Err(error) => return Err(failed(&error)),
                Ok(_) => tracing::info!(
                    coordinator = location,
                    stream,
                    replicas,
                    "made the stream for the store"
                ),
            }
            // Read back: an older server ignores what it does not know.
            wire.stream_info(stream).await.map_err(|error| failed(&error))?
        }
        Err(error) => return Err(failed(&error)),
    };
    let history = info
        .config
        .subjects
        .first()
        .and_then(|subjects| names.history(subjects))
        .map(str::to_owned);
    let unsafe_because = |why: String| BrokerError::Unsafe {
        location: location.into(),
        why: format!(
            "the stream {stream}: {why}. Set it back with `nats stream edit {stream}`, or, if its content is not \
             needed, remove the stream"
        ),
    };
    let Some(history) = history else {
        return Err(unsafe_because(format!(
            "it takes {:?}, which no store of ours does",
            info.config.subjects
        )));
    };
    match flaw(&info.config, &wanted(names, &history, replicas)) {
        Some(flaw) => Err(unsafe_because(flaw)),
        None => Ok((info, history)),
    }
}

/// What a failed call means to whoever opens the store.
pub(super) fn explain(
    error: &CallError,
    wire: &Connection,
    names: &Names,
    replicas: u8,
    location: &str,
) -> BrokerError {
    let location = location.to_owned();
    let info = wire.client.server_info();
    match error {
        CallError::Wire(RequestError::Denied(why) | RequestError::Deaf(why)) => BrokerError::Denied {
            location,
            why: format!(
                "{why}: the user needs publish on \"$JS.API.>\" and \"shardwright.>\", and subscribe on \"_INBOX.>\" \
                 and \"shardwright.>\" (docs/nats.md has the exact list)"
            ),
        },
        // It is on here, or may be on a server that this one has yet to find.
        CallError::Wire(RequestError::Nobody) if info.jetstream || info.cluster.is_some() => BrokerError::Unreachable {
            location,
            why: "nobody answers for JetStream; if it is on at no server of the cluster, add a section `jetstream { \
                  store_dir: … }` to their configuration"
                .into(),
        },
        CallError::Wire(RequestError::Nobody) => BrokerError::Unsafe {
            location,
            why: "JetStream is off: add a section `jetstream { store_dir: … }` to the server's configuration".into(),
        },
        CallError::Refused(error) if ApiError::NOT_ENABLED.contains(&error.err_code) => BrokerError::Unsafe {
            location,
            why: format!(
                "JetStream is off for this account ({error}): turn it on with `jetstream: enabled` in the account"
            ),
        },
        CallError::Refused(error) if error.err_code == 10074 => BrokerError::Unsafe {
            location,
            why: format!(
                "replicas = {replicas} needs a cluster of that many servers ({error}): set replicas = 1, or use a \
                 cluster"
            ),
        },
        CallError::Refused(error) if error.err_code == 10065 => BrokerError::Unsafe {
            location,
            why: format!(
                "another stream already takes the subjects of {} ({error}): remove its subjects that cover them",
                names.stream
            ),
        },
        CallError::Refused(error) if error.code < 500 && !ApiError::PASSING.contains(&error.err_code) => {
            BrokerError::Denied {
                location,
                why: error.to_string(),
            }
        }
        other => BrokerError::Unreachable {
            location,
            why: other.to_string(),
        },
    }
}
