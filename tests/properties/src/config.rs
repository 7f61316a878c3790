//! A whole configuration file: TOML, the mail server's dialect, its macros, its JSON.

use shardwright_config::{ClusterConfig, Report, Severity, parse, shared_settings};
use shardwright_coordinator::Namespace;
use shardwright_core::role::{MAX_SHARDS, Placement, Replicas};

/// Whatever a file holds, it is read the same way each time; what is accepted keeps its limits, and what is refused is
/// refused at a place.
pub(crate) fn config(data: &[u8]) {
    read(&String::from_utf8_lossy(data));
}

/// The configuration in `text`, if it is accepted; all that must hold of it, or of its problems, is checked.
pub(crate) fn read(text: &str) -> Option<ClusterConfig> {
    let (config, report) = match parse(text, "mail.toml") {
        Ok((config, report)) => (Some(config), report),
        Err(report) => (None, report),
    };
    told(&report, text);
    assert_eq!(
        config.is_none(),
        report.has_errors(),
        "refused exactly if there is an error"
    );
    let again = match parse(text, "mail.toml") {
        Ok((config, _)) => Some(config),
        Err(_) => None,
    };
    assert_eq!(config, again, "the same file is read the same way");
    if let Some(config) = &config {
        limits(config);
    }
    config
}

/// Every problem has a place in the file, says what is wrong and what to do, and comes out for people and for machines.
fn told(report: &Report, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in report.problems() {
        assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem:?}");
        assert!(
            problem.line <= lines.len() && problem.end_line <= lines.len(),
            "{problem:?}"
        );
        assert!(
            (problem.line, problem.column) <= (problem.end_line, problem.end_column),
            "{problem:?}"
        );
        assert_eq!(problem.line == 0, problem.column == 0, "{problem:?}");
        if problem.line > 0 {
            let length = lines[problem.line - 1].chars().count();
            assert!(
                problem.column <= length + 1,
                "{problem:?} in a line of {length} characters"
            );
        }
    }
    assert_eq!(report.render_text(false).is_empty(), report.problems().is_empty());
    let json: serde_json::Value = serde_json::from_str(&report.render_json()).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(report.problems().len()));
    let errors = report
        .problems()
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    assert_eq!(errors, report.has_errors());
}

/// What every part of the software relies on.
fn limits(config: &ClusterConfig) {
    Namespace::new(&config.name).expect("a name that every backend takes");
    assert!((1..=shardwright_config::HIGHEST_MAX_NODE_ID).contains(&config.max_node_id));
    assert!(config.node_id.is_none_or(|id| (1..=config.max_node_id).contains(&id)));
    assert_eq!(config.timing.problems(), []);
    let shared = shared_settings(config);
    assert!(shared.text.lines().all(|line| line.contains(" = ")), "{}", shared.text);
    assert!(shared.text.lines().is_sorted(), "{}", shared.text);
    assert!(
        config.roles.windows(2).all(|pair| pair[0].name < pair[1].name),
        "sorted, none twice"
    );
    for role in &config.roles {
        assert!((1..=MAX_SHARDS).contains(&role.shards), "{role:?}");
        assert_ne!(role.replicas, Replicas::Count(0), "{role:?}");
        let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(&role.config);
        assert!(object.is_ok(), "{role:?}");
        if let Placement::Groups(groups) = &role.placement {
            assert_eq!(groups.len(), role.shards as usize, "{role:?}");
        }
    }
}
