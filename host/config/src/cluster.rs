//! `[cluster.timing]`, and the small settings of `[cluster]`.

use crate::keys;
use crate::problem::{Code, Span};
use crate::reader::{Item, Reader};
use crate::secret::{self, Secret};
use crate::section::Section;
use shardwright_core::time::Timing;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// The shortest `cluster.secret`, in bytes.
const MIN_SECRET: usize = 16;

/// The longest duration: 366 days.
const MAX_DURATION: u64 = 366 * 86_400_000;

/// What helps whoever numbers nodes from 0.
pub(crate) const COUNTS_FROM_0: &str =
    "ids begin at 1; where pods count from 0, `node-id = \"%{env:POD_INDEX}%+1\"` makes pod 0 node 1";

/// `[cluster]`. Its keys of the gossip time are warned of, and the place of the first goes to `places`.
pub(crate) fn section<'r, 's, 't>(
    reader: &'r Reader<'s>,
    table: &'t DeTable<'t>,
    item: &Item<'t>,
    places: &mut BTreeMap<&'static str, Span>,
) -> Section<'r, 's, 't> {
    for name in keys::GOSSIP {
        let Some((key, value)) = table.get_key_value(*name) else {
            continue;
        };
        let span: Span = key.span().into();
        if *name == "key" {
            reader.hide(value.span().into());
        }
        let help = "up to its release 0.11 the mail server's nodes found each other by gossip; these meet at \
                    `cluster.coordinator`. Remove the key, or leave it if the mail server reads this file too";
        reader.warn(
            Code::IgnoredKey,
            span,
            format!("`{}.{name}` has no effect here", item.path),
            help,
        );
        let first = places.entry("gossip").or_insert(span);
        *first = (*first).min(span);
    }
    Section::besides(reader, table, &item.path, keys::CLUSTER, keys::GOSSIP)
}

/// `cluster.node-id`: a number; in quotes it may be the sum of two, for what counts from 0.
pub(crate) fn node_id(reader: &Reader<'_>, item: &Item<'_>, max: u32) -> Option<u32> {
    let (id, raw) = match item.value {
        DeValue::String(raw) => (sum(&reader.text(item)?), raw.as_ref()),
        DeValue::Integer(number) if number.as_str() == "0" => (Some(0), ""),
        _ => return reader.integer32(item, 1..=max),
    };
    let Some(id) = id else {
        // What a macro brings in may be anything: it is not shown.
        let what = match secret::has_macro(raw) {
            true => "; its source holds something else",
            false => ", not a string",
        };
        let help = format!(
            "write a whole number from 1 to {max}; a number that counts from 0 is raised by 1: \
             \"%{{env:POD_INDEX}}%+1\""
        );
        reader.error(
            Code::WrongType,
            item.span,
            format!("`{}` must be an integer{what}", item.path),
            help,
        );
        return None;
    };
    let good = u32::try_from(id).ok().filter(|id| (1..=max).contains(id));
    if good.is_none() {
        let help = match id {
            0 => COUNTS_FROM_0.to_owned(),
            _ => format!("write a whole number from 1 to {max}; `cluster.max-node-id` sets the upper limit"),
        };
        reader.error(
            Code::OutOfRange,
            item.span,
            format!("`{}` must be from 1 to {max}", item.path),
            help,
        );
    }
    good
}

/// A number, or the sum of two, as in `0+1`.
fn sum(text: &str) -> Option<u64> {
    let number = |text: &str| {
        let digits = text.trim();
        let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // A number too long for the type is out of any range, not malformed.
        fits.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match text.split_once('+') {
        Some((one, other)) => Some(number(one)?.saturating_add(number(other)?)),
        None => number(text),
    }
}

/// `cluster.name`.
pub(crate) fn name(reader: &Reader<'_>, item: &Item<'_>) -> Option<String> {
    let name = reader.text(item)?;
    reader
        .check_name("`cluster.name`", &name, item.span, false)
        .then_some(name)
}

/// `cluster.secret`.
pub(crate) fn secret(reader: &Reader<'_>, item: &Item<'_>) -> Option<Secret> {
    let secret = reader.secret(item)?;
    if secret.expose().len() < MIN_SECRET {
        let help = "use 32 random characters, the same on every node, as from `openssl rand -hex 16`";
        reader.error(
            Code::WeakSecret,
            item.span,
            format!("`cluster.secret` is shorter than {MIN_SECRET} bytes"),
            help,
        );
        return None;
    }
    Some(secret)
}

/// `[cluster.timing]`, each duration checked by itself and against the others.
pub(crate) fn timing(reader: &Reader<'_>, item: &Item<'_>) -> Option<Timing> {
    let table = reader.table(item)?;
    let section = Section::new(reader, table, &item.path, keys::TIMING);
    let mut timing = Timing::default();
    let durations = [
        ("validity", &mut timing.validity),
        ("renew", &mut timing.renew),
        ("margin", &mut timing.margin),
        ("stale-after", &mut timing.stale_after),
        ("inactive-after", &mut timing.inactive_after),
        ("reuse-after", &mut timing.reuse_after),
        ("rejoin-delay", &mut timing.rejoin_delay),
        ("stop-timeout", &mut timing.stop_timeout),
        ("settle", &mut timing.settle),
    ];
    for (key, field) in durations {
        if let Some(value) = section.read(key, |item| reader.duration(item, 0..=MAX_DURATION)) {
            *field = value;
        }
    }
    if let Some(value) = section.read("drift-ppm", |item| reader.integer(item, 0..=100_000)) {
        timing.drift_ppm = value;
    }
    let timing = section.sound(timing)?;
    for problem in timing.problems() {
        let span = section.get(problem.field.key()).map_or(item.span, |item| item.span);
        let help =
            "change this duration or the one it is compared with; without `[cluster.timing]` the defaults fit together";
        reader.error(
            Code::TimingConflict,
            span,
            format!("`cluster.timing.{}` {}", problem.field, problem.reason),
            help,
        );
        section.fail();
    }
    section.sound(timing)
}
