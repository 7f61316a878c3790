//! Schedules are functions of their seeds, have everything in them, and undo it.

use std::collections::BTreeSet;

use shardwright_chaos::schedule::{Action, HOSTS, machine, plan};
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
fn stores_are_lost_and_newcomers_come_in_one_run() {
    for store in Store::ALL {
        let both = |seed| {
            let kinds: BTreeSet<_> = plan(seed, store, 50_000)
                .iter()
                .filter_map(|step| step.action.kind())
                .collect();
            kinds.contains("wipe-server") && kinds.contains("guest") && kinds.contains("twin")
        };
        let runs = (0..60).filter(|seed| both(*seed)).count();
        assert!(runs > 20, "{store:?}: {runs}");
    }
}

#[test]
fn somebody_who_remembers_is_left_alone_after_a_loss() {
    let mut losses = 0;
    for (seed, store) in (0..60).flat_map(|seed| Store::ALL.map(|store| (seed, store))) {
        let steps = plan(seed, store, 50_000);
        for loss in steps.iter().filter(|step| step.action == Action::WipeServer) {
            losses += 1;
            let served = steps
                .iter()
                .find(|step| step.at >= loss.at && step.action == Action::StartServer);
            let from = served.map_or(loss.at, |step| step.at);
            // A grace period, which begins when the server serves.
            let span = loss.at..=from + 4_500;
            let meanwhile = || steps.iter().filter(|step| span.contains(&step.at));
            let alone = |host: &&str| {
                let theirs = |action: Action| match action {
                    Action::Kill(other) | Action::Terminate(other) | Action::Stop(other) => other == *host,
                    Action::Start(other) | Action::Continue(other) => other == *host,
                    Action::Cut(at) | Action::Slow(at, _) | Action::Swallow(at) => at == machine(host),
                    Action::Reset(at) | Action::Heal(at) => at == machine(host),
                    Action::KillServer | Action::StopServer | Action::ContinueServer => true,
                    Action::ShiftClock(_) => true,
                    _ => false,
                };
                !meanwhile().any(|step| theirs(step.action))
            };
            assert!(HOSTS[..3].iter().any(alone), "{seed} {store:?}: {loss:?}");
        }
    }
    assert!(losses > 300, "{losses}");
}

#[test]
fn the_clock_is_set_back() {
    let mut shifts = 0;
    for (seed, store) in (0..60).flat_map(|seed| Store::ALL.map(|store| (seed, store))) {
        let steps = plan(seed, store, 50_000);
        let clock = steps.iter().filter(|step| matches!(step.action, Action::ShiftClock(_)));
        let clock: Vec<_> = clock.map(|step| step.action).collect();
        assert!(
            matches!(clock.last(), None | Some(Action::ShiftClock(0))),
            "{seed} {store:?}"
        );
        assert!(
            store.has_server() || clock.is_empty(),
            "a file lives by the clock that nobody sets"
        );
        shifts += clock.len() / 2;
    }
    assert!(shifts > 300, "{shifts}");
}

#[test]
fn this_seed_begins_so_for_ever() {
    let begin: Vec<_> = plan(1, Store::Redis, 20_000)
        .iter()
        .take(3)
        .map(|step| format!("{} {}", step.at, step.action))
        .collect();
    assert_eq!(begin, ["258 stop delta", "425 stop charlie", "1010 stop the server"]);
}
