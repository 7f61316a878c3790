//! The log: to stderr, chosen by `RUST_LOG`.

use crate::output::plain;
use clap::ValueEnum;
use std::fmt::{self, Debug};
use std::io::IsTerminal;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Text for operators
    #[default]
    Text,
    /// One JSON object per line
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
    // A line that cannot be written is lost, on a full disk for one. To say so on stderr would panic there, and take
    // what logged with it.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_ansi(crate::output::colors(&std::io::stderr()))
            .with_target(std::io::stderr().is_terminal())
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = unusable {
        tracing::warn!(%error, "RUST_LOG cannot be used: logging at level info");
    }
}

/// One field of a line. What it says may come from another node, a component or a server.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = plain(&text);
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => writer.write_str(&text),
        (name, true) => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{text}"),
        (name, false) => write!(writer, "{name}={text}"),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::io::{Read, Seek};
    use std::sync::Arc;

    #[test]
    fn what_others_say_does_nothing_to_a_terminal() {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_ansi(false)
            .without_time()
            .with_writer(file.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let evil = "x\x1b[2J\ny";
            let _in = tracing::info_span!("of", host = evil).entered();
            tracing::warn!(reason = evil, error = %evil, "says {evil}");
        });
        let mut told = String::new();
        (&*file).rewind().expect("a file");
        (&*file).read_to_string(&mut told).expect("text");
        let expected = concat!(
            r#"of{host="x\u{1b}[2J\ny"}: shardwright_cli::run::logs::test: says x\u{1b}[2J\ny "#,
            r#"reason="x\u{1b}[2J\ny" error=x\u{1b}[2J\ny"#,
        );
        assert_eq!(told.trim(), format!("WARN {expected}"));
    }
}
