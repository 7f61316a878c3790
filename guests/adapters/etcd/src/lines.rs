//! Lines out of a stream of bytes that comes in pieces of any size.

/// The longest line. etcd cuts an answer of a watch into fragments of at most 1.5 MiB, or one event; in base64 a third
/// more.
const LINE: usize = 8 * 1024 * 1024;

/// What has come and was not taken.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to where there is no end of it.
    seen: usize,
}

/// A line that does not end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endless;

impl Lines {
    /// Where to append what comes.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.seen -= self.begin;
            self.begin = 0;
        }
        &mut self.bytes
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// [`Endless`].
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Endless> {
        let Some(at) = self.bytes[self.seen..].iter().position(|b| *b == b'\n') else {
            self.seen = self.bytes.len();
            return if self.seen - self.begin > LINE {
                Err(Endless)
            } else {
                Ok(None)
            };
        };
        let (begin, end) = (self.begin, self.seen + at);
        self.begin = end + 1;
        self.seen = self.begin;
        Ok(Some(&self.bytes[begin..end]))
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use proptest::prelude::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        found
    }

    #[test]
    fn lines_are_the_same_wherever_they_are_cut() {
        let text = "one\n\nthree and more\nrest";
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            lines.buffer().extend_from_slice(&text.as_bytes()[..cut]);
            let mut found = all(&mut lines);
            lines.buffer().extend_from_slice(&text.as_bytes()[cut..]);
            found.extend(all(&mut lines));
            assert_eq!(found, ["one", "", "three and more"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = Lines::default();
        lines.buffer().extend_from_slice(&vec![b'x'; LINE + 1]);
        assert_eq!(lines.next(), Err(Endless));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(pieces in prop::collection::vec("[ab\n]{0,9}", 0..20)) {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in &pieces {
                lines.buffer().extend_from_slice(piece.as_bytes());
                found.extend(all(&mut lines));
            }
            let whole = pieces.concat();
            let mut expected: Vec<_> = whole.split('\n').map(str::to_owned).collect();
            let rest = expected.pop().unwrap_or_default();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(&lines.buffer()[..], rest.as_bytes());
        }
    }
}
