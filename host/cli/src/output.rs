//! What commands print: aligned tables for people, JSON for machines.

use clap::{Args, ValueEnum};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// How a command shows what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// An aligned table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
}

/// The option that chooses a [`Format`].
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    /// The output format
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// Whether to write ANSI colours to a stream: it is a terminal, and nobody objects.
pub(crate) fn colors(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Writes `value` as indented JSON and a line end.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Writes `text` and a line end. Lines of it stay lines; nothing in it moves the cursor or paints.
pub(crate) fn line(text: &str) -> io::Result<()> {
    painted(&lines(text))
}

/// Writes `text` as it is, with what paints it, and a line end: for what this program has painted, and nobody else has
/// written.
pub(crate) fn painted(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// `text` as a terminal may be shown it: whatever would move the cursor, paint, end the line or turn the order of
/// letters is spelt out. For all that another node, a component, a server or its data have said.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    spelt(text, is_active)
}

/// As [`plain`], and line ends are kept: for texts of several lines.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    spelt(text, |c| c != '\n' && is_active(c))
}

fn spelt(text: &str, wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let spell = |c: char| match wanted(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(spell).collect())
}

/// Whether a terminal does something else with it than to show it.
fn is_active(c: char) -> bool {
    // Besides control characters: ends of lines, marks and overrides of the direction of writing, and what is not seen
    // at all.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Rows of cells under a header, in aligned columns; columns of numbers are aligned to the right.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A row of as many cells as the header has.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| plain(&cell).into_owned()).collect());
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let bold = colors(&out);
        out.write_all(self.render(bold).as_bytes())?;
        out.flush()
    }

    pub(crate) fn render(&self, bold: bool) -> String {
        let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
        let columns: Vec<(usize, bool)> = (0..self.header.len())
            .map(|at| {
                let cells = || self.rows.iter().map(|row| cell(row, at));
                let width = cells()
                    .map(|text| text.chars().count())
                    .chain([self.header[at].chars().count()])
                    .max();
                let number = |text: String| text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                (width.unwrap_or(0), !self.rows.is_empty() && cells().all(number))
            })
            .collect();
        let line = |cells: &[String]| {
            let padded = columns.iter().enumerate().map(|(at, &(width, right))| {
                let text = cell(cells, at);
                if right {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let header = line(&self.header.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        let header = if bold {
            format!("\x1b[1m{header}\x1b[0m")
        } else {
            header
        };
        std::iter::once(header)
            .chain(self.rows.iter().map(|row| line(row)))
            .map(|line| line + "\n")
            .collect()
    }
}

/// A cell for something that may be absent.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Numbers as ranges: `0-3,7`.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let length = rest
            .iter()
            .zip(first..)
            .take_while(|(number, expected)| **number == *expected)
            .count();
        parts.push(if length == 1 {
            first.to_string()
        } else {
            format!("{first}-{}", rest[length - 1])
        });
        rest = &rest[length..];
    }
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(",")
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn tables_are_aligned_and_numbers_stand_right() {
        let mut table = Table::new(&["ID", "HOSTNAME"]);
        table.row(["1".into(), "a".into()]);
        table.row(["12".into(), "host-ü".into()]);
        assert_eq!(table.render(false), "ID  HOSTNAME\n 1  a\n12  host-ü\n");
        assert_eq!(Table::new(&["ID"]).render(true), "\x1b[1mID\x1b[0m\n");
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown_as_it_is() {
        let evil = "a\x1b[2J\u{9b}31m\r\n\u{202e}b\u{200b}\x07ü\t";
        assert_eq!(plain(evil), "a\\u{1b}[2J\\u{9b}31m\\r\\n\\u{202e}b\\u{200b}\\u{7}ü\\t");
        assert_eq!(lines("a\n\x1b[0mb"), "a\n\\u{1b}[0mb");
        assert!(matches!(plain("büro-1 – ✓"), Cow::Borrowed(_)));
        let mut table = Table::new(&["A", "B"]);
        table.row(["x\x1b[1m\n".into(), "y".into()]);
        assert_eq!(table.render(false), "A             B\nx\\u{1b}[1m\\n  y\n");
    }

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(ranges(&[]), "-");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
