//! The same for people, on one screen.

use super::report::{Coordinator, Nodes, Report};
use crate::output::{line, plain};
use shardwright_core::human::Span;

/// Shows it.
pub(super) fn show(report: &Report) -> std::io::Result<()> {
    let so = if report.ok {
        "all is well"
    } else {
        "something is not well"
    };
    line(&format!("{}: {so}\n", plain(&report.cluster)))?;
    fact("coordinator", &coordinator(&report.coordinator))?;
    if report.coordinator.reachable {
        let leader = report.leader.as_ref().map(|leader| {
            let since = leader
                .since
                .as_ref()
                .map_or_else(String::new, |since| format!(", since {since}"));
            format!("{} ({}){since}", leader.node_id, leader.hostname)
        });
        fact("leader", &leader.unwrap_or_else(|| "nobody".to_owned()))?;
        fact("nodes", &nodes(&report.nodes))?;
        fact("shards", &shards(report))?;
        for moving in &report.moving {
            fact("moving", &format!("{} {}: {}", moving.role, moving.shards, moving.text))?;
        }
        if let Some(grace) = &report.grace {
            fact(
                "grace",
                &format!("nothing is granted for another {}", Span(grace.left_ms)),
            )?;
        }
    }
    if !report.problems.is_empty() {
        line("\nNot well:")?;
    }
    report
        .problems
        .iter()
        .try_for_each(|problem| line(&format!("- {}", plain(&problem.text))))
}

fn fact(name: &str, text: &str) -> std::io::Result<()> {
    line(&format!("{name:<12} {}", plain(text)))
}

fn coordinator(coordinator: &Coordinator) -> String {
    if !coordinator.reachable {
        return format!("{}: does not answer", coordinator.kind);
    }
    let location = coordinator.location.as_deref().unwrap_or_default();
    let mut text = format!("{} at {location}", coordinator.kind);
    if let Some(ms) = coordinator.latency_ms {
        text.push_str(&format!(", answers in {}", Span(ms)));
    }
    if let (Some(history), Some(since)) = (&coordinator.history, &coordinator.history_since) {
        let short: String = history.chars().take(8).collect();
        text.push_str(&format!(", history {short}… since {since}"));
    }
    match coordinator.clock_ahead_ms {
        // What a look takes is no difference.
        Some(ahead) if ahead.unsigned_abs() >= 1_000 => {
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            text.push_str(&format!(
                ", its clock {} {way} this machine's, which harms nothing",
                Span(ahead.unsigned_abs())
            ));
        }
        _ => text.push_str(", its clock agrees with this machine's"),
    }
    text
}

fn nodes(nodes: &Nodes) -> String {
    let all = [
        (&nodes.stale, "not renewing"),
        (&nodes.left, "left"),
        (&nodes.expired, "lost"),
        (&nodes.draining, "draining"),
        (&nodes.drained, "drained"),
        (&nodes.cordoned, "cordoned"),
        (&nodes.differing, "with other settings"),
    ];
    let mut text = format!("{} active", nodes.active.len());
    for (ids, what) in all.into_iter().filter(|(ids, _)| !ids.is_empty()) {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        text.push_str(&format!("; {what}: {}", ids.join(", ")));
    }
    text
}

fn shards(report: &Report) -> String {
    let sum = |of: &dyn Fn(&super::report::Role) -> usize| report.roles.iter().map(of).sum::<usize>();
    format!(
        "{} in {} role{}: {} held, {} moving, {} with nobody",
        sum(&|role| role.shards),
        report.roles.len(),
        if report.roles.len() == 1 { "" } else { "s" },
        sum(&|role| role.held),
        sum(&|role| role.moving),
        sum(&|role| role.unowned)
    )
}
