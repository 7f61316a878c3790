//! Schedules are functions of their seeds, have everything in them, and undo it.

use std::collections::BTreeSet;

use shardwright_chaos::schedule::{Action, HOSTS, plan};
use shardwright_chaos::store::Store;

#[test]
fn a_seed_is_one_schedule() {
    for store in Store::ALL {
        assert_eq!(plan(7, store, 20_000), plan(7, store, 20_000));
        assert_ne!(plan(7, store, 20_000), plan(8, store, 20_000));
    }
}

#[test]
fn every_kind_occurs_where_it_can_and_all_is_undone() {
    let mut kinds = BTreeSet::new();
    for (seed, store) in (0..60).flat_map(|seed| Store::ALL.map(|store| (seed, store))) {
        let steps = plan(seed, store, 20_000);
        assert!(steps.len() > 10, "{seed} {store:?}: {steps:?}");
        assert!(steps.iter().all(|step| step.at <= 20_000) && steps.is_sorted_by_key(|step| step.at));
        kinds.extend(steps.iter().filter_map(|step| step.action.kind()));
        let last = |is: &dyn Fn(&Action) -> bool| steps.iter().map(|step| step.action).rfind(is);
        let server = last(&|action| {
            matches!(
                action,
                Action::KillServer
                    | Action::WipeServer
                    | Action::StartServer
                    | Action::StopServer
                    | Action::ContinueServer
            )
        });
        let up = matches!(server, None | Some(Action::StartServer | Action::ContinueServer));
        assert!(up || !store.has_server(), "{seed} {store:?}: {server:?}");
        for host in HOSTS {
            let process = last(&|action| {
                [
                    Action::Kill(host),
                    Action::Terminate(host),
                    Action::Start(host),
                    Action::Stop(host),
                    Action::Continue(host),
                ]
                .contains(action)
            });
            assert!(
                matches!(process, None | Some(Action::Start(_) | Action::Continue(_))),
                "{seed}: {process:?}"
            );
        }
    }
    assert_eq!(kinds.len(), 14, "{kinds:?}");
}

#[test]
fn this_seed_begins_so_for_ever() {
    let begin: Vec<_> = plan(1, Store::Redis, 20_000)
        .iter()
        .take(3)
        .map(|step| format!("{} {}", step.at, step.action))
        .collect();
    assert_eq!(begin, ["215 stop charlie", "489 terminate bravo", "709 start bravo"]);
}
