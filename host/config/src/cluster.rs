//! `[cluster.timing]`, and the small settings of `[cluster]`.

use crate::keys;
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::secret::Secret;
use crate::section::Section;
use shardwright_core::time::Timing;

/// The shortest `cluster.secret`, in bytes.
const MIN_SECRET: usize = 16;

/// The longest duration: 366 days.
const MAX_DURATION: u64 = 366 * 86_400_000;

/// `cluster.name`.
pub(crate) fn name(reader: &Reader<'_>, item: &Item<'_>) -> Option<String> {
    let name = reader.text(item)?;
    reader.check_name("`cluster.name`", &name, item.span, false).then_some(name)
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
        let help = "change this duration or the one it is compared with; without `[cluster.timing]` the defaults fit together";
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
