//! A server whose clock is set while it runs.

use crate::common::{open, options, put, space};
use shardwright_servers::NatsServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_is_seen_and_the_store_s_never_goes_back() {
    const HOUR: u64 = 3_600_000;
    let server = NatsServer::builder().clock_ahead_by(0).start().unwrap();
    let settings = || options([server.url().as_str()]);
    let one = open(settings(), space("clocks")).await.unwrap();
    let written = put(&*one, "a", "1").await;
    server.shift_clock(HOUR.cast_signed()).unwrap();
    let ahead = one.get("a").await.unwrap();
    assert!(
        ahead.now.since(written.now) >= HOUR,
        "{:?} after {written:?}",
        ahead.now
    );
    // What was stored before keeps its time, also for who comes later.
    let late = open(settings(), space("clocks")).await.unwrap();
    assert_eq!(late.get("a").await.unwrap().entry, ahead.entry);
    server.shift_clock(0).unwrap();
    for handle in [&one, &late] {
        let back = handle.get("a").await.unwrap();
        assert!(
            back.now >= ahead.now && back.entry == ahead.entry,
            "{back:?} after {ahead:?}"
        );
        let again = put(&**handle, "b", "2").await;
        assert!(again.now >= ahead.now, "{again:?} after {ahead:?}");
    }
}
