//! Clients of librdkafka: how they are set up, and what they say about their connections.

use super::error;
use super::log_view::LogView;
use super::options::{KafkaLogin, KafkaMechanism, KafkaOptions};
use super::reports::Reports;
use crate::broker::BrokerError;
use crate::limits::{FRAME_ROOM, MAX_KEY, MAX_VALUE, Namespace};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// The largest record that is ever written, with room for what Kafka puts around it.
pub(super) const MAX_RECORD: usize = MAX_VALUE + FRAME_ROOM + MAX_KEY + 4096;
/// How long the broker lets an idle fetch wait, at most. What arrives ends the wait at once, so this is only how often
/// an idle handle asks.
const FETCH_WAIT: Duration = Duration::from_secs(5);

/// What a handle's clients have in common.
pub(super) struct Common {
    pub(super) options: KafkaOptions,
    pub(super) location: String,
    pub(super) store: String,
    pub(super) bus: String,
    pub(super) board: Arc<LogView>,
    pub(super) reports: Arc<Reports>,
    base: ClientConfig,
    group: String,
}

impl Common {
    pub(super) fn new(options: KafkaOptions, namespace: &Namespace, board: Arc<LogView>) -> Result<Self, BrokerError> {
        let base = base(&options)?;
        let location = format!("kafka://{}", options.brokers.join(","));
        Ok(Self {
            reports: Arc::new(Reports::new(&location, &options)),
            location,
            store: format!("shardwright.{namespace}.store"),
            bus: format!("shardwright.{namespace}.bus"),
            group: format!("shardwright.{namespace}"),
            board,
            base,
            options,
        })
    }

    /// How long a call may take.
    pub(super) fn patience(&self) -> Duration {
        self.options.timeout_message
    }

    /// How long to wait for an answer that is no record.
    pub(super) fn session(&self) -> Duration {
        self.options.timeout_session
    }

    /// A client with these settings on top.
    pub(super) fn client<T: FromClientConfigAndContext<KafkaContext>>(
        &self,
        settings: &[(&str, &str)],
    ) -> Result<T, BrokerError> {
        self.reporting(settings, self.reports.clone())
    }

    /// A client that reports there.
    pub(super) fn reporting<T: FromClientConfigAndContext<KafkaContext>>(
        &self,
        settings: &[(&str, &str)],
        reports: Arc<Reports>,
    ) -> Result<T, BrokerError> {
        let mut config = self.base.clone();
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let context = KafkaContext {
            board: self.board.clone(),
            reports,
            displaced: AtomicBool::new(false),
        };
        config
            .create_with_context(context)
            .map_err(|error| self.refused(&error))
    }

    /// A client that writes, and says whether it was stored.
    pub(super) fn producer<T: FromClientConfigAndContext<KafkaContext>>(&self) -> Result<T, BrokerError> {
        let patience = millis(self.options.timeout_message);
        let largest = (2 * MAX_RECORD).to_string();
        self.client(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("message.timeout.ms", &patience),
            ("request.timeout.ms", &patience),
            ("message.max.bytes", &largest),
            ("queue.buffering.max.kbytes", "65536"),
        ])
    }

    /// A client that reads one partition from where it is told to. It belongs to no group: the name is only what the
    /// library asks for.
    pub(super) fn consumer<T: FromClientConfigAndContext<KafkaContext>>(&self) -> Result<T, BrokerError> {
        // A fetch that waits counts as a broker that does not answer.
        let wait = FETCH_WAIT.min(self.options.timeout_session / 2);
        let (wait, largest) = (millis(wait), (2 * MAX_RECORD).to_string());
        self.client(&[
            ("group.id", &self.group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_uncommitted"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", &wait),
            ("fetch.error.backoff.ms", "50"),
            ("fetch.queue.backoff.ms", "20"),
            ("fetch.message.max.bytes", &largest),
            ("queued.max.messages.kbytes", "8192"),
        ])
    }

    fn refused(&self, error: &KafkaError) -> BrokerError {
        match error {
            KafkaError::ClientConfig(_, why, key, _) => BrokerError::Invalid(format!("Kafka's {key}: {why}")),
            KafkaError::ClientCreation(why) if why.contains("ssl") || why.contains("SSL") => BrokerError::Tls {
                location: self.location.clone(),
                why: why.clone(),
            },
            other => BrokerError::Invalid(other.to_string()),
        }
    }
}

