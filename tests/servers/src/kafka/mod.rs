//! Apache Kafka in KRaft mode: one broker, or a cluster.

mod cluster;
mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::authority::Authority;
use crate::clock::Clock;
use crate::port::Port;
use crate::proxy::Proxy;
use crate::server::{Folder, Recipe, Server, text};
use crate::tools;

pub use cluster::KafkaCluster;

/// A Kafka broker that is its own controller.
pub struct KafkaServer {
    server: Server,
    proxy: Option<Proxy>,
    clock: Option<Arc<Clock>>,
    _internal: Internal,
}

impl KafkaServer {
    /// One with the default settings.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// One with settings of your own.
    #[must_use]
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::default()
    }

    /// Has Java keep the classes that a broker loads beside Kafka's own, so that those after it start in half the time.
    ///
    /// # Errors
    /// It is not installed, or does not come up or end within a minute; its log is shown.
    pub fn keep_classes() -> Result<()> {
        let settings = KafkaBuilder {
            keeps_classes: true,
            ..Self::builder()
        };
        settings.start()?.stop()
    }

    /// What a client is given as a broker: the proxy if there is one.
    #[must_use]
    pub fn address(&self) -> String {
        let port = self.proxy.as_ref().map_or_else(|| self.port(), Proxy::port);
        format!("127.0.0.1:{port}")
    }

    /// The proxy before a server that was built [`KafkaBuilder::proxied`].
    ///
    /// # Panics
    /// It was not.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        self.proxy
            .as_ref()
            .expect("only a server that was built `proxied` has a proxy")
    }

    /// Its clock is ahead of this machine's by so many milliseconds from now on.
    ///
    /// # Errors
    /// It was not started with [`KafkaBuilder::clock`].
    pub fn shift_clock(&self, millis: i64) -> Result<()> {
        self.clock
            .as_ref()
            .context("this broker lives by the clock of this machine")?
            .shift(millis)
    }
}

impl Deref for KafkaServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// How a client proves to Kafka who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sasl {
    /// The password as it is.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}

impl Sasl {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The settings of a Kafka broker that is to be started.
#[derive(Clone, Default)]
pub struct KafkaBuilder {
    properties: BTreeMap<String, String>,
    tls: Option<(Authority, bool)>,
    users: Vec<(Sasl, String, String)>,
    proxied: bool,
    ahead: Option<i64>,
    keeps_classes: bool,
}

/// The port of a broker for the other brokers, and that of its controller. They are its own for as long as it is.
struct Internal {
    broker: Port,
    controller: Port,
}

impl Internal {
    fn free() -> Result<Self> {
        Ok(Self {
            broker: Port::free()?,
            controller: Port::free()?,
        })
    }

    /// How the controller of broker `id` is named to all.
    fn voter(&self, id: u16) -> String {
        format!("{id}@127.0.0.1:{}", self.controller.number())
    }
}

impl KafkaBuilder {
    /// A property as in `server.properties`, such as `message.max.bytes`; it replaces the default one.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.insert(name.to_owned(), value.to_owned());
        self
    }

