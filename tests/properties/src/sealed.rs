//! The frame around values and messages, plain and sealed.

use bytes::Bytes;
use futures_util::FutureExt;
use shardwright_coordinator::{Coordinator, Incoming, MemoryBroker, Messenger, Namespace, Own, Secret, Store, protect};
use shardwright_core::id::{NodeId, Token};
use shardwright_core::store::{Expected, StoreError};
use std::sync::Arc;

const KEY: &str = "hosts/mail-1";
const TOPIC: &str = "node/look";

/// Nothing here waits: the store is a map, and what is received was sent before.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("it does not wait")
}

/// What is read without the secret is refused with the key at which it stands; what is stored comes back; a forged
/// message is dropped and counted.
pub(crate) fn sealed(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else {
        return;
    };
    let bytes = Bytes::copy_from_slice(bytes);
    let namespace = Namespace::new("prod").expect("a namespace");
    let secret = (how & 1 == 1).then(|| Secret::new("correct horse battery staple").expect("long enough"));
    let raw: Arc<dyn Coordinator> = Arc::new(MemoryBroker::new().open(namespace.clone()));
    let protected = protect(Arc::clone(&raw), &namespace, secret.as_ref());

    now(raw.put(KEY, bytes.clone(), Expected::Any)).expect("put");
    match now(protected.get(KEY)) {
        Ok(reading) => {
            let value = reading.entry.expect("it was put").value;
            assert!(secret.is_none(), "a frame that opens was forged");
            assert_eq!(value, bytes.slice(1..), "a plain frame");
        }
        Err(StoreError::Denied(why) | StoreError::Invalid(why)) => assert!(why.contains(KEY), "{why}"),
        Err(other) => panic!("{other}"),
    }
    assert_eq!(
        now(protected.list("", Default::default())).is_ok(),
        now(protected.get(KEY)).is_ok()
    );

    let written = now(protected.put(KEY, bytes.clone(), Expected::Any)).expect("put");
    let entry = now(protected.get(KEY)).expect("read").entry.expect("it was put");
    assert_eq!((entry.value, entry.revision), (bytes.clone(), written.revision));
    if secret.is_some() && bytes.len() > 8 {
        let stored = now(raw.get(KEY)).expect("read").entry.expect("it was put").value;
        assert!(!stored.windows(bytes.len()).any(|part| part == bytes), "not in clear");
        now(raw.put("ids/1", stored, Expected::Any)).expect("put");
        assert!(
            now(protected.get("ids/1")).is_err(),
            "moved to another key it does not open"
        );
    }

    bus(&raw, &namespace, secret.as_ref(), &bytes);
}

/// Of a message that somebody else put on the bus, nothing arrives but what is an envelope in a frame of ours; a true
/// one arrives whole.
fn bus(raw: &Arc<dyn Coordinator>, namespace: &Namespace, secret: Option<&Secret>, bytes: &Bytes) {
    let protected = protect(Arc::clone(raw), namespace, secret);
    let node = |id| NodeId::new(id).expect("not zero");
    let messenger = |id| Messenger::new(protected.clone(), namespace.clone(), node(id), Token(1 << 60));
    let (sender, receiver) = (messenger(1), messenger(2));
    let mut inbox = now(receiver.subscribe(&[TOPIC], Own::Skip)).expect("subscribed");
    now(raw.publish(TOPIC, bytes.clone())).expect("published");
    now(sender.publish(TOPIC, bytes.clone())).expect("published");
    let mut heard = Vec::new();
    while let Some(news) = inbox.next(16).now_or_never() {
        heard.extend(news.expect("the bus is there"));
    }
    let whole = |news: &Incoming| {
        matches!(news, Incoming::Message { origin, topic, body }
            if *origin == node(1) && topic == TOPIC && body == bytes)
    };
    assert!(heard.iter().any(whole), "{heard:?}");
    let forged = heard
        .iter()
        .filter(|news| matches!(news, Incoming::Message { .. }))
        .count()
        - 1;
    assert!(forged <= usize::from(secret.is_none()), "{heard:?}");
}
