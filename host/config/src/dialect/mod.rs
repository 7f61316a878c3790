//! The mail server's dialect of TOML: what `toml` refuses is read statement by statement.
//!
//! The server's own reader takes much that is no TOML: texts without quotes, texts in plain quotes over lines, sets, a
//! table that is opened twice, a key that is a text and a table. Files that are TOML never come here. In those that are
//! not, a section that is not ours may hold what it likes: it says nothing about us, so nothing is said about it. In
//! ours, what has one meaning only is read, with a warning that shows the clean spelling; what has two is an error,
//! since a wrong reading is worse than none.
//!
//! A statement that cannot be read at all is given up, and reading goes on at the next line: a bracket or a quote that
//! somebody forgot in another section costs us nothing. Where a text over lines may have swallowed a statement of ours,
//! that is said.

mod cursor;
mod notes;
mod own;
mod tree;
mod value;

pub(crate) use own::{SECTIONS, meant};

use crate::problem::{Code, Severity, Span};
use cursor::{Cursor, Key, Stop};
use own::Own;
use std::collections::HashSet;
use toml::de::DeTable;

/// The most findings that are kept of one file.
const MAX_FINDINGS: usize = 1_000;

/// How often a file may be read again, on the average, for statements that had to be given up.
const MAX_REREADS: usize = 4;

/// What is to be said about the way our sections are written.
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) code: Code,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Whether `root` has a section of ours whose name is in other letters, which the server takes for ours.
pub(crate) fn has_other_case(root: &DeTable<'_>) -> bool {
    root.keys().any(|key| own::in_other_case(key.get_ref()).is_some())
}

/// All that `text` says, as far as it can be read, and what is to be said about our sections. `errors` are what `toml`
/// said.
pub(crate) fn read<'i>(text: &'i str, errors: &[toml::de::Error]) -> (DeTable<'i>, Vec<Finding>) {
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| {
            let span: Span = error.span().unwrap_or(text.len()..text.len()).into();
            (span, error.message())
        })
        .collect();
    errors.sort();
    // Which store is ours is known only after a first reading.
    let first = Parser::new(text, &Own::default(), &errors).run();
    let own = Own::of(&first.0);
    drop(first);
    Parser::new(text, &own, &errors).run()
}

struct Parser<'i, 'o> {
    cursor: Cursor<'i>,
    own: &'o Own,
    /// What `toml` said, by place.
    errors: &'o [(Span, &'o str)],
    root: DeTable<'i>,
    findings: Vec<Finding>,
    /// The table that keys go to; `None` after a header that could not be read, whose keys go nowhere.
    section: Option<Vec<Key<'i>>>,
    /// Where keys begin that headers made tables of on their way.
    passed: HashSet<usize>,
    /// Whether texts in single quotes are read as the server does.
    server_quotes: bool,
    /// Whether the present statement has a text in single quotes.
    had_literal: bool,
    /// A text over lines in the present statement that may have swallowed another.
    doubt: Option<usize>,
    /// Texts in three quotes that may have swallowed statements, if quotes are missing anywhere.
    suspects: Vec<usize>,
    /// Whether a statement had to be given up.
    gave_up: bool,
    /// How many bytes were read for nothing.
    wasted: usize,
    /// Whether the last statement was given up, and was not ours: what follows may be the rest of it.
    adrift: bool,
    /// Up to where nothing more is said, since it belongs to a statement that has been reported.
    silent: usize,
}

