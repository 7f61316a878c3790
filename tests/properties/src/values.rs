//! Values of the store as bytes.

use shardwright_core::codec::{CodecError, decode, encode};
use shardwright_core::id::NodeId;
use shardwright_core::store::Revision;
use shardwright_core::values::{Key, Value};

/// The key of each kind of value, by number.
pub(crate) fn key(kind: u8) -> Key {
    let id = NodeId::new(3).expect("not zero");
    match kind % 9 {
        0 => Key::Meta,
        1 => Key::Host("mail-1".into()),
        2 => Key::Id(id),
        3 => Key::Node(id),
        4 => Key::Session(id),
        5 => Key::Leader,
        6 => Key::Plan {
            role: "purge.accounts".into(),
            part: 0,
        },
        7 => Key::Settings(0xab),
        _ => Key::Policies,
    }
}

/// What is read under a key is of its kind and can be written again, as the same value and from then on as the same
/// bytes; what is refused names its key.
pub(crate) fn values(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    let key = key(kind);
    let value = match decode(&key, bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.to_string().contains(&key.to_string()), "{error}");
            return;
        }
    };
    let kinds = matches!(
        (&key, &value),
        (Key::Meta, Value::Meta(_))
            | (Key::Host(_), Value::Host(_))
            | (Key::Id(_), Value::Id(_))
            | (Key::Node(_), Value::Node(_))
            | (Key::Session(_), Value::Session(_))
            | (Key::Leader, Value::Leader(_))
            | (Key::Plan { .. }, Value::Plan(_))
            | (Key::Settings(_), Value::Settings(_))
            | (Key::Policies, Value::Policies(_))
    );
    assert!(kinds, "{value:?} under {key}");
    match encode(&key, &value) {
        Ok(written) => {
            assert_eq!(decode(&key, &written), Ok(value.clone()));
            assert_eq!(encode(&key, &value), Ok(written));
        }
        Err(error) => assert!(matches!(error, CodecError::TooLarge { .. }), "{error}"),
    }
    if let Value::Plan(plan) = &value {
        for shard in 0..=plan.shards() {
            assert!(plan.row(shard).len() == plan.width as usize || shard == plan.shards());
            let _ = (plan.holder(shard), plan.target(shard));
            // No history issues a token below its base.
            for base in [0, 1 << 60, u64::MAX] {
                assert!(plan.token(shard, Revision(1 << 40), base).0 >= base);
            }
        }
    }
}

/// A key that is understood is spelt as it was read; whatever else stands in the store is left alone.
pub(crate) fn keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(key) = Key::parse(text) {
        assert_eq!(Key::parse(&key.to_string()), Some(key.clone()));
    }
}
