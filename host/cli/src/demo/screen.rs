//! How the demonstration shows itself: a picture that is drawn again in place, plain lines, or JSON.

use crate::output::colors;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// The places to show things.
pub(super) struct Screen {
    mode: Mode,
    color: bool,
    /// The picture as it stands, below everything that was said.
    picture: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A terminal: the picture lives.
    Live,
    /// A pipe or file: the picture is printed when asked for.
    Plain,
    /// For machines.
    Json,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        let out = io::stdout();
        let mode = if json {
            Mode::Json
        } else if out.is_terminal() {
            Mode::Live
        } else {
            Mode::Plain
        };
        Self {
            mode,
            color: colors(&out),
            picture: Vec::new(),
        }
    }

    /// Tells a step: `text` to people, `fields` with the name of the step to machines.
    pub(super) fn step(&mut self, name: &str, text: &str, mut fields: Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.mode == Mode::Json {
            fields["step"] = name.into();
            writeln!(out, "{fields}")?;
        } else {
            let mut frame = self.erase();
            frame.push_str(text);
            frame.push('\n');
            out.write_all(frame.as_bytes())?;
            self.draw(&mut out)?;
        }
        out.flush()
    }

    /// Replaces the picture.
    pub(super) fn show(&mut self, picture: Vec<String>) -> io::Result<()> {
        if self.mode != Mode::Live || picture == self.picture {
            self.picture = picture;
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(self.erase().as_bytes())?;
        self.picture = picture;
        self.draw(&mut out)?;
        out.flush()
    }

    /// Leaves the picture as it stands for good.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        let picture = std::mem::take(&mut self.picture);
        if self.mode == Mode::Plain {
            let mut out = io::stdout().lock();
            for line in picture {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    /// Bold, where there are colours.
    pub(super) fn bold(&self, text: &str) -> String {
        if self.color {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Moves the cursor to where the picture begins, and clears what follows.
    fn erase(&self) -> String {
        match (self.mode, self.picture.len()) {
            (Mode::Live, lines) if lines > 0 => format!("\x1b[{lines}A\x1b[J"),
            _ => String::new(),
        }
    }

    fn draw(&self, out: &mut impl Write) -> io::Result<()> {
        if self.mode == Mode::Live {
            for line in &self.picture {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}
