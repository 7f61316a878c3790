//! The log: to stderr, chosen by `RUST_LOG`.

use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object for each line
    Json,
}

/// Begins to log; once for a process.
pub(super) fn init(format: LogFormat) {
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let (filter, unusable) = match wanted.as_deref().map(EnvFilter::try_new) {
        None => (EnvFilter::new("info"), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder
            .with_ansi(crate::output::colors(&std::io::stderr()))
            .with_target(std::io::stderr().is_terminal())
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = unusable {
        tracing::warn!(%error, "RUST_LOG cannot be used: logging at level info");
    }
}
