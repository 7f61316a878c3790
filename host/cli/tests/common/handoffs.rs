//! Nodes that leave in good order, and who follows them.

use super::{Cluster, LIMIT, holders};
use rustix::process::Signal;
use shardwright_cli::process::{ClusterFolder, OutputLine};

/// Nobody looks at the store by itself more often than this, in milliseconds.
const RENEW: u64 = 4_000;

/// Settings of nodes that rely on being told.
pub(crate) const CALM: &str = r#"name = "test"

[cluster.timing]
validity = "12s"
renew = "4s"
margin = "500ms"
settle = "50ms"
stop-timeout = "2s"

[cluster.roles]
fts-indexing = { shards = 6, replicas = 2 }
"#;

/// How many nodes leave: real processes are slow. The node's own tests count a hundred on each backend.
const ROUNDS: usize = 6;

/// Of two nodes in `yard`, whose settings are [`CALM`], one leaves after the other, and comes back. Since the older one
/// leads, it is in turn the leader and the other who leaves. The one that stays has everything long before it would
/// have looked by itself.
pub(crate) fn followed_at_once(yard: ClusterFolder) {
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::inside(yard);
    hosts.iter().for_each(|host| cluster.start(host));
    let (mut slow, mut led) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        // Each leaves twice, so the second time it has come back to a cluster that the other leads.
        let (leaving, staying) = (hosts[round / 2 % 2], hosts[1 - round / 2 % 2]);
        cluster.until("both to share the work", |told| {
            let held = holders(told, "fts-indexing");
            let fair = |host: &&str| held.values().filter(|by| by == host).count() == 3;
            (held.len() == 6 && hosts.iter().all(fair)).then_some(())
        });
        led += usize::from(leads(&cluster.told, leaving));
        let before = cluster.told.len();
        let mut node = cluster.take(leaving);
        node.signal(Signal::TERM).expect("it lives");
        assert!(
            node.wait(LIMIT).expect("it ends").success(),
            "{}",
            cluster.yard.log(leaving)
        );
        let ended = cluster.event(leaving, "lost", before).at;
        let follow = |told: &[OutputLine]| {
            let all = holders(told, "fts-indexing").values().all(|host| host == staying);
            all.then(|| gained(told, staying))
        };
        let took = cluster
            .until("the other to have everything", follow)
            .saturating_sub(ended);
        slow.extend((took > RENEW / 4).then_some((leaving, took)));
        cluster.start(leaving);
    }
    assert!(
        led > 0 && led < ROUNDS,
        "both the leader and the other left: {led} of {ROUNDS}"
    );
    assert!(
        slow.len() <= 1,
        "of {ROUNDS} handoffs these waited for a look: {slow:?}, in milliseconds"
    );
}

/// Since when `host` has what it gained last.
fn gained(told: &[OutputLine], host: &str) -> u64 {
    let gains = told.iter().filter(|told| told.host == host && told.event == "gained");
    gains
        .filter_map(|told| told.fields["since"].as_u64())
        .max()
        .unwrap_or(0)
}

/// Whether `host` leads, by its own words.
fn leads(told: &[OutputLine], host: &str) -> bool {
    let word =
        |told: &&OutputLine| told.host == host && ["ready", "leading", "resigned"].contains(&told.event.as_str());
    told.iter().rfind(word).is_some_and(|told| told.event == "leading")
}
