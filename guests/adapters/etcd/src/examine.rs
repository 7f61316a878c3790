//! What an operator should know of the cluster: version, members, users, clocks, space, compaction, round trips.

use crate::api::{Alarm, Members, Op, RangeAnswer, RangeOp, Release, Status, TxnAnswer, txn};
use crate::clock::{Clock, ClockComparison, UNCERTAINTY};
use crate::codec;
use crate::codes::Refusal;
use crate::gateway::{ONE_SECOND, SHORT};
use crate::lane::Lane;
use crate::store::Store;
use crate::vouch;
use crate::wire::{HttpClient, Moment};
use shardwright_guest::adapter::{Finding, Verdict};
use std::time::Duration;

/// The oldest version that speaks `/v3`, and has all that is asked for.
const OLDEST: [u32; 2] = [3, 4];
/// How many reads are timed.
const TRIPS: usize = 20;
/// How old a revision may be without anybody having compacted it.
const KEPT: u64 = 100_000;
/// etcd's default for `--quota-backend-bytes`.
const QUOTA: u64 = 2 * 1024 * 1024 * 1024;
/// How much of the quota may be used, in percent.
const FULL: u64 = 80;
/// Clocks of members that differ by less are as good as equal.
const SAME: Duration = Duration::from_millis(50);

fn good(name: &str, detail: String) -> Finding {
    Finding {
        name: name.into(),
        verdict: Verdict::Good,
        detail,
        remedy: String::new(),
    }
}

fn warning(name: &str, detail: String, remedy: &str) -> Finding {
    Finding {
        verdict: Verdict::Warning,
        remedy: remedy.into(),
        ..good(name, detail)
    }
}

fn bad(name: &str, detail: String, remedy: &str) -> Finding {
    Finding {
        verdict: Verdict::Bad,
        ..warning(name, detail, remedy)
    }
}

/// One thing to look at.
type Check<W> = fn(&mut Store<W>, Moment) -> Result<Finding, Refusal>;

/// Everything, for the operator.
pub(crate) fn examine<W: HttpClient>(store: &mut Store<W>) -> Vec<Finding> {
    let until = store.lane.until();
    let looks: [(&str, Check<W>); 8] = [
        ("version", version),
        ("members", members),
        ("users", users),
        ("clock", clock),
        ("space", space),
        ("alarms", alarms),
        ("compaction", compaction),
        ("store", trips),
    ];
    let look = |(name, look): (&str, Check<W>)| {
        look(store, until)
            .unwrap_or_else(|refusal| warning(name, refusal.why(), "see the message; without it this cannot be judged"))
    };
    looks.into_iter().map(look).collect()
}

fn version<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let gateway = &mut store.lane.gateway;
    let answer = gateway.ask("/version", None, SHORT, until)?;
    let release: Release = gateway.parse(&answer)?;
    let url = gateway.url().to_owned();
    Ok(judge_version(&release.etcdserver, &url))
}

fn judge_version(text: &str, url: &str) -> Finding {
    let detail = format!("etcd {text} at {url}");
    let mut parts = text.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(major), Some(minor), _) if [major, minor] < OLDEST => bad(
            "version",
            detail,
            "upgrade to 3.5 or newer; 3.4 is the oldest that works",
        ),
        // etcd's own postmortem of 2022: what was acknowledged may be missing on a member that was killed.
        (Some(3), Some(5), Some(0..=2)) => bad(
            "version",
            detail,
            "upgrade: 3.5.0 to 3.5.2 may lose data when a member is killed",
        ),
        (Some(_), Some(_), _) => good("version", detail),
        _ => warning(
            "version",
            detail,
            "a version that cannot be read: 3.4 or newer is needed",
        ),
    }
}

fn members<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let gateway = &mut store.lane.gateway;
    let answer = gateway.ask("/v3/cluster/member/list", Some("{}"), SHORT, until)?;
    let found: Members = gateway.parse(&answer)?;
    let learners = found.members.iter().filter(|member| member.is_learner).count();
    let voters = found.members.len() - learners;
    let answering = 1 + vouch::others(&store.lane.gateway, &store.lane.keys, &store.config).len();
    Ok(judge_members(voters, learners, store.config.endpoints.len(), answering))
}

fn judge_members(voters: usize, learners: usize, configured: usize, answering: usize) -> Finding {
    let learners = if learners > 0 {
        format!(" and {learners} learners")
    } else {
        String::new()
    };
    let detail = format!("{voters} members{learners}; of {configured} endpoints {answering} answer");
    if answering < configured {
        warning("members", detail, "start what does not answer, or correct `endpoints`")
    } else if voters == 1 {
        warning(
            "members",
            detail,
            "nothing is lost while its disk lives, but nobody takes over: three members go on without one",
        )
    } else if voters.is_multiple_of(2) {
        warning(
            "members",
            detail,
            "an even number bears no more failures than one less: take three or five",
        )
    } else if configured < voters {
        warning(
            "members",
            detail,
            "name all members in `endpoints`, so that any of them may fail",
        )
    } else {
        good("members", format!("{detail}; {} may fail", (voters - 1) / 2))
    }
}

