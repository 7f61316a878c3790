//! Lanes that are opened with a history whose data are gone. A host does it that was away when they went.

use super::sandbox::{Flaw, Subject, Verdict};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, LanePurpose, Probe, ProbeError};
use shardwright_coordinator::{Coordinator, Namespace, Store};
use shardwright_core::store::{Expected, Revision, StoreError};

const PURPOSES: [LanePurpose; 3] = [LanePurpose::Store, LanePurpose::Publish, LanePurpose::Subscribe];
/// A history that nobody ever began.
const NEVER: &str = "0123456789abcdef0123456789abcdef";

async fn lane(
    subject: &Subject,
    space: &Namespace,
    purpose: LanePurpose,
    history: Option<&str>,
) -> Result<Probe, ProbeError> {
    Probe::open(&subject.component(), subject.options.clone(), space, purpose, history).await
}

/// That no lane opens with `history`, which `why` it cannot.
async fn refused(subject: &Subject, space: &Namespace, history: &str, why: &str) -> Result<(), Flaw> {
    for purpose in PURPOSES {
        match lane(subject, space, purpose, Some(history)).await {
            Err(ProbeError::Lost(_)) => {}
            Err(ProbeError::Refused(other)) => {
                return Err(Flaw::Broken(format!(
                    "a lane ({purpose:?}) was opened with a history {why}: it must answer `history-lost`, and \
                     answered: {other}"
                )));
            }
            Ok(opened) => {
                return Err(Flaw::Broken(format!(
                    "a lane ({purpose:?}) was opened with a history {why}, and it opened, as {}: it was made again \
                     under the old name, or not looked for. Nodes that were away go on as if nothing had been lost. \
                     With `context.history` given, make nothing, and answer `history-lost`",
                    opened.history()
                )));
            }
        }
    }
    Ok(())
}

/// That a lane of the store whose history is over says so, whatever it is asked, again and again.
async fn over(lane: &mut Probe, when: &str) -> Result<(), Flaw> {
    for attempt in ["first", "second"] {
        let read = lane.get("k").await.map(|entry| entry.map(|entry| entry.revision));
        let listed = lane.keys("").await;
        let written = lane.write("k", Some(b"late"), Expected::Any).await;
        let removed = lane.write("k", None, Expected::Any).await;
        for (what, lost, seen) in [
            ("get", is_lost(&read), format!("{read:?}")),
            ("list", is_lost(&listed), format!("{listed:?}")),
            ("put", is_lost(&written), format!("{written:?}")),
            ("delete", is_lost(&removed), format!("{removed:?}")),
        ] {
            if !lost {
                return Err(Flaw::Broken(format!(
                    "{when}, the {attempt} `{what}` in a lane that was open before answered {seen}: every call must \
                     answer `history-lost`, compared in the same step"
                )));
            }
        }
    }
    Ok(())
}

fn is_lost<T>(outcome: &Result<T, StoreError<Bytes>>) -> bool {
    matches!(outcome, Err(StoreError::HistoryLost(_)))
}

/// Opens with histories that never were, that are gone, and that were followed by another.
pub(super) async fn dead(subject: &Subject) -> Verdict {
    refused(
        subject,
        &subject.scratch.space()?,
        NEVER,
        "of a namespace that never was",
    )
    .await?;
    let space = subject.scratch.space()?;
    let handle = AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone()).await?;
    let before = handle.put("k", Bytes::from_static(b"v"), Expected::Absent).await?;
    let mut old = lane(subject, &space, LanePurpose::Store, None).await?;
    let history = old.history().to_owned();
    refused(subject, &space, NEVER, "that never was, where there is another").await?;
    let same = lane(subject, &space, LanePurpose::Store, Some(&history)).await?;
    let entry = old.get("k").await?;
    if same.history() != history || entry.is_none_or(|entry| entry.revision != before.revision) {
        return Err(Flaw::Broken(
            "opening with a history that never was disturbed the one that is there".into(),
        ));
    }
    handle.erase().await?;
    // An erased namespace is at its end; whether it is there again depends on who comes first.
    over(&mut old, "after the data were removed").await?;
    refused(subject, &space, &history, "whose data were removed").await?;
    let mut new = lane(subject, &space, LanePurpose::Store, None).await?;
    if new.history() == history {
        return Err(Flaw::Broken(format!(
            "the data were removed, and what was made in their place has the same history, {history}: take 128 random \
             bits each time, and keep them beside the data"
        )));
    }
    refused(subject, &space, &history, "that was followed by another").await?;
    over(&mut old, "after another history had begun").await?;
    let left = new.keys("").await?;
    if !left.is_empty() {
        return Err(Flaw::Broken(format!(
            "the new history has {left:?}, which nobody wrote in it: erase left it, or a lane of the older history \
             wrote"
        )));
    }
    let again = new.write("k", Some(b"new"), Expected::Absent).await?;
    if again.revision == Revision(0) {
        return Err(Flaw::Broken(
            "a write was given revision 0: revisions begin at 1".into(),
        ));
    }
    Ok(format!("{history} is over, {} has begun", new.history()))
}
