//! What a start refuses, found without starting.

use crate::backend;
use crate::error::StartError;
use crate::places;
use crate::policies::Policies;
use shardwright_config::{BUNDLED_POLICIES, ClusterConfig};

/// What [`Builder::start`](crate::Builder::start) would refuse of `config` on this machine before it asks any server: a
/// policy or an adapter that does not take its settings or has another digest, a grant that is missing, certificates
/// that are none. Nothing is connected to, and nothing is written but compiled code, to its cache.
pub async fn precheck(config: &ClusterConfig) -> Vec<StartError> {
    let coordinator = backend::precheck(config).await.err().map(StartError::from);
    let config = custom(config.clone());
    let policies = async {
        // Compiling blocks.
        let loaded =
            tokio::task::spawn_blocking(move || Policies::load(&config, places::default_cache_dir()).map(drop)).await;
        loaded.map_or(Some(StartError::Ended), |loaded| loaded.err().map(StartError::from))
    };
    coordinator.into_iter().chain(policies.await).collect()
}

/// `config` with those roles alone whose policy is somebody's own, or has a budget of somebody's own: the others need
/// no look.
fn custom(mut config: ClusterConfig) -> ClusterConfig {
    let sections = &config.policies;
    config
        .roles
        .retain(|role| !BUNDLED_POLICIES.contains(&role.policy.as_str()) || sections.contains_key(&role.policy));
    config
}
