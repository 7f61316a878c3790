//! What the sandbox itself costs: an adapter that keeps everything in its own memory, and no network.

use crate::common::{self, Failure, built, figure, micros, middle};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterOptions};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::Password;
use shardwright_core::store::Expected;
use std::time::Instant;

pub(crate) async fn measure(engine: &AdapterEngine, quick: bool) -> Result<(), Failure> {
    let runs = if quick { 20 } else { 20_000 };
    let component = AdapterComponent::load(engine, built("shardwright-hostile-adapter")?).await?;
    let options = || AdapterOptions {
        lanes: 1,
        ..AdapterOptions::new("bench", Password::new("{}"))
    };
    let coordinator = AdapterCoordinator::open(component.clone(), options(), common::namespace()?).await?;
    let value = Bytes::from(vec![7; common::VALUE]);
    let mut last = coordinator.put("k", value.clone(), Expected::Any).await?.revision;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let began = Instant::now();
        coordinator.get("k").await?;
        reads.push(began.elapsed());
        let began = Instant::now();
        last = coordinator
            .put("k", value.clone(), Expected::Revision(last))
            .await?
            .revision;
        writes.push(began.elapsed());
    }
    figure("crossing: get of 300 B, p50", micros(middle(reads)), "µs", 5.0);
    figure(
        "crossing: compare-and-set of 300 B, p50",
        micros(middle(writes)),
        "µs",
        5.0,
    );
    figure(
        "memory of a lane, no backend",
        coordinator.status().memory as f64 / 1e6,
        "MB",
        4.0,
    );

    let mut starts = Vec::new();
    for _ in 0..if quick { 2 } else { 500 } {
        let began = Instant::now();
        let opened = AdapterCoordinator::open(component.clone(), options(), common::namespace()?).await?;
        starts.push(began.elapsed());
        drop(opened);
    }
    // Two instances: one that is asked for its grants, and the lane.
    figure(
        "opening a coordinator with its first lane, p50",
        micros(middle(starts)) / 1e3,
        "ms",
        1.0,
    );
    Ok(())
}
