//! `type = "nats"`.

use super::address::Form;
use super::settings::Settings;
use super::tls::{self, TlsSection};
use crate::problem::Code;
use crate::secret::{self, Secret};
use std::time::Duration;

/// A `[store."<id>"]` section of type `nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSection {
    /// Its id.
    pub id: String,
    /// The addresses, which may hold user and password.
    pub addresses: Vec<Secret>,
    /// Who we are.
    pub login: NatsLogin,
    /// TLS; `None` for a connection without, unless the server asks for it.
    pub tls: Option<TlsSection>,
    /// How many servers keep the stream: 1, 3 or 5.
    pub replicas: u8,
    /// The longest that connecting may take.
    pub timeout_connection: Duration,
    /// The longest that a request may take.
    pub timeout_request: Duration,
    /// How often the connection is proved to be alive.
    pub ping_interval: Duration,
    /// Commands that wait to be sent.
    pub capacity_client: usize,
    /// Messages that wait for one subscription inside the client.
    pub capacity_subscription: usize,
    /// Bytes of the read buffer at first.
    pub capacity_read_buffer: u16,
    /// How often to reconnect before giving up; `None` for ever.
    pub max_reconnects: Option<usize>,
}

/// Who we are to a NATS server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NatsLogin {
    /// Nobody, or whoever the address names.
    #[default]
    None,
    /// A user with a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// The text of a credentials file.
    Credentials(Secret),
}

const FORM: Form = Form {
    schemes: &["nats", "tls"],
    bare: true,
    login: true,
    redis: false,
    example: "nats://host:4222",
};

/// The longest queue that can be asked for.
const MAX_CAPACITY: u32 = 1 << 24;

pub(super) fn read(settings: &Settings<'_, '_, '_>, id: String) -> NatsSection {
    let addresses = settings.addresses("address", &FORM);
    let login = login(settings, addresses.iter().any(|address| address.login.is_some()));
    if let (None, [_, second, ..]) = (settings.get("replicas"), addresses.as_slice()) {
        let message = "several servers are listed, and `replicas` is not set: one of them keeps everything";
        let help =
            "set `replicas = 3` on a cluster of three or more servers, or `replicas = 1` to say that this is meant";
        settings.warn(Code::SingleReplica, second.item.span, message, help);
    }
    NatsSection {
        id,
        login,
        tls: tls::read(settings, &addresses, "tls"),
        addresses: addresses.into_iter().map(|address| address.text).collect(),
        replicas: replicas(settings),
        timeout_connection: settings
            .duration("timeout.connection")
            .unwrap_or(Duration::from_secs(5)),
        timeout_request: timeout_request(settings),
        ping_interval: settings.duration("ping-interval").unwrap_or(Duration::from_secs(5)),
        capacity_client: capacity(settings, "capacity.client", 2_048),
        capacity_subscription: capacity(settings, "capacity.subscription", 65_536),
        capacity_read_buffer: settings
            .number("capacity.read-buffer", 1..=u32::from(u16::MAX))
            .and_then(|bytes| u16::try_from(bytes).ok())
            .unwrap_or(u16::MAX),
        max_reconnects: if settings.is_off("max-reconnects") {
            None
        } else {
            settings
                .number("max-reconnects", 0..=u32::MAX)
                .map(|times| times as usize)
        },
    }
}

fn capacity(settings: &Settings<'_, '_, '_>, name: &'static str, default: usize) -> usize {
    settings.number(name, 1..=MAX_CAPACITY).map_or(default, |n| n as usize)
}

fn replicas(settings: &Settings<'_, '_, '_>) -> u8 {
    match settings.number("replicas", 1..=5) {
        Some(3) => 3,
        Some(5) => 5,
        Some(2 | 4) => {
            if let Some(item) = settings.get("replicas") {
                let message = format!("`{}` must be 1, 3 or 5", item.path);
                let help = "an even number survives no more failures than the odd one below it, and is slower";
                settings.error(Code::OutOfRange, item.span, message, help);
            }
            1
        }
        _ => 1,
    }
}

fn timeout_request(settings: &Settings<'_, '_, '_>) -> Duration {
    let default = Duration::from_secs(10);
    match settings.get("timeout.request") {
        Some(item) if settings.is_off("timeout.request") => {
            let why = "a request without an end could never be tried again: it ends after 10 s";
            settings.ignore(item.key_span, &item.path, why);
            default
        }
        _ => settings.duration("timeout.request").unwrap_or(default),
    }
}

/// The one login that the section has.
fn login(settings: &Settings<'_, '_, '_>, in_address: bool) -> NatsLogin {
    let one = "keep one login: in the addresses, `user` with `password`, `token`, `nkey` or `credentials`";
    let mut first = in_address.then_some("a login in an address".to_owned());
    for name in ["user", "token", "nkey", "credentials"] {
        // Of user and password either will do: that both are there is looked at below.
        let given = settings
            .get(name)
            .or_else(|| settings.get("password").filter(|_| name == "user"));
        match (given, &first) {
            (Some(item), Some(other)) => settings.conflict(item, other, one),
            (Some(item), None) => first = Some(format!("`{}`", item.path)),
            (None, _) => {}
        }
    }
    for (given, needed) in [("user", "password"), ("password", "user")] {
        if let (Some(item), None) = (settings.get(given), settings.get(needed)) {
            settings.missing(item.key_span, needed);
        }
    }
    let user = settings.text("user").zip(settings.secret("password"));
    let user = user.map(|(user, password)| NatsLogin::User { user, password });
    user.or_else(|| settings.secret("token").map(NatsLogin::Token))
        .or_else(|| nkey(settings).map(NatsLogin::Nkey))
        .or_else(|| credentials(settings).map(NatsLogin::Credentials))
        .unwrap_or_default()
}

/// The seed of a user's nkey.
fn nkey(settings: &Settings<'_, '_, '_>) -> Option<Secret> {
    settings.with("nkey", |reader, item| {
        let seed = Secret::new(reader.secret(item)?.expose().trim());
        let fits = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
        let text = seed.expose();
        if text.starts_with("SU") && text.len() == 58 && text.chars().all(fits) {
            return Some(seed);
        }
        let message = format!("`{}` is no seed of a user's nkey", item.path);
        let help =
            "write the seed, 58 characters that begin with `SU`, as `nk -gen user` prints it; not the public key";
        reader.error(Code::InvalidValue, item.span, message, help);
        None
    })
}

/// The text of a credentials file, or what the file at this path holds.
fn credentials(settings: &Settings<'_, '_, '_>) -> Option<Secret> {
    settings.with("credentials", |reader, item| {
        let value = reader.secret(item)?;
        let text = if value.expose().contains("-----BEGIN") {
            value
        } else {
            let path = settings.base.join(value.expose().trim());
            Secret::new(reader.fetched(item, secret::from_file(&path.to_string_lossy()))?)
        };
        if text.expose().contains("NATS USER JWT") && text.expose().contains("USER NKEY SEED") {
            return Some(text);
        }
        let message = format!("`{}` holds no NATS credentials", item.path);
        let help =
            "write the path or the text of a `.creds` file, as `nsc generate creds` prints it: it has a JWT and a seed";
        reader.error(Code::InvalidValue, item.span, message, help);
        None
    })
}
