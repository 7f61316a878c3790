//! How what is stored is written: base64 in JSON, a frame around each value, and the texts of clock and history.

use data_encoding::BASE64;
use shardwright_guest::adapter::Entry;

/// The version of what is stored: the first byte of each value and message.
const FORMAT: u8 = 1;
/// Format and time before each value. Divisible by three, so that in base64 it can be put before the value's own.
const FRAME: usize = 9;
/// The digits of a time: enough for any, and of one width, so that etcd, which compares bytes, compares times.
const DIGITS: usize = 16;
/// The greatest time of so many digits.
const LATEST: u64 = 9_999_999_999_999_999;

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes that `text` stands for, if it is base64.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// Appends an entry's value, with the time of its writing, in base64.
pub(crate) fn frame_entry(written: u64, value: &[u8], into: &mut String) {
    let mut frame = [FORMAT; FRAME];
    frame[1..].copy_from_slice(&written.to_be_bytes());
    BASE64.encode_append(&frame, into);
    BASE64.encode_append(value, into);
}

/// The entry that was stored at `revision` as `stored`, in base64.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn entry(stored: &str, revision: u64) -> Result<Entry, String> {
    let mut value = unbase64(stored).ok_or("an entry that is no base64")?;
    let frame: [u8; FRAME] = value
        .get(..FRAME)
        .and_then(|frame| frame.try_into().ok())
        .ok_or("an entry without a frame")?;
    let [format, written @ ..] = frame;
    if format != FORMAT {
        return Err(format!(
            "an entry in format {format}, which a newer release wrote; this one reads format {FORMAT}"
        ));
    }
    value.drain(..FRAME);
    Ok(Entry {
        revision,
        written: u64::from_be_bytes(written),
        value,
    })
}

/// Appends a message in base64.
pub(crate) fn frame_message(payload: &[u8], into: &mut String) {
    // A frame of one byte would move every byte of the rest; two of padding cost nothing.
    BASE64.encode_append(&[FORMAT, 0, 0], into);
    BASE64.encode_append(payload, into);
}

/// The message that was stored as `stored`, in base64; `None` if it is none of this format.
pub(crate) fn message(stored: &str) -> Option<Vec<u8>> {
    let mut payload = unbase64(stored)?;
    if payload.get(..3)? != [FORMAT, 0, 0] {
        return None;
    }
    payload.drain(..3);
    Some(payload)
}

/// What the clock's key holds after a write at `time`, under the leader of `term`.
pub(crate) fn clock(time: u64, term: u64) -> String {
    format!("{:0DIGITS$} {term}", time.min(LATEST))
}

/// What the clock's key is less than, exactly if its time is at most `time`.
pub(crate) fn after_clock(time: u64) -> String {
    format!("{:0DIGITS$}", time.min(LATEST - 1) + 1)
}

/// Time and term of what the clock's key holds.
pub(crate) fn read_clock(text: &[u8]) -> Option<(u64, u64)> {
    let (time, term) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if time.len() != DIGITS || !digits(time) || !digits(term) {
        return None;
    }
    Some((time.parse().ok()?, term.parse().ok()?))
}

#[cfg(test)]
mod test {
    use super::*;
    use proptest::prelude::*;

    /// The stored format, fixed: whoever changes it must raise `FORMAT`.
    #[test]
    fn an_entry_is_a_format_its_time_and_the_value() {
        let mut text = String::new();
        frame_entry(0x1a2_0000_0007, b"value", &mut text);
        assert_eq!(unbase64(&text).unwrap(), b"\x01\0\0\x01\xa2\0\0\0\x07value");
        let read = entry(&text, 5).unwrap();
        assert_eq!(
            (read.revision, read.written, &*read.value),
            (5, 0x1a2_0000_0007, &b"value"[..])
        );
        for bad in ["", "AQ==", "no base64", &base64(b"\x02\0\0\0\0\0\0\0\0v")] {
            assert!(entry(bad, 1).is_err(), "{bad:?}");
        }
        let mut text = String::new();
        frame_message(b"m", &mut text);
        assert_eq!(unbase64(&text).unwrap(), b"\x01\0\0m");
        assert_eq!(message(&base64(b"\x02\0\0m")), None);
    }

    proptest! {
        #[test]
        fn whatever_is_framed_comes_back(written: u64, value: Vec<u8>) {
            let mut text = String::new();
            frame_entry(written, &value, &mut text);
            let read = entry(&text, 1).unwrap();
            prop_assert_eq!((read.written, &read.value), (written, &value));
            let mut text = String::new();
            frame_message(&value, &mut text);
            prop_assert_eq!(message(&text), Some(value));
        }

        #[test]
        fn what_is_no_frame_harms_nothing(text in ".*", bytes: Vec<u8>) {
            let _ = (entry(&text, 1), message(&text), read_clock(&bytes), read_clock(text.as_bytes()));
            let _ = (entry(&base64(&bytes), 1), message(&base64(&bytes)));
        }

        #[test]
        fn clocks_compare_as_their_times(one in 0..LATEST, two in 0..LATEST, term: u64) {
            prop_assert_eq!(read_clock(clock(one, term).as_bytes()), Some((one, term)));
            prop_assert_eq!(clock(one, term) < after_clock(two), one <= two);
            prop_assert!(clock(one, term) < after_clock(one));
        }
    }
}
