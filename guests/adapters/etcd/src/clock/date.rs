//! The date of an HTTP answer: `Sat, 28 Nov 2026 11:25:03 GMT`, the one form that servers may write.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since the Unix epoch; `None` if `text` is no date of this form from 1970 to 2199.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (_, text) = text.split_once(", ")?;
    let text = text.strip_suffix(" GMT")?;
    let [day, month, year, time] = parts::<4>(text, ' ')?;
    let [hour, minute, second] = parts::<3>(time, ':')?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let (day, year) = (number(day, 1, 31)?, number(year, 1970, 2199)?);
    // A leap second is the one after it, as Unix time has it.
    let seconds = number(hour, 0, 23)? * 3600 + number(minute, 0, 59)? * 60 + number(second, 0, 60)?;
    Some(days(year, month, day) * 86_400 + seconds)
}

fn parts<const N: usize>(text: &str, by: char) -> Option<[&str; N]> {
    let mut parts = text.split(by);
    let mut found = [""; N];
    for slot in &mut found {
        *slot = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (least..=most).contains(n))
}

/// Days from the Unix epoch to this day of the Gregorian calendar, whose years are counted from March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod test {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 28 Nov 2026 11:25:03 GMT", 1_795_865_103),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Fri, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "Sat, 28 Nov 2026 11:25:03",
            "Sat, 28 Nov 2026 11:25:03 CET",
            "Saturday, 28-Nov-26 11:25:03 GMT",
            "Sat, 28 Nov 2026 11:25 GMT",
            "Sat, 28 Nov 2026 24:25:03 GMT",
            "Sat, 00 Nov 2026 11:25:03 GMT",
            "Sat, +1 Nov 2026 11:25:03 GMT",
            "Sat, 28 Nov 99999 11:25:03 GMT",
            "Sat, 28 Nov 2026 11:25:03 1 GMT",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_day_follows_the_one_before(day in 0_i64..83_000) {
            // Rebuilt from the number of the day by counting months.
            let (mut year, mut month, mut left) = (1970, 0_usize, day);
            loop {
                let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
                let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
                if left < length {
                    break;
                }
                left -= length;
                (year, month) = if month == 11 { (year + 1, 0) } else { (year, month + 1) };
            }
            let text = format!("Mon, {:02} {} {year} 00:00:07 GMT", left + 1, MONTHS[month]);
            prop_assert_eq!(parse(&text), Some(day * 86_400 + 7));
        }

        #[test]
        fn no_text_harms(text in ".*") {
            let _ = parse(&text);
        }
    }
}