impl<'i, 'o> Parser<'i, 'o> {
    fn new(text: &'i str, own: &'o Own, errors: &'o [(Span, &'o str)]) -> Self {
        Self {
            cursor: Cursor::new(text),
            own,
            errors,
            root: DeTable::new(),
            findings: Vec::new(),
            section: Some(Vec::new()),
            passed: HashSet::new(),
            server_quotes: false,
            had_literal: false,
            doubt: None,
            suspects: Vec::new(),
            gave_up: false,
            wasted: 0,
            adrift: false,
            silent: 0,
        }
    }

    fn run(mut self) -> (DeTable<'i>, Vec<Finding>) {
        loop {
            self.cursor.gap();
            if self.wasted + self.cursor.lost > MAX_REREADS * self.cursor.text.len() {
                let at = self.cursor.at;
                self.syntax(
                    at..at,
                    "so much before this place cannot be read that the rest was not looked at",
                );
                break;
            }
            match self.cursor.peek() {
                None => break,
                Some(b'[') => self.header(),
                Some(_) => self.entry(),
            }
        }
        if self.gave_up {
            for at in std::mem::take(&mut self.suspects) {
                let why = "this text has lines that look like statements, and a quote is missing somewhere in the file";
                self.syntax(at..at + 3, why);
            }
        }
        (self.root, self.findings)
    }

    /// `[table]` or `[[list of tables]]`.
    fn header(&mut self) {
        let start = self.cursor.at;
        let mut path = Vec::new();
        match self.header_path(&mut path) {
            Ok(list) => {
                self.silent = 0;
                let span = start..self.cursor.at;
                let end = self.cursor.nothing_more();
                if let Err(stop) = end {
                    // The server drops what follows; whoever wrote it meant something by it.
                    self.give_up(start, stop, self.own.has(&path));
                }
                // What is said about the header is not about the table above it.
                self.section = Some(Vec::new());
                self.adrift = false;
                self.fold_case(&mut path);
                self.check_bare(&path, 0);
                self.section = self.open(&path, span, list).then_some(path);
            }
            Err(stop) => {
                self.section = None;
                let ours = self.own.may_have(&path);
                self.give_up(start, stop, ours);
            }
        }
    }

    fn header_path(&mut self, path: &mut Vec<Key<'i>>) -> Result<bool, Stop> {
        self.cursor.at += 1;
        let list = self.cursor.eat(b'[');
        self.cursor.path(path)?;
        if !self.cursor.eat(b']') || list && !self.cursor.eat(b']') {
            return self.cursor.stop("`]` is expected here");
        }
        Ok(list)
    }

    /// `key = value`.
    fn entry(&mut self) {
        let start = self.cursor.at;
        let mut path = self.section.clone().unwrap_or_default();
        let section = path.len();
        let kept = (self.findings.len(), self.suspects.len());
        let mut keyed = false;
        let mut read = self.assignment(&mut path, &mut keyed);
        if self.had_literal && read.as_ref().is_err_and(|stop| !stop.hides) {
            self.forget(kept);
            self.wasted += self.cursor.at - start;
            (self.cursor.at, self.server_quotes) = (start, true);
            path.truncate(section);
            let again = self.assignment(&mut path, &mut keyed);
            self.server_quotes = false;
            // The first reading's error is the one that TOML's reader has, too.
            if again.as_ref().err().is_none_or(|stop| stop.hides) {
                read = again;
            }
        }
        match read {
            Ok(()) => self.adrift = false,
            Err(stop) => {
                self.forget(kept);
                // A line that assigns nothing belongs to the table above it, or to what was given up before it.
                let about = if keyed { &path[..] } else { &path[..section] };
                let rest = about.is_empty() && self.adrift;
                let ours = self.section.is_some() && !rest && (self.own.has(about) || self.own.may_have(&path));
                self.adrift = !ours;
                self.give_up(start, stop, ours);
            }
        }
    }

    /// Reads an assignment to its end and keeps it.
    fn assignment(&mut self, path: &mut Vec<Key<'i>>, keyed: &mut bool) -> Result<(), Stop> {
        (self.had_literal, self.doubt) = (false, None);
        let section = path.len();
        self.cursor.path(path)?;
        if !self.cursor.eat(b'=') {
            return self.cursor.stop("`=` is expected here");
        }
        *keyed = true;
        self.cursor.blanks();
        let value = self.value(path, path.len())?;
        self.cursor.nothing_more()?;
        if let Some(at) = self.doubt {
            let why = "this text is not closed on its line, and what follows looks like another statement";
            return Err(Stop { at, why, hides: true });
        }
        if self.section.is_some() {
            self.check_bare(path, section);
            self.insert(path, section, value);
        }
        Ok(())
    }

    fn forget(&mut self, (findings, suspects): (usize, usize)) {
        self.findings.truncate(findings);
        self.suspects.truncate(suspects);
    }

    /// Goes on at the line after `start`, and reports what stopped the statement there if it matters.
    fn give_up(&mut self, start: usize, stop: Stop, ours: bool) {
        self.wasted += self.cursor.at - start;
        self.cursor.at = start;
        let closing = matches!(self.cursor.peek(), Some(b']' | b'}'));
        self.cursor.line_end();
        let end = self.cursor.at;
        self.gave_up = true;
        let silent = start < self.silent || closing && self.silent > 0;
        if !(ours || stop.hides) || silent {
            return;
        }
        self.silent = self.silent.max(stop.at + 1);
        let known = self.errors.partition_point(|(span, _)| span.start < start);
        let known: Vec<_> = self.errors[known..]
            .iter()
            .take_while(|(span, _)| span.start <= end)
            .take(4)
            .collect();
        if stop.hides || known.is_empty() {
            let until = self.cursor.text[stop.at..]
                .chars()
                .next()
                .filter(|c| *c != '\n')
                .map_or(0, char::len_utf8);
            self.syntax(stop.at..stop.at + until, stop.why);
        } else {
            for (span, message) in known {
                self.syntax(span.start..span.end, message);
            }
        }
    }
}
