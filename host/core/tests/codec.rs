//! Stored values are a contract between versions: their bytes are fixed, and no bytes can do harm.

use proptest::prelude::*;
use shardwright_core::codec::{CodecError, MAX_VALUE, decode, encode};
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId};
use shardwright_core::plan::{PART_SHARDS, PlanPart};
use shardwright_core::store::{Revision, StoreTime};
use shardwright_core::values::*;
use std::sync::Arc;

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn examples() -> Vec<(Key, Value)> {
    let session = SessionId(0x0102);
    vec![
        (
            Key::Meta,
            Value::Meta(Meta {
                history: HistoryId(7),
                base: 1 << 20,
                coordinator: "sqlite".to_owned(),
            }),
        ),
        (
            Key::Host("mail-1".to_owned()),
            Value::Host(Host {
                instance: InstanceId(9),
                id: Some(id(3)),
                session: Some(session),
            }),
        ),
        (
            Key::Host("mail-2".to_owned()),
            Value::Host(Host {
                instance: InstanceId(9),
                id: None,
                session: None,
            }),
        ),
        (
            Key::Id(id(3)),
            Value::Id(IdOwner {
                hostname: "mail-1".to_owned(),
            }),
        ),
        (
            Key::Session(id(3)),
            Value::Session(Session {
                hostname: "mail-1".to_owned(),
                instance: InstanceId(9),
                session,
                applied: Revision(41),
                began: StoreTime(1_000),
                away: 5,
                ended: Some(StoreTime(2_000)),
            }),
        ),
        (
            Key::Node(id(3)),
            Value::Node(Arc::new(NodeInfo {
                labels: [("disk".to_owned(), "ssd".to_owned())].into(),
                zone: "eu".to_owned(),
                capacity: 100,
                version: "0.1.0".to_owned(),
                addresses: vec!["10.0.0.1".to_owned()],
                coordinator: "sqlite".to_owned(),
                settings: 5,
                session,
                drain: true,
                cordon: false,
            })),
        ),
        (
            Key::Leader,
            Value::Leader(Leader {
                node: Some(id(3)),
                session,
                settings: 5,
            }),
        ),
        (
            Key::Settings(0xab),
            Value::Settings(Arc::new(SharedSettings {
                text: "cluster.max-node-id = 63\n".to_owned(),
            })),
        ),
        (
            Key::Policies,
            Value::Policies(Policies {
                session,
                failing: vec![Failing {
                    role: "mine".to_owned(),
                    suspended: true,
                    reason: "it trapped".to_owned(),
                }],
            }),
        ),
        (
            Key::Plan {
                role: "purge.accounts".to_owned(),
                part: 0,
            },
            Value::Plan(Arc::new(PlanPart {
                shape: 1,
                epoch: 2,
                inputs: 3,
                width: 2,
                rows: vec![3, 4, 4, 0],
                sessions: vec![(id(3), session)],
                holders: vec![1, 0],
                granted: vec![40, 0],
                targets: vec![4, 0],
            })),
        ),
    ]
}

/// Changing one of these lines means a new format number: nodes of two versions share a store during an upgrade.
#[test]
fn fixed_vectors() {
    let written: Vec<String> = examples()
        .iter()
        .map(|(k, v)| format!("{k} {}", hex(&encode(k, v).unwrap())))
        .collect();
    assert_eq!(written, include_str!("vectors/values.txt").lines().collect::<Vec<_>>());
}

#[test]
fn what_is_written_is_read() {
    for (key, value) in examples() {
        assert_eq!(decode(&key, &encode(&key, &value).unwrap()), Ok(value));
        assert_eq!(Key::parse(&key.to_string()), Some(key));
    }
}

#[test]
fn unknown_keys_are_left_alone() {
    for text in [
        "",
        "meta/",
        "hosts/",
        "ids/0",
        "ids/x",
        "ids/4294967296",
        "sessions/-1",
        "plan/x",
        "plan/x/y",
        "blobs/1/2",
        "leader2",
        "settings/ab",
        "settings/000000000000000000000000000000AB",
        "settings/+00000000000000000000000000000ab",
    ] {
        assert_eq!(Key::parse(text), None, "{text:?}");
    }
    assert_eq!(
        Key::parse("plan/a/b/7"),
        Some(Key::Plan {
            role: "a/b".to_owned(),
            part: 7
        })
    );
}

#[test]
fn another_format_is_named_and_rubbish_is_refused() {
    for (key, value) in examples() {
        let mut bytes = encode(&key, &value).unwrap();
        bytes[0] = 9;
        assert!(matches!(decode(&key, &bytes), Err(CodecError::Format { found: 9, .. })));
        bytes[0] = 1;
        bytes.push(0);
        assert!(decode(&key, &bytes).is_err(), "{key}: trailing bytes");
        assert!(decode(&key, &[]).is_err());
        assert!(decode(&key, &[1]).is_err());
    }
}

