//! From the sections of a configuration to what the backends take.

use shardwright_config::{Pem as PemSection, Secret, TlsSection};
use shardwright_coordinator::broker::{Password, Pem, Tls};

fn password(secret: &Secret) -> Password {
    Password::new(secret.expose())
}

fn pem(pem: &PemSection) -> Pem {
    match pem {
        PemSection::File(path) => Pem::File(path.clone()),
        PemSection::Text(text) => Pem::Text(password(text)),
    }
}

fn tls(section: &TlsSection) -> Tls {
    Tls {
        ca: section.ca.as_ref().map(pem),
        identity: section
            .identity
            .as_ref()
            .map(|(certificate, key)| (pem(certificate), pem(key))),
        server_name: section.server_name.clone(),
    }
}

#[cfg(feature = "redis")]
pub(super) fn redis(section: &shardwright_config::RedisSection) -> shardwright_coordinator::redis::RedisOptions {
    use shardwright_config::RedisTopology as Section;
    use shardwright_coordinator::redis::{RedisOptions, RedisTopology};
    RedisOptions {
        topology: match &section.topology {
            Section::Single => RedisTopology::Single,
            Section::Cluster => RedisTopology::Cluster,
            Section::Sentinel {
                service,
                user,
                password: secret,
            } => RedisTopology::Sentinel {
                service: service.clone(),
                user: user.clone(),
                password: secret.as_ref().map(password),
            },
        },
        urls: section.urls.iter().map(password).collect(),
        user: section.user.clone(),
        password: section.password.as_ref().map(password),
        timeout: section.timeout,
        min_replicas: section.min_replicas,
        tls: section.tls.as_ref().map(tls),
    }
}

#[cfg(feature = "nats")]
pub(super) fn nats(section: &shardwright_config::NatsSection) -> shardwright_coordinator::nats::NatsOptions {
    use shardwright_config::NatsLogin as Section;
    use shardwright_coordinator::nats::{NatsLogin, NatsOptions};
    NatsOptions {
        addresses: section.addresses.iter().map(password).collect(),
        login: match &section.login {
            Section::None => NatsLogin::None,
            Section::User { user, password: secret } => NatsLogin::User {
                user: user.clone(),
                password: password(secret),
            },
            Section::Token(token) => NatsLogin::Token(password(token)),
            Section::Nkey(seed) => NatsLogin::Nkey(password(seed)),
            Section::Credentials(text) => NatsLogin::Credentials(password(text)),
        },
        tls: section.tls.as_ref().map(tls),
        replicas: section.replicas,
        timeout_connection: section.timeout_connection,
        timeout_request: section.timeout_request,
        ping_interval: section.ping_interval,
        capacity_client: section.capacity_client,
        capacity_subscription: section.capacity_subscription,
        capacity_read_buffer: section.capacity_read_buffer,
        max_reconnects: section.max_reconnects,
    }
}

#[cfg(feature = "kafka")]
pub(super) fn kafka(section: &shardwright_config::KafkaSection) -> shardwright_coordinator::kafka::KafkaOptions {
    use shardwright_config::KafkaMechanism as Section;
    use shardwright_coordinator::kafka::{KafkaLogin, KafkaMechanism, KafkaOptions};
    KafkaOptions {
        brokers: section.brokers.clone(),
        login: section.login.as_ref().map(|login| KafkaLogin {
            mechanism: match login.mechanism {
                Section::Plain => KafkaMechanism::Plain,
                Section::ScramSha256 => KafkaMechanism::ScramSha256,
                Section::ScramSha512 => KafkaMechanism::ScramSha512,
            },
            user: login.user.clone(),
            password: password(&login.password),
        }),
        tls: section.tls.as_ref().map(tls),
        replication: section.replication,
        timeout_message: section.timeout_message,
        timeout_session: section.timeout_session,
    }
}

#[cfg(feature = "adapters")]
pub(super) fn adapter(
    section: &shardwright_config::ComponentSection,
) -> Result<shardwright_components::adapter::AdapterOptions, shardwright_coordinator::broker::BrokerError> {
    use shardwright_components::adapter::{AdapterBudget, AdapterOptions, Grants};
    use shardwright_coordinator::broker::BrokerError;
    let texts: Vec<_> = section.grants.iter().map(ToString::to_string).collect();
    let grants =
        Grants::parse(texts.iter().map(String::as_str)).map_err(|error| BrokerError::Invalid(error.to_string()))?;
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(AdapterOptions {
        secrets: section.secrets.iter().map(password).collect(),
        grants,
        tls: section.tls.as_ref().map(tls),
        timeout: section.timeout,
        lanes: bytes(section.lanes.into()),
        budget: AdapterBudget {
            memory: bytes(section.budget.memory),
            total_memory: bytes(section.budget.total_memory),
            cpu: section.budget.cpu,
            answer: bytes(section.budget.answer),
        },
        ..AdapterOptions::new(section.id.clone(), password(&section.config))
    })
}
