//! Many clients at once: their histories must have an order that explains them.

use super::faulty::FaultyCoordinator;
use super::history::{Action, Effect, Operation, Recorder, Seen};
use super::linear::{check_key_history, check_revisions};
use super::{Context, Flaw, Random, Verdict, cause, ensure};
use crate::contract::Coordinator;
use shardwright_core::store::Expected;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Handles that the writers share, so that some meet in one handle and some across two.
const HANDLES: usize = 4;

pub(super) async fn one_key(cx: &Context<'_>) -> Verdict {
    contend(cx, 1, false).await
}

pub(super) async fn many_keys(cx: &Context<'_>) -> Verdict {
    contend(cx, 5, false).await
}

/// Half of the writes end with an unknown outcome; whoever made one reads it back before going on.
pub(super) async fn indeterminate(cx: &Context<'_>) -> Verdict {
    let history = contend(cx, 2, true).await?;
    let faulty = FaultyCoordinator::new(cx.open(&cx.space()).await?, cx.options.seed);
    let recorder = Recorder::default();
    let (mut there, mut happened, mut lost): (Seen, u64, u64) = (None, 0, 0);
    for value in 0..64 {
        let expected = there.map_or(Expected::Absent, |(revision, _)| Expected::Revision(revision));
        let operation = recorder
            .record(&faulty, "k", Action::Put(value, expected))
            .await
            .map_err(Flaw::Broken)?;
        let told = operation.map(|operation| operation.effect);
        let read = recorder.record(&faulty, "k", Action::Get).await.map_err(Flaw::Broken)?;
        let Some(Effect::Read(seen)) = read.map(|operation| operation.effect) else {
            continue;
        };
        let wrote = seen.is_some_and(|(_, found)| found == value);
        ensure!(
            wrote || seen == there,
            "after writing {value} over {there:?} there was {seen:?}"
        );
        match told {
            Some(Effect::Unknown) if wrote => happened += 1,
            Some(Effect::Unknown) => lost += 1,
            Some(Effect::Written(_)) => ensure!(wrote, "a write was answered, but reading back shows {seen:?}"),
            other => ensure!(false, "the only writer of a key was answered {other:?}"),
        }
        there = seen;
    }
    let faults = faulty.faults();
    ensure!(
        (faults.done, faults.dropped) == (happened, lost),
        "{faults:?}, but reading back found {happened} done and {lost} not"
    );
    Ok(format!(
        "{history}; {happened} done and {lost} dropped writes told apart"
    ))
}

/// Has the writers contend for `keys` keys, and checks what they were told.
async fn contend(cx: &Context<'_>, keys: u64, faulty: bool) -> Verdict {
    let space = cx.space();
    let mut handles = Vec::from(cx.open_all::<HANDLES>(&space).await?);
    if faulty {
        let wrap = |(i, inner)| Arc::new(FaultyCoordinator::new(inner, cx.options.seed + i)) as Arc<dyn Coordinator>;
        handles = (0..).zip(handles).map(wrap).collect();
    }
    let recorder = Recorder::default();
    let mut writers = JoinSet::new();
    let begun = std::time::Instant::now();
    let start = Arc::new(Barrier::new(usize::try_from(cx.options.writers).unwrap_or(1)));
    for (writer, store) in (0..cx.options.writers).zip(handles.into_iter().cycle()) {
        let random = Random(cx.options.seed.wrapping_mul(1000) + writer);
        let (start, work) = (
            start.clone(),
            write(store, recorder.clone(), random, keys, writer, cx.options.rounds),
        );
        writers.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    let mut histories: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    while let Some(done) = writers.join_next().await {
        for (key, operation) in done?.map_err(Flaw::Broken)? {
            histories.entry(key).or_default().push(operation);
        }
    }
    let took = begun.elapsed();
    let all: Vec<Operation> = histories.values().flatten().copied().collect();
    check_revisions(&all).map_err(Flaw::Broken)?;
    for (key, history) in &histories {
        check_key_history(history).map_err(|flaw| {
            let flaw = cause::of_key(history).unwrap_or(flaw);
            Flaw::Broken(format!("key {key}: {flaw}"))
        })?;
    }
    let count = |which: fn(&Effect) -> bool| all.iter().filter(|operation| which(&operation.effect)).count();
    let (written, conflicts) = (
        count(|e| matches!(e, Effect::Written(_))),
        count(|e| matches!(e, Effect::Conflict(_))),
    );
    let unknown = count(|e| matches!(e, Effect::Unknown));
    ensure!(written > 0, "no write succeeded");
    Ok(format!(
        "{} operations in {} ms: {written} written, {conflicts} conflicts, {unknown} unknown",
        all.len(),
        took.as_millis()
    ))
}

async fn write(
    store: Arc<dyn Coordinator>,
    recorder: Recorder,
    mut random: Random,
    keys: u64,
    writer: u64,
    rounds: u64,
) -> Result<Vec<(u64, Operation)>, String> {
    let mut history = Vec::new();
    for round in 0..rounds {
        let key = random.below(keys);
        let name = format!("k{key}");
        let Some(read) = recorder.record(&*store, &name, Action::Get).await? else {
            continue;
        };
        history.push((key, read));
        let Effect::Read(seen) = read.effect else { continue };
        let over = seen.map_or(Expected::Absent, |(revision, _)| Expected::Revision(revision));
        // However fast the store is, others shall come in between.
        tokio::task::yield_now().await;
        let value = writer * 1_000_000 + round;
        let action = match random.below(10) {
            0 => Action::Put(value, Expected::Any),
            1 => Action::Put(value, Expected::Absent),
            2 => Action::Delete(over),
            _ => Action::Put(value, over),
        };
        if let Some(operation) = recorder.record(&*store, &name, action).await? {
            history.push((key, operation));
        }
    }
    Ok(history)
}
