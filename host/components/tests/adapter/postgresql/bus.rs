//! The bus beyond what the suite sees.

use super::{PATIENCE, eventually, fresh, local, open, server};
use bytes::Bytes;
use shardwright_coordinator::limits::{FRAME_ROOM, MAX_MESSAGE};
use shardwright_coordinator::{Bus, Delivery, Subscription};

async fn next(subscription: &mut dyn Subscription) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next(1)).await;
    next.expect("a delivery").unwrap().remove(0)
}

fn message(topic: &str, payload: Bytes) -> Delivery {
    Delivery::Message {
        topic: topic.into(),
        payload,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_many_parts_arrive_whole_and_in_order() {
    let server = server();
    let namespace = fresh();
    let (one, two) = (
        open(&local(server.port()), &namespace).await,
        open(&local(server.port()), &namespace).await,
    );
    let mut subscription = two.subscribe(&["t"]).await.unwrap();
    let payload = |number: u8, size: usize| Bytes::from(vec![number; size]);
    // Two publishers at once: what they send must not be mixed up.
    let send = async |bus: &shardwright_components::adapter::AdapterCoordinator, from: u8| {
        for number in 0..5 {
            bus.publish("t", payload(from + number, MAX_MESSAGE + FRAME_ROOM))
                .await
                .unwrap();
            bus.publish("t", payload(from + number, 10)).await.unwrap();
        }
    };
    let receive = async {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            match next(&mut *subscription).await {
                Delivery::Message { payload, .. } => {
                    assert!(payload.iter().all(|byte| *byte == payload[0]), "messages are mixed up");
                    seen.push((payload[0], payload.len()));
                }
                Delivery::Gap { .. } => panic!("a gap on a healthy server"),
            }
        }
        seen
    };
    let (seen, (), ()) = tokio::join!(receive, send(&one, 0), send(&two, 100));
    for from in [0, 100] {
        let its: Vec<_> = seen
            .iter()
            .filter(|(byte, _)| (from..from + 100).contains(byte))
            .copied()
            .collect();
        let sent: Vec<_> = (0..5)
            .flat_map(|number| [(from + number, MAX_MESSAGE + FRAME_ROOM), (from + number, 10)])
            .collect();
        assert_eq!(its, sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_send_on_the_channel_disturbs_nobody() {
    let server = server();
    let handle = open(&local(server.port()), &fresh()).await;
    let mut subscription = handle.subscribe(&[]).await.unwrap();
    let channel = server
        .sql(
            "SELECT DISTINCT substring(query FROM 'LISTEN \"(.*)\"') FROM pg_stat_activity WHERE query LIKE 'LISTEN %'",
        )
        .unwrap();
    assert!(channel.starts_with("shardwright_"), "{channel}");
    for rubbish in ["", "hello", "t 1 ", "t 0 ***", "t 7 aGVsbG8", "ünsinn"] {
        server
            .sql(&format!("SELECT pg_notify('{channel}', '{rubbish}')"))
            .unwrap();
    }
    handle.publish("t", Bytes::from_static(b"real")).await.unwrap();
    // A part that has no end may cost a gap, but no message.
    loop {
        match next(&mut *subscription).await {
            Delivery::Gap { .. } => {}
            delivery => break assert_eq!(delivery, message("t", Bytes::from_static(b"real"))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_noticed_by_who_listens() {
    let server = server();
    let handle = open(&local(server.port()), &fresh()).await;
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    handle.publish("t", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(next(&mut *subscription).await, message("t", Bytes::from_static(b"1")));
    let open = handle.status().lanes_open;
    server.pause().unwrap();
    // A question after five seconds of silence, and five more for the answer; other lanes are idle, and notice nothing.
    eventually("the lane is given up", async || {
        (handle.status().lanes_open < open).then_some(())
    })
    .await;
    server.resume().unwrap();
    let waiting = tokio::time::timeout(PATIENCE, subscription.next(1))
        .await
        .expect("a delivery")
        .unwrap();
    assert!(matches!(waiting[..], [Delivery::Gap { .. }]), "{waiting:?}");
    handle.publish("t", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(next(&mut *subscription).await, message("t", Bytes::from_static(b"2")));
}
