//! The checker's verdicts on histories written by hand.

use shardwright_chaos::checker::{Violation, check};
use shardwright_chaos::history::{Act, History, Listed, Live, Owner, Process, Write};

fn process(host: &str, number: u32) -> Process {
    Process {
        host: host.to_owned(),
        number,
    }
}

fn act(host: &str, node: u32, token: u64, begin: u64, end: u64) -> Act {
    Act {
        by: process(host, 1),
        node,
        shard: ("index".to_owned(), 0),
        token,
        begin,
        end,
        refused: false,
    }
}

fn of(acts: &[Act]) -> History {
    History {
        acts: acts.to_vec(),
        ..History::default()
    }
}

/// The kinds of what is found.
fn kinds(history: &History) -> Vec<&'static str> {
    check(history)
        .iter()
        .map(|violation| match violation {
            Violation::TwoAtOnce(_) => "two at once",
            Violation::OlderAfterNewer(_) => "older after newer",
            Violation::TokenOfTwo { .. } => "token of two",
            Violation::TwoHolders { .. } => "two holders",
            Violation::IdReused { .. } => "id reused",
            Violation::IdChanged { .. } => "id changed",
            Violation::OwnerRefused(_) => "owner refused",
            Violation::NotInCalm(_) | Violation::Ended(_) => "other",
        })
        .collect()
}

#[test]
fn one_after_the_other_is_well_in_whatever_order_it_is_told() {
    let history = of(&[
        act("b", 2, 7, 20, 30),
        act("a", 1, 9, 31, 40),
        act("a", 1, 5, 10, 20),
        act("b", 2, 7, 30, 31),
    ]);
    assert_eq!(check(&history), []);
    assert_eq!(check(&History::default()), []);
}

#[test]
fn two_at_once_are_found() {
    assert_eq!(
        kinds(&of(&[act("a", 1, 5, 10, 21), act("b", 2, 7, 20, 30)])),
        ["two at once", "older after newer"]
    );
    // Within a long one, though a short one lies in between.
    let history = of(&[act("a", 1, 5, 10, 100), act("a", 1, 5, 12, 13), act("b", 2, 7, 50, 51)]);
    assert!(kinds(&history).contains(&"two at once"));
    // The processes of one host are two, too.
    let mut again = act("a", 1, 7, 20, 30);
    again.by.number = 2;
    assert_eq!(
        kinds(&of(&[act("a", 1, 5, 10, 25), again])),
        ["two at once", "older after newer", "two holders"]
    );
}

#[test]
fn an_act_within_a_millisecond_is_only_found_where_it_certainly_meets_another() {
    // As the events of the binary tell it: some moment of the millisecond from 20,000 on.
    let moment = |token| act("b", 2, token, 20_999, 20_000);
    assert_eq!(check(&of(&[act("a", 1, 5, 10_000, 20_500), moment(7)])), []);
    assert_eq!(check(&of(&[moment(7), act("a", 1, 9, 20_500, 30_000)])), []);
    let met = kinds(&of(&[act("a", 1, 5, 10_000, 30_000), moment(7)]));
    assert_eq!(met, ["two at once", "older after newer"]);
}

#[test]
fn other_shards_are_other_work() {
    let mut other = act("b", 2, 7, 20, 30);
    other.shard.1 = 1;
    assert_eq!(check(&of(&[act("a", 1, 5, 10, 40), other])), []);
}

#[test]
fn an_older_token_after_a_newer_is_found_also_behind_a_third() {
    assert_eq!(
        kinds(&of(&[act("b", 2, 7, 10, 20), act("a", 1, 5, 30, 40)])),
        ["older after newer"]
    );
    let acts = [
        act("a", 1, 5, 10, 20),
        act("b", 2, 7, 21, 30),
        act("c", 3, 9, 31, 40),
        act("a", 1, 5, 50, 60),
    ];
    let [Violation::OlderAfterNewer(both)] = &check(&of(&acts))[..] else {
        panic!("one")
    };
    assert_eq!((both[0].end, both[1].token), (60, 7));
}

#[test]
fn a_token_of_two_hosts_is_found() {
    assert_eq!(
        kinds(&of(&[act("a", 1, 5, 10, 20), act("b", 2, 5, 30, 40)])),
        ["token of two"]
    );
    // A write is enough, and so is what is said of the token.
    let mut history = of(&[act("a", 1, 5, 10, 20)]);
    history.writes.push(Write {
        by: process("b", 1),
        shard: ("index".to_owned(), 0),
        token: 5,
        at: 15,
        accepted: false,
    });
    assert_eq!(kinds(&history), ["token of two"]);
    let mut history = of(&[act("a", 1, 5, 10, 20)]);
    let said = |node, token| Owner {
        at: 15,
        shard: ("index".to_owned(), 0),
        node,
        token,
    };
    history.owners = vec![said(1, 5), said(2, 6)];
    assert_eq!(check(&history), []);
    history.owners.push(said(2, 5));
    assert_eq!(kinds(&history), ["token of two"]);
}

#[test]
fn two_holders_of_an_id_are_found() {
    let live = |host: &str, number, at| Live {
        by: process(host, number),
        node: 1,
        at,
    };
    let mut history = of(&[act("a", 1, 5, 10, 30)]);
    history.lives = vec![live("a", 2, 9), live("a", 2, 31), live("a", 1, 20)];
    assert_eq!(check(&history), []);
    history.lives.push(live("a", 2, 20));
    assert_eq!(kinds(&history), ["two holders"]);
}

#[test]
fn ids_and_hostnames_stay_together() {
    let listed = |at, node, host: &str| Listed {
        at,
        node,
        host: host.to_owned(),
    };
    let mut history = History {
        listed: vec![listed(1, 1, "a"), listed(2, 2, "b"), listed(3, 1, "a")],
        ..History::default()
    };
    assert_eq!(check(&history), []);
    history.listed.push(listed(4, 1, "c"));
    assert_eq!(kinds(&history), ["id reused"]);
    history.listed = vec![listed(1, 1, "a"), listed(2, 2, "a")];
    assert_eq!(kinds(&history), ["id changed"]);
}

#[test]
fn an_owner_that_is_refused_is_found_and_a_straggler_that_is_refused_is_well() {
    let mut refused = act("a", 1, 5, 10, 20);
    let straggler = Write {
        by: process("a", 1),
        shard: ("index".to_owned(), 0),
        token: 5,
        at: 99,
        accepted: false,
    };
    let mut history = of(&[refused.clone(), act("b", 2, 7, 50, 60)]);
    history.writes.push(straggler);
    assert_eq!(check(&history), []);
    refused.refused = true;
    assert_eq!(kinds(&of(&[refused])), ["owner refused"]);
}
