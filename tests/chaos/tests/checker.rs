//! The checker's verdicts on histories written by hand.

use shardwright_chaos::checker::{Violation, check};
use shardwright_chaos::history::{Act, Disturbed, Grace, History, Known, Listed, Live, Owner, Process, Write};

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

/// One second, in microseconds.
const SECOND: u64 = 1_000_000;

/// The store is lost at ten seconds; the first process of `c` knew that `a` had the id 1, was told of a grace period of
/// four seconds at eleven, and lives at sixteen. Then `b` has the id 1, as it says at seventeen.
fn lost() -> History {
    let live = |host: &str, node, at| Live {
        by: process(host, 1),
        node,
        at: at * SECOND,
    };
    let by = process("c", 1);
    History {
        lives: vec![live("a", 1, 9), live("c", 3, 9), live("c", 3, 16), live("b", 1, 17)],
        known: vec![Known {
            by: by.clone(),
            at: 5 * SECOND,
            nodes: vec![(1, "a".to_owned()), (3, "c".to_owned())],
        }],
        graces: vec![Grace {
            by,
            at: 11 * SECOND,
            wait: 4_000,
        }],
        losses: vec![10 * SECOND],
        ..History::default()
    }
}

#[test]
fn ids_outlast_a_loss_that_somebody_remembers_through() {
    let history = lost();
    assert_eq!(kinds(&history), ["id reused"]);
    // Another id for `a` is as bad.
    let mut other = lost();
    other.lives[3] = Live {
        by: process("a", 2),
        node: 2,
        at: 17 * SECOND,
    };
    assert_eq!(kinds(&other), ["id changed"]);
    // What is done to others is no excuse.
    let mut busy = lost();
    busy.disturbed = vec![Disturbed {
        at: 12 * SECOND,
        host: Some("b".to_owned()),
    }];
    assert_eq!(kinds(&busy), ["id reused"]);
}

#[test]
fn where_nobody_can_tell_the_new_store_whose_the_ids_were_they_may_be_another_s() {
    let excused = |change: &dyn Fn(&mut History)| {
        let mut history = lost();
        change(&mut history);
        assert_eq!(check(&history), []);
    };
    excused(&|history| history.known.clear());
    excused(&|history| history.graces.clear());
    // It came too late, was told of another loss, did not know of `a` yet, or did not live on.
    excused(&|history| history.graces[0].wait = 2_000);
    excused(&|history| history.graces[0].at = 9 * SECOND);
    excused(&|history| history.known[0].at = 10 * SECOND + 1);
    excused(&|history| history.lives.retain(|live| live.at != 16 * SECOND));
    for host in [None, Some("c".to_owned())] {
        excused(&|history| {
            history.disturbed = vec![Disturbed {
                at: 15 * SECOND,
                host: host.clone(),
            }];
        });
    }
    // The store was lost once more before the grace period was over.
    excused(&|history| history.losses.push(14 * SECOND));
}

#[test]
fn a_loss_excuses_one_change_and_none_before_it() {
    let mut history = lost();
    history.known.clear();
    assert_eq!(check(&history), []);
    // And back again.
    history.lives.push(Live {
        by: process("a", 2),
        node: 1,
        at: 18 * SECOND,
    });
    assert_eq!(kinds(&history), ["id reused"]);
    let mut history = lost();
    history.known.clear();
    history.lives[3].at = 10 * SECOND - 1;
    assert_eq!(kinds(&history), ["id reused"], "it was not lost yet");
    // It was so in the new store, too.
    let mut history = lost();
    history.known.clear();
    history.listed = vec![Listed {
        at: 16 * SECOND,
        node: 1,
        host: "a".to_owned(),
    }];
    assert_eq!(kinds(&history), ["id reused"]);
    // This says nothing of the new store: it may be who held the id before.
    history.listed[0].at = 14 * SECOND;
    assert_eq!(check(&history), []);
}

#[test]
fn no_loss_excuses_two_that_hold_an_id_at_once() {
    let mut history = lost();
    history.known.clear();
    let mut late = act("a", 1, 5, 16 * SECOND, 18 * SECOND);
    late.shard.1 = 7;
    history.acts.push(late);
    assert!(kinds(&history).contains(&"two holders"), "{:?}", check(&history));
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