/// Whether anybody may do anything: asked as nobody.
fn users<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let Lane { gateway, keys, .. } = &mut store.lane;
    let mut nobody = crate::gateway::Gateway::new(gateway.wire.again(), gateway.url(), None);
    let open = nobody.probe(&keys.clock, until);
    let plain = store.config.endpoints.iter().any(|url| is_plain(url));
    Ok(match open {
        Ok(()) => warning(
            "users",
            "everybody who reaches the cluster may change everything".into(),
            "let the network alone reach it that needs it, or switch on users (etcdctl auth enable) and set `user` and \
             `password`",
        ),
        Err(_) if plain => warning(
            "users",
            "the password goes over the network unencrypted".into(),
            "use https:// endpoints",
        ),
        Err(_) => good("users", format!("users are on; keys begin with {}", keys.root())),
    })
}

/// Whether an endpoint is reached in plain text over a network.
fn is_plain(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(|host| {
        !["127.", "localhost:", "[::1]"]
            .iter()
            .any(|local| host.starts_with(local))
    })
}

fn clock<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let mut others = vouch::others(&store.lane.gateway, &store.lane.keys, &store.config);
    vouch::compare(&mut store.lane.gateway, &store.lane.keys, &mut others, until);
    let Lane { gateway, keys, .. } = &mut store.lane;
    gateway.narrow(&keys.clock, ONE_SECOND, Clock::is_fair, until)?;
    let answer = gateway.ask("/v3/kv/range", Some(&RangeOp::one(&keys.clock).alone()), SHORT, until)?;
    let read: RangeAnswer<'_> = gateway.read(&answer)?;
    let stored = read
        .kvs
        .first()
        .and_then(|pair| codec::read_clock(&pair.value()?))
        .map_or(0, |(time, _)| time);
    let now = gateway.wire.now();
    Ok(judge_clock(
        gateway.clock.width(now),
        gateway.clock.company(now),
        gateway.clock.ahead(now, stored),
    ))
}

fn judge_clock(width: Duration, company: ClockComparison, ahead: u64) -> Finding {
    let ClockComparison { known, agree, apart } = company;
    let detail = format!(
        "known to {:.1} ms; those of {known} members differ by at least {} ms",
        width.as_secs_f64() * 1000.0,
        apart.as_millis()
    );
    if u128::from(ahead) > UNCERTAINTY.as_millis() {
        let detail = format!("{detail}; the stored time is {ahead} ms ahead of this member's clock");
        bad(
            "clock",
            detail,
            "a clock was ahead: run NTP on all members, and wait until time has come so far; with several members \
             nothing is done until then, with one no session is seen to end",
        )
    } else if agree * 2 <= known {
        bad(
            "clock",
            detail,
            "no node may use this member's clock: run NTP on all members",
        )
    } else if apart > SAME {
        warning(
            "clock",
            detail,
            "run NTP on all members: one that differs from the others by more than 150 ms is not used",
        )
    } else {
        good("clock", detail)
    }
}

fn space<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let gateway = &mut store.lane.gateway;
    let answer = gateway.ask("/v3/maintenance/status", Some("{}"), SHORT, until)?;
    Ok(judge_space(&gateway.parse(&answer)?))
}

fn judge_space(status: &Status) -> Finding {
    let quota = if status.quota > 0 { status.quota } else { QUOTA };
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let known = if status.quota > 0 {
        ""
    } else {
        " (the default; this version does not tell)"
    };
    let detail = format!(
        "{} MiB on disk, {} MiB of it in use, quota {} MiB{known}",
        mib(status.size),
        mib(status.used),
        mib(quota)
    );
    if status.leader == 0 {
        bad(
            "space",
            format!("{detail}; this member knows no leader"),
            "look at the members: a majority must run",
        )
    } else if status.size / 100 * 100 >= quota / 100 * FULL {
        warning(
            "space",
            detail,
            "compact and defragment (etcdctl compact, defrag) before it is full: then every write is refused",
        )
    } else {
        good("space", detail)
    }
}

fn alarms<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let gateway = &mut store.lane.gateway;
    let answer = gateway.ask("/v3/maintenance/alarm", Some("{\"action\":\"GET\"}"), SHORT, until)?;
    let found: Alarm = gateway.parse(&answer)?;
    let names: Vec<_> = found.alarms.iter().map(|alarm| alarm.alarm.as_str()).collect();
    Ok(if names.is_empty() {
        good("alarms", "none".into())
    } else if names.contains(&"NOSPACE") {
        bad(
            "alarms",
            names.join(", "),
            "compact, defragment, and then etcdctl alarm disarm: until then every write is refused",
        )
    } else {
        bad("alarms", names.join(", "), "see etcd's documentation on this alarm")
    })
}

