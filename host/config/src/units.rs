//! Durations and sizes as people write them.

/// Milliseconds of a text such as `15s`, `500ms`, `24h`; units are ms, s, m, h, d, in either case. `None` if malformed.
pub(crate) fn duration(text: &str) -> Option<u64> {
    scaled(
        &text.to_ascii_lowercase(),
        &[
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
        ],
    )
}

/// Bytes of a text such as `64MiB`; units are B, KiB, MiB, GiB. `None` if malformed.
pub(crate) fn size(text: &str) -> Option<u64> {
    scaled(text, &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)])
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn reads_units() {
        assert_eq!(duration("15s"), Some(15_000));
        assert_eq!(duration(" 2 m "), Some(120_000));
        assert_eq!((duration("3H"), duration("7 MS")), (Some(10_800_000), Some(7)));
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1 B"), Some(1));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "s",
            "1",
            "1.5s",
            "-1s",
            "1 week",
            "1h30m",
            "99999999999999999999s",
            "18446744073709551615d",
            "1mb",
        ] {
            assert_eq!((duration(text), size(text)), (None, None), "{text}");
        }
    }
}
