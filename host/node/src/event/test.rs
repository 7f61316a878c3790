use super::*;

#[test]
fn the_json_is_stable() {
    let json = |event: NodeEvent| serde_json::to_string(&event).expect("plain data");
    let node = NodeId::new(3).expect("not 0");
    let joined = NodeEvent::Joined {
        node,
        session: SessionId(0xab),
    };
    assert_eq!(
        json(joined),
        r#"{"event":"joined","node":3,"session":"000000000000000000000000000000ab"}"#
    );
    let lost = NodeEvent::Lost {
        role: "r".into(),
        shards: vec![1, 2],
        tokens: vec![Token(7), Token(u64::MAX)],
        overdue: false,
    };
    assert_eq!(
        json(lost),
        concat!(
            r#"{"event":"lost","role":"r","shards":[1,2],"#,
            r#""tokens":["00000000000000000007","18446744073709551615"],"overdue":false}"#,
        )
    );
    let differ = NodeEvent::SettingsDiffer {
        from: vec![node],
        keys: vec![Difference {
            key: "cluster.roles.a.nodes".into(),
            here: Some("\"1-3\"".into()),
            there: None,
        }],
    };
    assert_eq!(
        json(differ),
        concat!(
            r#"{"event":"settings-differ","from":[3],"#,
            r#""keys":[{"key":"cluster.roles.a.nodes","here":"\"1-3\"","there":null}]}"#,
        )
    );
    let gained = NodeEvent::Gained {
        role: "r".into(),
        shards: vec![1],
        tokens: vec![Token(7)],
        epoch: 2,
        since: Duration::from_millis(5),
        deadline: Duration::from_millis(9),
    };
    assert_eq!(
        json(gained),
        concat!(
            r#"{"event":"gained","role":"r","shards":[1],"tokens":["00000000000000000007"],"#,
            r#""epoch":2,"since":5,"deadline":9}"#,
        )
    );
    let grace = NodeEvent::Grace {
        wait: Duration::from_millis(1_500),
    };
    assert_eq!(json(grace), r#"{"event":"grace","wait":1500}"#);
    let health = NodeEvent::Health {
        state: HealthState::BusSilent,
    };
    assert_eq!(json(health), r#"{"event":"health","state":"bus-silent"}"#);
    assert_eq!(
        json(NodeEvent::AdapterState {
            name: "etcd".into(),
            version: "0.1.0".into(),
            state: AdapterState::Quarantined,
            reason: Some("it trapped".into()),
        }),
        r#"{"event":"adapter-state","name":"etcd","version":"0.1.0","state":"quarantined","reason":"it trapped"}"#
    );
    assert_eq!(
        json(NodeEvent::PeerStatus {
            node,
            status: Status::Stale
        }),
        r#"{"event":"peer-status","node":3,"status":"stale"}"#
    );
}