/// Whether anybody compacts: an old revision that can still be read says that nobody does.
fn compaction<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let Lane { gateway, keys, .. } = &mut store.lane;
    let read_at = |revision| RangeOp {
        revision,
        keys_only: true,
        ..RangeOp::one(&keys.history)
    };
    let answer = gateway.ask("/v3/kv/range", Some(&read_at(0).alone()), SHORT, until)?;
    let newest = gateway.read::<RangeAnswer<'_>>(&answer)?.header.revision;
    if newest <= KEPT {
        return Ok(good("compaction", format!("revision {newest}: too early to tell")));
    }
    let old = newest - KEPT;
    match gateway.ask("/v3/kv/range", Some(&read_at(old).alone()), SHORT, until) {
        Err(Refusal::Compacted(_)) => Ok(good(
            "compaction",
            format!("revision {newest}; {old} is compacted away"),
        )),
        Err(refusal) => Err(refusal),
        Ok(_) => Ok(warning(
            "compaction",
            format!("revision {newest}, and {old} is still kept: it seems that nobody compacts"),
            "every write and message is kept until then: set --auto-compaction-mode=periodic \
             --auto-compaction-retention=1h",
        )),
    }
}

fn trips<W: HttpClient>(store: &mut Store<W>, until: Moment) -> Result<Finding, Refusal> {
    let mut times = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let lane = &mut store.lane;
        let begun = lane.gateway.wire.now();
        let body = txn(&[lane.same()], &[Op::Range(RangeOp::one(&lane.keys.clock))], &[]);
        let answer = lane.txn(&body, SHORT, until)?;
        let _: TxnAnswer<'_> = lane.read(&answer)?;
        times.push(lane.gateway.wire.now().since(begun));
    }
    times.sort_unstable();
    Ok(good(
        "store",
        format!(
            "a read takes {:.1?} (median), {:.1?} at most, of {TRIPS}",
            times[TRIPS / 2],
            times[TRIPS - 1]
        ),
    ))
}

#[cfg(test)]
mod test {
    use super::*;

    fn verdict(finding: &Finding) -> (Verdict, bool) {
        (finding.verdict, finding.remedy.is_empty())
    }

    const GOOD: (Verdict, bool) = (Verdict::Good, true);
    const WARNING: (Verdict, bool) = (Verdict::Warning, false);
    const BAD: (Verdict, bool) = (Verdict::Bad, false);

    #[test]
    fn versions_are_judged() {
        for (text, judged) in [
            ("3.4.23", GOOD),
            ("3.6.16", GOOD),
            ("3.5.3", GOOD),
            ("4.0.0-rc.1", GOOD),
            ("3.5.1", BAD),
            ("3.3.27", BAD),
            ("main", WARNING),
            ("", WARNING),
        ] {
            assert_eq!(verdict(&judge_version(text, "u")), judged, "{text}");
        }
    }

    #[test]
    fn members_are_judged() {
        assert_eq!(verdict(&judge_members(3, 0, 3, 3)), GOOD);
        assert!(judge_members(5, 1, 6, 6).detail.contains("2 may fail"));
        for odd in [
            judge_members(1, 0, 1, 1),
            judge_members(2, 0, 2, 2),
            judge_members(3, 0, 3, 2),
            judge_members(3, 0, 1, 1),
        ] {
            assert_eq!(verdict(&odd), WARNING, "{odd:?}");
        }
    }

    #[test]
    fn space_and_clocks_are_judged() {
        let status = |size, quota, leader| Status {
            size,
            quota,
            leader,
            ..Status::default()
        };
        assert_eq!(verdict(&judge_space(&status(1 << 20, 0, 1))), GOOD);
        assert_eq!(verdict(&judge_space(&status(u64::MAX, 0, 1))), WARNING);
        assert_eq!(verdict(&judge_space(&status(90 << 20, 100 << 20, 1))), WARNING);
        assert_eq!(verdict(&judge_space(&status(0, 0, 0))), BAD);
        let ms = Duration::from_millis;
        let company = |known, agree, apart| ClockComparison {
            known,
            agree,
            apart: ms(apart),
        };
        assert_eq!(verdict(&judge_clock(ms(3), company(1, 1, 0), 0)), GOOD);
        assert_eq!(verdict(&judge_clock(ms(3), company(3, 2, 300), 0)), WARNING);
        assert_eq!(verdict(&judge_clock(ms(3), company(3, 1, 300), 0)), BAD);
        assert_eq!(verdict(&judge_clock(ms(3), company(1, 1, 0), 5000)), BAD);
    }

    #[test]
    fn plain_text_over_a_network_is_known() {
        for (url, plain) in [
            ("http://10.0.0.1:1", true),
            ("http://127.0.0.1:1", false),
            ("http://localhost:1", false),
            ("http://[::1]:1", false),
            ("https://10.0.0.1:1", false),
        ] {
            assert_eq!(is_plain(url), plain, "{url}");
        }
    }
}
