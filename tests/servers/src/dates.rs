//! The `Date` in answers over HTTP, put on or back on the way: what a server says whose clock is wrong.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const HEADER: &[u8] = b"\r\nDate: ";
/// `Sat, 28 Nov 2026 11:25:03 GMT`
const LENGTH: usize = 29;

/// Moves every date whose header is whole in `piece` by `seconds`.
pub(crate) fn shift(piece: &mut [u8], seconds: i64) {
    let mut from = 0;
    while let Some(found) = piece[from..].windows(HEADER.len()).position(|window| window == HEADER) {
        from += found + HEADER.len();
        let Some(date) = piece.get_mut(from..from + LENGTH) else {
            return;
        };
        if let Some(moved) = std::str::from_utf8(date)
            .ok()
            .and_then(parse)
            .map(|time| write(time + seconds))
        {
            date.copy_from_slice(moved.as_bytes());
        }
    }
}

fn parse(text: &str) -> Option<i64> {
    let parts: Vec<_> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = parts[..] else {
        return None;
    };
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let number = |text: &str| text.parse::<i64>().ok();
    let (year, day) = (number(year)?, number(day)?);
    // Years that begin in March have their leap day last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?)
}

fn write(time: i64) -> String {
    let (days, rest) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let since = days + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let name = |names: &[&'static str], at: i64| names[usize::try_from(at).unwrap_or_default() % names.len()];
    let (weekday, month) = (name(&DAYS, days.rem_euclid(7)), name(&MONTHS, month - 1));
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn dates_move_and_nothing_else_does() {
        let answer = |date: &str| format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}");
        for (from, by, to) in [
            ("Sat, 28 Nov 2026 23:59:58 GMT", 6, "Sun, 29 Nov 2026 00:00:04 GMT"),
            ("Sun, 29 Nov 2026 00:00:04 GMT", -6, "Sat, 28 Nov 2026 23:59:58 GMT"),
            ("Mon, 28 Feb 2028 23:59:59 GMT", 1, "Tue, 29 Feb 2028 00:00:00 GMT"),
            ("Thu, 31 Dec 2026 12:00:00 GMT", 86_400, "Fri, 01 Jan 2027 12:00:00 GMT"),
        ] {
            let mut piece = answer(from).repeat(2).into_bytes();
            shift(&mut piece, by);
            assert_eq!(String::from_utf8(piece).ok(), Some(answer(to).repeat(2)));
        }
        for other in [
            "",
            "\r\nDate: ",
            "\r\nDate: Sat, 28 Nov",
            "\r\nDate: nonsense that is long enough, really",
        ] {
            let mut piece = other.as_bytes().to_vec();
            shift(&mut piece, 6);
            assert_eq!(piece, other.as_bytes());
        }
    }
}
