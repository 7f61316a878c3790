//! Secrets of a configuration: whatever else the file holds, they are shown nowhere.

use arbitrary::{Arbitrary, Unstructured};
use shardwright_config::parse;

/// What every secret below has in it.
const HIDDEN: &str = "hunter2-hunter2-x";

const REDIS: &str = "[cluster]\ncoordinator = \"r\"\n[store.r]\ntype = \"redis\"\n";
const NATS: &str = "[cluster]\ncoordinator = \"r\"\n[store.r]\ntype = \"nats\"\naddress = \"nats://h\"\n";
const KAFKA: &str = "[cluster]\ncoordinator = \"r\"\n[store.r]\ntype = \"kafka\"\nbrokers = \"h:1\"\n";
const ETCD: &str = "[cluster]\ncoordinator = \"r\"\n[store.r]\ntype = \"component\"\n\
    adapter = \"etcd\"\nconfig.endpoints = [\"http://h:1\"]\n";

/// Where secrets stand: what comes before, and what after.
const PLACES: &[(&str, &str, &str)] = &[
    ("[cluster]\n", "secret = \"", "\"\n"),
    ("[cluster]\n", "secret = '", "'\n"),
    ("[cluster]\n", "secret = \"\"\"", "\"\"\"\n"),
    (REDIS, "urls = [\"redis://me:", "@host\"]\n"),
    (REDIS, "urls = \"redis://host\"\npassword = \"", "\"\n"),
    (REDIS, "urls = \"redis://host\"\nsentinel-secret = \"", "\"\n"),
    (NATS, "user = \"u\"\npassword = \"", "\"\n"),
    (NATS, "token = '", "'\n"),
    (KAFKA, "sasl.mechanism = \"PLAIN\"\nuser = \"u\"\npassword = \"", "\"\n"),
    (ETCD, "config.user = \"u\"\nconfig.password = \"", "\"\n"),
];

/// What surrounds a secret.
#[derive(Arbitrary, Debug)]
struct Around<'a> {
    place: u8,
    /// Parts of the secret.
    first: &'a str,
    last: &'a str,
    /// In another section before it, in its own, and behind it.
    before: &'a str,
    within: &'a str,
    after: &'a str,
}

/// Nothing that is printed of a configuration, or of what is wrong with it, shows a secret.
pub(crate) fn secrets(data: &[u8]) {
    let Ok(around) = Around::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let (section, open, close) = PLACES[usize::from(around.place) % PLACES.len()];
    if [around.first, around.last, around.before, around.within, around.after]
        .iter()
        .any(|text| text.contains("hunter"))
    {
        return;
    }
    // Inside of the secret, nothing that ends it.
    let ends = |c: char| matches!(c, '"' | '\'' | '\\' | '\n' | '\r' | '@' | '/' | ' ') || c.is_whitespace();
    let [first, last] = [around.first, around.last].map(|part| part.replace(ends, ""));
    // A list or text that is left open around a secret makes another value of it.
    let within = around.within.replace(['"', '\'', '[', '{', '=', '\\'], "");
    let text = format!(
        "{}\n{section}{within}\n{open}{first}{HIDDEN}{last}{close}{}",
        around.before, around.after
    );
    let shown = match parse(&text, "mail.toml") {
        Ok((config, report)) => format!(
            "{config:?}{report:?}{}{}",
            report.render_text(false),
            report.render_json()
        ),
        Err(report) => format!("{report:?}{}{}", report.render_text(true), report.render_json()),
    };
    assert!(!shown.contains("hunter2"), "{text}\n\n{shown}");
}
