//! What stands in the log of the bus: `SW`, a version byte, the length of the topic in two bytes, the topic, the
//! message.
//!
//! A frame without topic is an echo: somebody wants to know whether messages still arrive.

const MAGIC: [u8; 3] = *b"SW\x01";

/// The frame of a message.
pub(super) fn encode(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(MAGIC.len() + 2 + topic.len() + payload.len());
    frame.extend(MAGIC);
    // A topic has at most 512 bytes.
    frame.extend(u16::try_from(topic.len()).unwrap_or_default().to_le_bytes());
    frame.extend(topic.as_bytes());
    frame.extend(payload);
    frame
}

/// The topic and message of a frame; `None` if it is none of this version, or an echo.
pub(super) fn decode(frame: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = frame.strip_prefix(&MAGIC)?.split_first_chunk()?;
    let (topic, payload) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let topic = std::str::from_utf8(topic).ok().filter(|topic| !topic.is_empty())?;
    Some((topic, payload))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_format_is_what_it_was() {
        let frame = encode("a/b", b"hello");
        assert_eq!(frame, b"SW\x01\x03\x00a/bhello");
        assert_eq!(decode(&frame), Some(("a/b", &b"hello"[..])));
        assert_eq!(decode(&encode("t", b"")), Some(("t", &b""[..])));
    }

    #[test]
    fn echoes_and_strangers_are_no_messages() {
        assert_eq!(decode(&encode("", b"")), None);
        for other in [
            &b""[..],
            b"SW",
            b"SW\x01",
            b"SW\x01\x05\x00ab",
            b"SW\x02\x01\x00ab",
            b"SW\x01\x01\x00\xff",
        ] {
            assert_eq!(decode(other), None);
        }
    }
}