    /// TLS only, with a certificate of `authority` for `localhost` and `127.0.0.1`; clients need one too if
    /// `client_certificates`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, client_certificates: bool) -> Self {
        self.tls = Some((authority.clone(), client_certificates));
        self
    }

    /// Clients must log in; this user may, by this mechanism. Call it again for more users and mechanisms. Neither name
    /// nor password may hold a quote, a bracket or a comma.
    #[must_use]
    pub fn sasl(mut self, mechanism: Sasl, user: &str, password: &str) -> Self {
        self.users.push((mechanism, user.to_owned(), password.to_owned()));
        self
    }

    /// Clients may only do what an access control list allows them. The brokers themselves and `super_users` (such as
    /// `User:admin`) may do all.
    #[must_use]
    pub fn authorize(self, super_users: &[&str]) -> Self {
        let all: Vec<_> = ["User:ANONYMOUS"].iter().chain(super_users).copied().collect();
        self.property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", &all.join(";"))
    }

    /// Clients reach it through a proxy: a broker tells them where to connect, so that one cannot simply be put before
    /// it.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Its clock is so many milliseconds ahead of the machine's, or behind if that is negative. It runs as fast.
    /// [`KafkaServer::shift_clock`] shifts it again.
    #[must_use]
    pub fn clock(mut self, ahead: i64) -> Self {
        self.ahead = Some(ahead);
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start(self) -> Result<KafkaServer> {
        let internal = Internal::free()?;
        let voters = internal.voter(1);
        let broker = self.launch(1, internal, &voters)?;
        broker.wait_until_ready()?;
        Ok(broker)
    }

    /// Starts broker `id` of a cluster with these voters, and does not wait.
    fn launch(mut self, id: u16, internal: Internal, voters: &str) -> Result<KafkaServer> {
        let port = Port::free()?;
        let number = port.number();
        let proxy = if self.proxied { Some(Proxy::to(number)?) } else { None };
        let advertised = proxy.as_ref().map_or(number, Proxy::port);
        let (broker, controller) = (internal.broker.number(), internal.controller.number());
        let mut all: BTreeMap<String, String> = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", id.to_string()),
            ("controller.quorum.voters", voters.to_owned()),
            (
                "listeners",
                format!("CLIENT://127.0.0.1:{number},BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"),
            ),
            (
                "advertised.listeners",
                format!("CLIENT://127.0.0.1:{advertised},BROKER://127.0.0.1:{broker}"),
            ),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("inter.broker.listener.name", "BROKER".to_owned()),
            ("auto.create.topics.enable", "false".to_owned()),
            ("offsets.topic.num.partitions", "1".to_owned()),
            ("offsets.topic.replication.factor", "1".to_owned()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            ("log.segment.delete.delay.ms", "1000".to_owned()),
            ("log.cleaner.dedupe.buffer.size", (4 << 20).to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let protocol = match (&self.tls, self.users.is_empty()) {
            (None, true) => "PLAINTEXT",
            (None, false) => "SASL_PLAINTEXT",
            (Some(_), true) => "SSL",
            (Some(_), false) => "SASL_SSL",
        };
        all.insert(
            "listener.security.protocol.map".to_owned(),
            format!("CLIENT:{protocol},BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        );
        if let Some((authority, client_certificates)) = &self.tls {
            all.extend(tls(authority, *client_certificates)?);
        }
        all.extend(logins(&self.users));
        all.append(&mut self.properties);
        let clock = self.ahead.map(Clock::ahead_by).transpose()?.map(Arc::new);
        let recipe = Kafka {
            java: tools::java()?,
            jars: tools::kafka()?,
            keeps_classes: self.keeps_classes,
            scram: self
                .users
                .into_iter()
                .filter(|(mechanism, ..)| *mechanism != Sasl::Plain)
                .collect(),
            properties: all,
            clock: clock.clone(),
        };
        Ok(KafkaServer {
            server: Server::launch(port, recipe)?,
            proxy,
            clock,
            _internal: internal,
        })
    }
}

/// The properties that give a broker its certificate.
fn tls(authority: &Authority, client_certificates: bool) -> Result<Vec<(String, String)>> {
    let own = authority.server(&["localhost", "127.0.0.1"])?;
    // Kafka wants key and certificate in one file.
    let both = own.certificate.with_extension("both.pem");
    let pem = fs::read_to_string(&own.key)? + &fs::read_to_string(&own.certificate)?;
    fs::write(&both, pem).with_context(|| format!("{} cannot be written", both.display()))?;
    let auth = if client_certificates { "required" } else { "none" };
    let listener = |name: &str, value: &str| (format!("listener.name.client.ssl.{name}"), value.to_owned());
    Ok(vec![
        listener("keystore.type", "PEM"),
        listener("keystore.location", text(&both)?),
        listener("truststore.type", "PEM"),
        listener("truststore.location", text(&authority.ca())?),
        listener("client.auth", auth),
    ])
}

/// The properties that let these users log in.
fn logins(users: &[(Sasl, String, String)]) -> Vec<(String, String)> {
    let mechanisms: BTreeSet<_> = users.iter().map(|(mechanism, ..)| *mechanism).collect();
    if mechanisms.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    let mut all = vec![(
        "listener.name.client.sasl.enabled.mechanisms".to_owned(),
        names.join(","),
    )];
    for mechanism in mechanisms {
        let module = if mechanism == Sasl::Plain {
            let known = users.iter().filter(|(theirs, ..)| *theirs == Sasl::Plain);
            let known: String = known
                .map(|(_, user, password)| format!(" user_{user}=\"{password}\""))
                .collect();
            format!("plain.PlainLoginModule required{known}")
        } else {
            "scram.ScramLoginModule required".to_owned()
        };
        all.push((
            format!(
                "listener.name.client.{}.sasl.jaas.config",
                mechanism.name().to_lowercase()
            ),
            format!("org.apache.kafka.common.security.{module};"),
        ));
    }
    all
}

/// The id that the data of every cluster here gets: "shardwright-test" in Base64.
const CLUSTER: &str = "c2hhcmR3cmlnaHQtdGVzdA";

struct Kafka {
    java: PathBuf,
    jars: String,
    /// Whether it is there to have its classes kept.
    keeps_classes: bool,
    /// Users whose passwords are part of the data.
    scram: Vec<(Sasl, String, String)>,
    properties: BTreeMap<String, String>,
    /// Which time it is shown, if not the machine's.
    clock: Option<Arc<Clock>>,
}

impl Kafka {
    /// Java with Kafka's classes: a small heap, quick to start, quiet but for what matters.
    fn java(&self) -> Command {
        let mut java = Command::new(&self.java);
        java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        let classes = tools::kafka_classes(&self.jars);
        if self.keeps_classes {
            java.arg(format!("-XX:ArchiveClassesAtExit={}", classes.display()));
        } else if classes.is_file() {
            // If they do not fit, Java loads its own.
            java.arg(format!("-XX:SharedArchiveFile={}", classes.display()));
        }
        java.args([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ]);
        java.args(["-cp", &self.jars]);
        java
    }
}

impl Recipe for Kafka {
    fn ready(&self) -> &str {
        "Kafka Server started"
    }

    /// Writes the properties, and formats data that was never formatted.
    fn prepare(&self, folder: &Folder) -> Result<()> {
        let file = folder.file(PROPERTIES);
        let data = folder.data();
        let mut lines = format!("log.dirs={}\n", text(&data)?);
        for (name, value) in &self.properties {
            lines.push_str(&format!("{name}={value}\n"));
        }
        fs::write(&file, lines).with_context(|| format!("{} cannot be written", file.display()))?;
        format::format(&data, &self.scram, self.properties["node.id"].as_str(), || {
            let mut tool = self.java();
            tool.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config"])
                .arg(&file);
            tool
        })
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = self.java();
        command.arg("kafka.Kafka").arg(folder.file(PROPERTIES));
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        Ok(command)
    }
}

const PROPERTIES: &str = "server.properties";
