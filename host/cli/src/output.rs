//! What commands print: aligned tables for people, JSON for machines.

use clap::{Args, ValueEnum};
use serde::Serialize;
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
    /// How to show it
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

/// Writes `text` and a line end.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
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
        self.rows.push(cells.into_iter().collect());
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
        let header = if bold { format!("\x1b[1m{header}\x1b[0m") } else { header };
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
    if parts.is_empty() { "-".to_owned() } else { parts.join(",") }
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
    fn neighbours_become_ranges() {
        assert_eq!(ranges(&[]), "-");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
