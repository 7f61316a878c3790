//! `type = "kafka"`.

use super::address::Form;
use super::settings::Settings;
use super::tls::{self, TlsSection};
use crate::problem::Code;
use crate::secret::Secret;
use std::time::Duration;

/// A `[store."<id>"]` section of type `kafka`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSection {
    /// Its id.
    pub id: String,
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// Who we are; `None` for nobody, or for the TLS certificate alone.
    pub login: Option<KafkaLogin>,
    /// TLS; `None` for a connection without.
    pub tls: Option<TlsSection>,
    /// Replicas of topics that are made here.
    pub replication: u16,
    /// The longest that a record may take to be acknowledged.
    pub timeout_message: Duration,
    /// After how long without answer a broker counts as gone.
    pub timeout_session: Duration,
}

/// Who we are to Kafka: SASL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How to prove it.
    pub mechanism: KafkaMechanism,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How to prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaMechanism {
    /// The password as it is.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}

const FORM: Form = Form {
    schemes: &[],
    bare: true,
    login: false,
    redis: false,
    example: "host:9092",
};

pub(super) fn read(settings: &Settings<'_, '_, '_>, id: String) -> KafkaSection {
    let brokers = settings.addresses("brokers", &FORM);
    for broker in brokers.iter().filter(|broker| !broker.path.is_empty()) {
        let message = format!("an address in `{}` goes on after its port", broker.item.path);
        settings.error(
            Code::InvalidValue,
            broker.item.span,
            message,
            "write it like `host:9092`",
        );
    }
    if let (None, [_, second, ..]) = (settings.get("replication"), brokers.as_slice()) {
        let message = "several brokers are listed, and `replication` is not set: new topics are kept by one of them";
        let help = "set `replication = 3` on three or more brokers, or `replication = 1` to say that this is meant";
        settings.warn(Code::SingleReplica, second.item.span, message, help);
    }
    let tls = tls::read(settings, &brokers, "ssl");
    if let (
        Some(TlsSection {
            server_name: Some(_), ..
        }),
        Some(item),
    ) = (&tls, settings.get("tls.server-name"))
    {
        let message = format!(
            "`{}` has no meaning with Kafka, whose brokers say themselves what they are called",
            item.path
        );
        let help =
            "remove it, and see to it that the brokers' certificates have the names in their advertised.listeners";
        settings.error(Code::InvalidValue, item.span, message, help);
    }
    KafkaSection {
        id,
        login: login(settings),
        tls,
        brokers: brokers.iter().map(|broker| broker.text.expose().to_owned()).collect(),
        replication: settings
            .number("replication", 1..=100)
            .and_then(|n| u16::try_from(n).ok())
            .unwrap_or(1),
        timeout_message: settings.duration("timeout.message").unwrap_or(Duration::from_secs(5)),
        timeout_session: settings.duration("timeout.session").unwrap_or(Duration::from_secs(5)),
    }
}

/// Mechanism, user and password: all three or none, since a guessed mechanism might show the password to the network.
fn login(settings: &Settings<'_, '_, '_>) -> Option<KafkaLogin> {
    let names = ["sasl.mechanism", "user", "password"];
    if let Some(given) = names.iter().find_map(|name| settings.get(name)) {
        for name in names.iter().filter(|name| settings.get(name).is_none()) {
            settings.missing(given.key_span, name);
        }
    }
    let words = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
    let mechanism = settings.word("sasl.mechanism", &words);
    let (user, password) = (settings.text("user"), settings.secret("password"));
    Some(KafkaLogin {
        mechanism: match mechanism? {
            "PLAIN" => KafkaMechanism::Plain,
            "SCRAM-SHA-256" => KafkaMechanism::ScramSha256,
            _ => KafkaMechanism::ScramSha512,
        },
        user: user?,
        password: password?,
    })
}
