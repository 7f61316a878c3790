//! What opening a coordinator refuses before it connects to anything.

#[cfg(any(feature = "redis", feature = "nats", feature = "kafka", feature = "adapters"))]
use super::options;
use super::{BackendError, available, declared};
use shardwright_config::ClusterConfig;

/// Whether the configured coordinator could be opened, as far as this machine knows by itself.
///
/// # Errors
/// [`BackendError`].
pub(crate) async fn precheck(config: &ClusterConfig) -> Result<(), BackendError> {
    available(&config.coordinator)?;
    #[cfg(any(feature = "redis", feature = "nats", feature = "kafka"))]
    let broker = |id: &str, error| BackendError::Broker {
        id: id.to_owned(),
        error,
    };
    declared(config)?;
    match &config.coordinator {
        #[cfg(feature = "redis")]
        shardwright_config::CoordinatorConfig::Redis(section) => options::redis(section)
            .check()
            .map_err(|error| broker(&section.id, error)),
        #[cfg(feature = "nats")]
        shardwright_config::CoordinatorConfig::Nats(section) => options::nats(section)
            .check()
            .map_err(|error| broker(&section.id, error)),
        #[cfg(feature = "kafka")]
        shardwright_config::CoordinatorConfig::Kafka(section) => options::kafka(section)
            .check()
            .map_err(|error| broker(&section.id, error)),
        #[cfg(feature = "adapters")]
        shardwright_config::CoordinatorConfig::Component(section) => {
            use shardwright_components::adapter::AdapterCoordinator;
            let component = super::adapter_component(section).await?;
            let checked = match options::adapter(section) {
                Ok(options) => AdapterCoordinator::check(&component, &options).await,
                Err(error) => Err(error),
            };
            checked.map_err(|error| BackendError::Broker {
                id: section.id.clone(),
                error,
            })
        }
        _ => Ok(()),
    }
}
