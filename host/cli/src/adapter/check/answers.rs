//! What an adapter makes of answers that do not come: of a write it must say that nobody knows, and of a read that it
//! is unavailable.

use super::sandbox::{Flaw, Subject, Verdict};
use super::way::{Loss, Way};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions, LanePurpose, Probe};
use shardwright_coordinator::{Namespace, Store};
use shardwright_core::store::{Entry, Expected, Revision, StoreError, Written};

/// The most exchanges that one call is followed through.
const EXCHANGES: u32 = 16;
/// Bytes of what is written: more than is passed on at once.
const LARGE: usize = 200_000;
/// How many entries are listed.
const LISTED: usize = 100;

/// A write of each kind.
#[derive(Clone, Copy, Debug)]
enum Write {
    Create,
    Replace,
    Delete,
}

impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "a put of a new entry",
            Self::Replace => "a put over an entry",
            Self::Delete => "a delete",
        })
    }
}

/// A namespace, a handle that always works, and the way that lanes under test take.
struct Ground {
    space: Namespace,
    handle: AdapterCoordinator,
    through: AdapterOptions,
    way: Way,
}

impl Ground {
    async fn of(subject: &Subject) -> Result<Self, Flaw> {
        let (space, way) = (subject.scratch.space()?, Way::default());
        let handle = AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone()).await?;
        let through = AdapterOptions {
            detour: Some(way.detour()),
            // Longer than usual: it is the adapter that is to lose its patience, not the host.
            timeout: subject.options.timeout * 3,
            ..subject.options.clone()
        };
        Ok(Self {
            space,
            handle,
            through,
            way,
        })
    }

    /// A new lane of the store, on the way, with its connection made.
    async fn lane(&self, subject: &Subject) -> Result<Probe, Flaw> {
        let mut lane = Probe::open(
            &subject.component(),
            self.through.clone(),
            &self.space,
            LanePurpose::Store,
            None,
        )
        .await?;
        lane.get("warm").await?;
        Ok(lane)
    }
}

/// Loses each answer of writes and reads in turn, and reads back over another connection.
pub(super) async fn lost(subject: &Subject) -> Verdict {
    let ground = Ground::of(subject).await?;
    let (mut trials, mut done) = (0, 0);
    for write in [Write::Create, Write::Replace, Write::Delete] {
        let mut last = 0;
        for (loss, pass) in (0..EXCHANGES).map(|pass| (Loss::Answer, pass)) {
            let Some(happened) = trial(subject, &ground, write, loss, pass, b"small").await? else {
                break;
            };
            (trials, done, last) = (trials + 1, done + u32::from(happened), pass);
            if happened && pass > 0 {
                // What comes after the write itself is of no more interest.
                break;
            }
        }
        // Once, for it takes as long as the adapter has patience.
        if matches!(write, Write::Replace) {
            trial(subject, &ground, write, Loss::Silence, last, b"small").await?;
        }
    }
    if trials == 0 {
        return Err(Flaw::Skip(
            "none of its connections could be led through the check".into(),
        ));
    }
    let reads = reads(subject, &ground).await?;
    Ok(format!(
        "{trials} answers to writes were lost, {done} of the writes were done, and none was denied; {reads} answers \
         to reads broke off"
    ))
}