#[test]
fn lists_that_do_not_fit_together_are_refused() {
    let key = Key::Plan {
        role: "r".to_owned(),
        part: 0,
    };
    let good = PlanPart {
        shape: 1,
        epoch: 1,
        inputs: 1,
        width: 1,
        rows: vec![1],
        sessions: Vec::new(),
        holders: vec![0],
        granted: vec![0],
        targets: vec![0],
    };
    for bad in [
        PlanPart {
            holders: vec![1],
            ..good.clone()
        },
        PlanPart {
            targets: Vec::new(),
            ..good.clone()
        },
        PlanPart {
            width: 0,
            ..good.clone()
        },
        PlanPart {
            width: 2,
            ..good.clone()
        },
        PlanPart {
            rows: vec![0; PART_SHARDS as usize + 1],
            ..good.clone()
        },
    ] {
        let bytes = encode(&key, &Value::Plan(Arc::new(bad.clone()))).unwrap();
        assert!(
            matches!(decode(&key, &bytes), Err(CodecError::Malformed { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn a_value_may_have_256_kib_and_not_a_byte_more() {
    let encoded = |length| {
        let value = Value::Meta(Meta {
            history: HistoryId(1),
            base: 1,
            coordinator: "x".repeat(length),
        });
        encode(&Key::Meta, &value)
    };
    let around = encoded(MAX_VALUE - 100).unwrap().len() - (MAX_VALUE - 100);
    assert_eq!(encoded(MAX_VALUE - around).unwrap().len(), MAX_VALUE);
    for more in [1, 2, MAX_VALUE] {
        let size = MAX_VALUE + more;
        assert!(matches!(encoded(size - around), Err(CodecError::TooLarge { size: told, .. }) if told == size));
    }
}

#[test]
fn what_claims_to_be_larger_than_any_plan_is_not_unpacked() {
    let key = Key::parse("plan/r/0").unwrap();
    let claims = |size: usize| {
        let size = u32::try_from(size).unwrap().to_le_bytes();
        decode(&key, &[&[1], &size[..]].concat()).unwrap_err().to_string()
    };
    for size in [64 * MAX_VALUE + 1, 64 * MAX_VALUE + 2] {
        assert!(claims(size).contains("larger than any plan"), "{}", claims(size));
    }
    for size in [1, 64 + MAX_VALUE + 1, 64 * MAX_VALUE] {
        assert!(!claims(size).contains("larger than any plan"), "{}", claims(size));
    }
}

/// The promise that no stored value exceeds 256 KiB, for the worst plan that a part can hold with three replicas.
#[test]
fn a_full_part_of_noise_stays_below_the_limit() {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 12
    };
    let shards = PART_SHARDS as usize;
    let plan = PlanPart {
        shape: u64::MAX,
        epoch: 1,
        inputs: u64::MAX,
        width: 3,
        rows: (0..shards * 3).map(|_| noise()).collect(),
        sessions: (1..=1_000)
            .map(|n| (id(n), SessionId(u128::from(n) << 100 | 12345)))
            .collect(),
        holders: (0..shards).map(|_| noise() % 1_000).collect(),
        granted: (0..shards).map(|_| (1 << 40) + u64::from(noise())).collect(),
        targets: (0..shards).map(|_| noise()).collect(),
    };
    let key = Key::Plan {
        role: "r".to_owned(),
        part: 0,
    };
    let bytes = encode(&key, &Value::Plan(Arc::new(plan))).unwrap();
    assert!(bytes.len() < MAX_VALUE / 2, "{}", bytes.len());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), format in any::<bool>()) {
        for (key, _) in examples() {
            let mut bytes = bytes.clone();
            if format && !bytes.is_empty() {
                bytes[0] = 1;
            }
            let _ = decode(&key, &bytes);
        }
    }

    #[test]
    fn no_mutation_of_a_plan_panics(at in 0usize..64, to in any::<u8>()) {
        let (key, value) = examples().pop().unwrap();
        let mut bytes = encode(&key, &value).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(Value::Plan(plan)) = decode(&key, &bytes) {
            prop_assert!(plan.is_well_formed());
            for shard in 0..plan.shards() {
                let _ = (plan.holder(shard), plan.target(shard), plan.row(shard));
            }
        }
    }
}

#[test]
fn settings_are_stored_up_to_64_kib() {
    let storable = |len| SharedSettings { text: "x".repeat(len) }.is_storable();
    assert_eq!([0, 65_536, 65_537].map(storable), [true, true, false]);
}
