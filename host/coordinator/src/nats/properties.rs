//! What must hold of whatever stands in the stream, for `tests/properties`: functions over bytes that somebody makes
//! up.

use super::api::{Ack, CallError, StreamConfig, StreamInfo, parse};
use super::mirror::Mirror;
use super::names::{Names, Place, Subjects};
use super::record::{Body, Record};
use crate::limits::Namespace;
use bytes::Bytes;
use shardwright_core::store::{Revision, StoreTime};

/// What is read as a record is written as it was, and what is none says why.
pub fn record(data: &[u8]) {
    match Record::decode(&Bytes::copy_from_slice(data)) {
        Ok(record) => {
            let written = record.encode();
            assert!(data.starts_with(&written));
            let more = matches!(record.body, Body::Tick | Body::Deleted);
            assert!(more || written.len() == data.len());
            assert_eq!(Record::decode(&written), Ok(record));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

/// What JetStream answers is an answer or makes no sense; a stream's settings come back.
pub fn api(data: &[u8]) {
    match parse::<StreamInfo>(data) {
        Ok(info) => {
            let text = serde_json::to_vec(&info.config).expect("JSON");
            assert_eq!(parse::<StreamConfig>(&text).ok(), Some(info.config));
        }
        Err(CallError::Refused(error)) => assert!(!error.to_string().is_empty()),
        Err(CallError::Garbled(why)) => assert!(why.contains("line"), "{why}"),
        Err(other) => panic!("{other}"),
    }
    drop(parse::<Ack>(data));
}

/// Whatever messages a stream pushes, the mirror has one entry for each key at most, and lists what it was asked for.
pub fn mirror(data: &[u8]) {
    let namespace = Namespace::new("prod").expect("a namespace");
    let names = Names::new(&namespace);
    let subjects = Subjects::new(&names, "0f");
    let mirror = Mirror::default();
    let mut sequence = 0_u64;
    let mut rest = data;
    while let Some((&[deed, size], after)) = rest.split_first_chunk::<2>() {
        let (bytes, after) = after.split_at(after.len().min(usize::from(size)));
        rest = after;
        sequence += u64::from(deed >> 5) + 1;
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let subject = match deed & 3 {
            0 => subjects.key(["a", "a/b", "hosts/x.y"][usize::from(deed >> 2 & 7) % 3]),
            1 => subjects.part(["0a", "0b"][usize::from(deed >> 2 & 1)], u32::from(deed >> 3 & 3)),
            2 => subjects.tick(1),
            _ => format!("{}{text}", subjects.key("")),
        };
        let place = subjects.place(&subject);
        if let Some(Place::Key(key)) = &place {
            assert_eq!(subjects.place(&subjects.key(key)), Some(Place::Key(key.clone())));
        }
        let payload = Bytes::copy_from_slice(bytes);
        mirror.apply(
            sequence,
            u64::from(deed) << 56 >> (size & 63),
            place,
            Record::decode(&payload),
        );
        assert_eq!(mirror.cursor(), sequence);
        if deed == u8::MAX {
            mirror.begin();
            sequence = 0;
        }
    }
    for since in [0, 1, sequence] {
        let Ok(listing) = mirror.list("", Revision(since), Revision(sequence)) else {
            continue;
        };
        assert!(
            listing.entries.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "sorted, none twice"
        );
        for (_, entry) in &listing.entries {
            assert!(entry.revision.0 > since && entry.revision.0 <= sequence);
            assert!(entry.written <= listing.now && entry.value.len() <= data.len());
        }
    }
    for message in mirror.useless(StoreTime(u64::MAX)) {
        mirror.forget(message);
    }
    assert_eq!(mirror.useless(StoreTime(u64::MAX)), Vec::<u64>::new());
}