/// Cuts the connection in the middle of a large write: nothing of it may be there.
pub(super) async fn halved(subject: &Subject) -> Verdict {
    let ground = Ground::of(subject).await?;
    let large = Bytes::from((0..LARGE).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let mut cut = 0;
    for write in [Write::Create, Write::Replace] {
        for pass in 0..EXCHANGES {
            if trial(subject, &ground, write, Loss::HalfRequest, pass, &large)
                .await?
                .is_none()
            {
                break;
            }
            cut += 1;
        }
    }
    if cut == 0 {
        return Err(Flaw::Skip("none of its requests could be cut in two".into()));
    }
    Ok(format!(
        "{cut} requests were cut in two, and nothing of them was stored"
    ))
}

/// One write of which one exchange is lost. Whether it was done; nothing if the write has fewer exchanges.
async fn trial(
    subject: &Subject,
    ground: &Ground,
    write: Write,
    loss: Loss,
    pass: u32,
    value: &[u8],
) -> Result<Option<bool>, Flaw> {
    let (handle, key) = (&ground.handle, "k");
    let base = match write {
        Write::Create => {
            handle.delete(key, Expected::Any).await?;
            None
        }
        Write::Replace | Write::Delete => Some(
            handle
                .put(key, Bytes::from_static(b"before"), Expected::Any)
                .await?
                .revision,
        ),
    };
    let mut lane = ground.lane(subject).await?;
    let wanted = (!matches!(write, Write::Delete)).then_some(value);
    ground.way.lose(loss, pass);
    let outcome = lane
        .write(key, wanted, base.map_or(Expected::Absent, Expected::Revision))
        .await;
    let lost = ground.way.heal();
    drop(lane);
    let seen = handle.get(key).await?.entry;
    let done = happened(seen.as_ref(), base, wanted)?;
    if !lost {
        return match outcome {
            Ok(_) if done => Ok(None),
            other => Err(Flaw::Broken(format!(
                "{write} answered {other:?}, and nothing was lost"
            ))),
        };
    }
    let what = match loss {
        Loss::HalfRequest => format!("the connection was cut in the middle of {write}"),
        Loss::Silence => format!("no answer came to {write}"),
        _ => format!(
            "the connection was cut between {write} and its answer, number {}",
            pass + 1
        ),
    };
    judge(&what, &outcome, done, wanted)?;
    // It may still happen, until another write stands in its place.
    let there = seen.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
    if let Err(error) = handle.put(key, Bytes::from_static(b"after"), there).await {
        let StoreError::Conflict(found) = error else {
            return Err(error.into());
        };
        let late = happened(found.as_ref(), base, wanted)?;
        judge(&what, &outcome, late, wanted)?;
    }
    Ok(Some(done))
}

/// Whether `seen` is what the write made of what was there before; neither of both is a broken promise.
fn happened(seen: Option<&Entry<Bytes>>, base: Option<Revision>, wanted: Option<&[u8]>) -> Result<bool, Flaw> {
    if seen.map(|entry| entry.revision) == base {
        return Ok(false);
    }
    if seen.map(|entry| &*entry.value) == wanted {
        return Ok(true);
    }
    let length = seen.map(|entry| entry.value.len());
    Err(Flaw::Broken(format!(
        "a write of {:?} bytes that was broken off left {length:?} bytes: neither what was there nor what was \
         written. Half a request counts as none",
        wanted.map(<[u8]>::len)
    )))
}

/// Whether what the adapter said of a write is true, now that it is known whether it was done.
fn judge(
    what: &str,
    outcome: &Result<Written, StoreError<Bytes>>,
    done: bool,
    wanted: Option<&[u8]>,
) -> Result<(), Flaw> {
    let broken = |why: String| Err(Flaw::Broken(format!("{what}: {why}")));
    match outcome {
        Ok(written) if !done => broken(format!(
            "it was acknowledged, as revision {}, and was not done",
            written.revision.0
        )),
        Ok(_) | Err(StoreError::Indeterminate(_)) => Ok(()),
        Err(StoreError::Conflict(found)) if found.as_ref().map(|entry| &*entry.value) == wanted && done => broken(
            "the adapter repeated it, and its own first write stood in the way. After a lost answer, say \
             `indeterminate`: the host reads back"
                .into(),
        ),
        Err(StoreError::Conflict(_)) => broken("it was called a conflict, and nobody else writes there".into()),
        Err(StoreError::HistoryLost(why)) => broken(format!(
            "it was called a lost history, and only a connection was lost: {why}"
        )),
        Err(StoreError::Unavailable(why)) if done => broken(format!(
            "it was reported as unavailable ({why}), which says that nothing was written and nothing will be; but it \
             was done. Whatever may have been sent is `indeterminate`: a wrong `unavailable` is how locks are held \
             twice"
        )),
        Err(error) if done => broken(format!(
            "it was refused ({error}), which says that nothing was written; but it was done. Whatever may have been \
             sent is `indeterminate`"
        )),
        Err(_) => Ok(()),
    }
}

/// Answers to reads that break off are no answers.
async fn reads(subject: &Subject, ground: &Ground) -> Result<u32, Flaw> {
    for number in 0..LISTED {
        let value = Bytes::from(vec![b'x'; 1000]);
        ground
            .handle
            .put(&format!("many/{number:03}"), value, Expected::Any)
            .await?;
    }
    let mut broken_off = 0;
    for (loss, list) in [
        (Loss::HalfAnswer, true),
        (Loss::Answer, true),
        (Loss::HalfAnswer, false),
        (Loss::Answer, false),
    ] {
        for pass in 0..EXCHANGES {
            let mut lane = ground.lane(subject).await?;
            ground.way.lose(loss, pass);
            let seen = if list {
                lane.keys("many/").await.map(|keys| keys.len())
            } else {
                lane.get("many/000")
                    .await
                    .map(|entry| entry.map_or(0, |entry| entry.value.len()))
            };
            let lost = ground.way.heal();
            let (what, all) = if list {
                ("a listing", LISTED)
            } else {
                ("a reading", 1000)
            };
            match seen {
                Ok(seen) if seen != all => {
                    return Err(Flaw::Broken(format!(
                        "the connection was cut in the middle of the answer to {what}, and it came with {seen} of \
                         {all}: the end of a connection was taken for the end of the answer"
                    )));
                }
                Ok(_) | Err(StoreError::Unavailable(_)) => {}
                Err(error) => {
                    return Err(Flaw::Broken(format!(
                        "the connection was cut in the middle of the answer to {what}: {error}"
                    )));
                }
            }
            if !lost {
                break;
            }
            broken_off += 1;
        }
    }
    Ok(broken_off)
}