/// The settings of every client.
pub(super) fn base(options: &KafkaOptions) -> Result<ClientConfig, BrokerError> {
    if options.brokers.is_empty() {
        return Err(BrokerError::Invalid("there is no Kafka broker to connect to".into()));
    }
    let session = millis(options.timeout_session);
    let setup = millis(options.timeout_session.max(Duration::from_secs(1)));
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", options.brokers.join(","))
        .set("client.id", "shardwright")
        .set("allow.auto.create.topics", "false")
        .set("socket.keepalive.enable", "true")
        .set("socket.timeout.ms", session)
        .set("socket.connection.setup.timeout.ms", setup)
        // The library adds up to half as much by chance.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "3000")
        .set("retry.backoff.ms", "50")
        .set("topic.metadata.refresh.fast.interval.ms", "50")
        .set("enable.metrics.push", "false")
        .set_log_level(RDKafkaLogLevel::Notice);
    if let Some(KafkaLogin {
        mechanism,
        user,
        password,
    }) = &options.login
    {
        let mechanism = match mechanism {
            KafkaMechanism::Plain => "PLAIN",
            KafkaMechanism::ScramSha256 => "SCRAM-SHA-256",
            KafkaMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", user)
            .set("sasl.password", password.expose());
    }
    if let Some(tls) = &options.tls {
        if tls.server_name.is_some() {
            return Err(BrokerError::Invalid(
                "tls.server-name has no meaning with Kafka, whose brokers say their own names: put the names of \
                 advertised.listeners into their certificates"
                    .into(),
            ));
        }
        match &tls.ca {
            Some(ca) => config.set("ssl.ca.pem", ca.load("tls.ca")?.expose()),
            None => config.set("ssl.ca.location", "probe"),
        };
        if let Some((certificate, key)) = &tls.identity {
            config
                .set("ssl.certificate.pem", certificate.load("tls.certificate")?.expose())
                .set("ssl.key.pem", key.load("tls.key")?.expose());
        }
    }
    let protocol = match (&options.tls, &options.login) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    Ok(config)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().clamp(10, 300_000).to_string()
}

/// A client whose end takes a while: it happens on a thread of its own.
pub(super) struct ClosingClient<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> ClosingClient<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for ClosingClient<T> {
    type Target = T;

    fn deref(&self) -> &T {
        #[expect(clippy::expect_used, reason = "it is taken only when dropped")]
        self.0.as_ref().expect("present until dropped")
    }
}

impl<T: Send + 'static> Drop for ClosingClient<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread the client is dropped with the closure, here.
        let _ = std::thread::Builder::new()
            .name("kafka-closing".into())
            .spawn(move || drop(client));
    }
}

/// What librdkafka calls back.
pub(super) struct KafkaContext {
    board: Arc<LogView>,
    reports: Arc<Reports>,
    /// The producer is of no more use.
    displaced: AtomicBool,
}

impl KafkaContext {
    /// Whether the producer has told that it lost its place: another one is needed.
    pub(super) fn is_displaced(&self) -> bool {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Notes whether the producer tells by this error that it has lost its place.
    pub(super) fn note(&self, error: &KafkaError) {
        if error::is_displaced(error) {
            self.displaced.store(true, Ordering::Relaxed);
        }
    }
}

impl ClientContext for KafkaContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Some reasons are only logged.
        if facility == "FAIL" {
            self.reports.report(RDKafkaErrorCode::Fail, message);
        }
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::trace!(facility, "librdkafka: {message}"),
            _ => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let KafkaError::Global(code) = error {
            self.reports.report(code, reason);
        }
    }
}

impl ConsumerContext for KafkaContext {}

/// What was sent, to be told when it is stored.
pub(super) enum DeliveryTag {
    /// A record of the store.
    Store(u64),
    /// A message: at which offset it stands.
    Bus(oneshot::Sender<Result<u64, KafkaError>>),
}

impl ProducerContext<NoCustomPartitioner> for KafkaContext {
    type DeliveryOpaque = Box<DeliveryTag>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<DeliveryTag>) {
        if let Err((error, _)) = result {
            self.note(error);
        }
        match (*ticket, result) {
            (DeliveryTag::Store(sequence), Ok(message)) => {
                let time = message
                    .timestamp()
                    .to_millis()
                    .and_then(|time| u64::try_from(time).ok());
                let stood = u64::try_from(message.offset()).ok().zip(time);
                self.board
                    .stored(sequence, stood, message.payload().unwrap_or_default());
            }
            (DeliveryTag::Store(sequence), Err((error, _))) => self.board.failed(sequence, error),
            // Nobody waits any more: no matter.
            (DeliveryTag::Bus(answer), Ok(message)) => {
                drop(answer.send(Ok(u64::try_from(message.offset()).unwrap_or_default())));
            }
            (DeliveryTag::Bus(answer), Err((error, _))) => drop(answer.send(Err(error.clone()))),
        }
    }
}
