//! A configuration file's text and the way from a byte to its line and column.

use crate::mask;
use crate::problem::{Code, Problem, Severity, Span};
use crate::redact::Values;
use std::io;
use std::path::Path;

/// The largest configuration file that is read: 1 MiB.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A file's name and text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    line_starts: Vec<usize>,
    /// What must not be shown in messages.
    values: Values,
}

/// A file that cannot be read, with as much of its text as there is to show.
pub(crate) struct Refused {
    pub(crate) source: Source,
    pub(crate) problem: Problem,
}

impl Source {
    pub(crate) fn new(name: &str, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self {
            name: name.to_owned(),
            text,
            line_starts,
            values: Values::default(),
        }
    }

    /// The file at `path`, or what is wrong with it as a whole.
    ///
    /// Never reads more than the limit, whatever the file claims to be, and never waits for one that is none.
    pub(crate) fn read(path: &Path) -> Result<Self, Box<Refused>> {
        let name = path.display().to_string();
        match shardwright_files::read(path, MAX_FILE_BYTES) {
            Ok(bytes) => Self::checked(&name, bytes),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(Self::too_large(&name)),
            Err(error) => {
                let help = "check the path, and that this user may read the file";
                Err(Self::refused(
                    &name,
                    Code::UnreadableFile,
                    format!("{name} cannot be read: {error}"),
                    help,
                ))
            }
        }
    }

    /// The source in `bytes`, or what is wrong with them as a whole.
    pub(crate) fn checked(name: &str, bytes: Vec<u8>) -> Result<Self, Box<Refused>> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Self::too_large(name));
        }
        String::from_utf8(bytes)
            .map(|text| Self::new(name, text))
            .map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                // Everything before `at` is as in the file, so places are right; the bad byte shows as U+FFFD.
                let source = Self::new(name, String::from_utf8_lossy(error.as_bytes()).into_owned());
                let span = Span {
                    start: at,
                    end: at + char::REPLACEMENT_CHARACTER.len_utf8(),
                };
                let message = format!("byte {at} of the file is not UTF-8");
                let problem = source.problem(
                    Severity::Error,
                    Code::NotUtf8,
                    Some(span),
                    message,
                    "save the file as UTF-8".to_owned(),
                );
                Box::new(Refused {
                    source: source.masked(&[], Values::default()),
                    problem,
                })
            })
    }

    fn too_large(name: &str) -> Box<Refused> {
        let message = format!("{name} is larger than {MAX_FILE_BYTES} bytes (1 MiB)");
        let help = "is this the right file? A configuration takes a few kilobytes";
        Self::refused(name, Code::FileTooLarge, message, help)
    }

    /// A file that is refused as a whole.
    fn refused(name: &str, code: Code, message: String, help: &str) -> Box<Refused> {
        let source = Self::new(name, String::new());
        let problem = source.problem(Severity::Error, code, None, message, help.to_owned());
        Box::new(Refused { source, problem })
    }

    /// A problem at `span` of this file.
    pub(crate) fn problem(
        &self,
        severity: Severity,
        code: Code,
        span: Option<Span>,
        message: String,
        help: String,
    ) -> Problem {
        let (line, column) = span.map_or((0, 0), |s| self.position(s.start));
        let (end_line, end_column) = span.map_or((0, 0), |s| self.position(s.end));
        Problem {
            severity,
            code,
            file: self.name.clone(),
            line,
            column,
            end_line,
            end_column,
            message: self.values.redact(span, message),
            help: self.values.redact(span, help),
            span,
        }
    }

    /// `text` about `span`, without what macros and sources brought into this file.
    pub(crate) fn redacted(&self, span: Option<Span>, text: String) -> String {
        self.values.redact(span, text)
    }

    /// The line, from 1, of the character at `offset`.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Line and column, both from 1, of the character at `offset`.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The lines that `span` touches, with the number of the first and the byte where it begins.
    pub(crate) fn lines(&self, span: Span) -> (usize, std::ops::Range<usize>) {
        let line = self.line(span.start);
        let start = self.line_starts[line - 1];
        let last = self.line(span.end);
        let end = self.line_starts.get(last).copied().unwrap_or(self.text.len());
        (line, start..end)
    }

    /// The same source with every secret in it replaced by asterisks, byte for byte, so that spans still fit; `values`
    /// are kept out of whatever will be said about it.
    pub(crate) fn masked(mut self, secrets: &[Span], values: Values) -> Self {
        mask::hide(&mut self.text, secrets);
        self.values = values;
        self
    }
}
