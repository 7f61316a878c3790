//! All problems of one or several files, for people and for machines.

use crate::problem::{Code, Problem, Severity, Span};
use crate::source::Source;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// The most problems that [`Report::render_text`] shows in full.
const MAX_SHOWN: usize = 200;

/// How many bytes of a very long line are shown before an offending text; twice as many from its beginning on.
const WINDOW: usize = 200;

/// Problems found in configuration files, in the order of the files and of the places in them.
#[derive(Clone, Debug, Default)]
pub struct Report {
    problems: Vec<Problem>,
    /// The files' texts, secrets masked.
    sources: Vec<Source>,
}

impl Report {
    pub(crate) fn push(&mut self, source: Source, problems: Vec<Problem>) {
        self.sources.push(source);
        self.extend(problems);
    }

    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
        let order = |file: &str| self.sources.iter().position(|s| s.name == file);
        self.problems
            .sort_by_cached_key(|p| (order(&p.file), p.span, p.severity, p.code));
        self.problems.dedup();
    }

    /// Adds what a node refuses that is to start with the file called `name`; only a warning where the file may be
    /// meant for another machine.
    pub fn add_refusal(&mut self, name: &str, severity: Severity, message: &str) {
        let help = "correct what it names: a node that starts with this file refuses it before it asks any server";
        let problem = Source::new(name, String::new()).problem(
            severity,
            Code::Refused,
            None,
            format!("{name}: {message}"),
            help.to_owned(),
        );
        self.extend(vec![problem]);
    }

    /// The problems; of each file, at most the first thousand.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether a configuration cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    /// Whether there is something to improve.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Warning)
    }

    /// Whether a problem of this kind was found.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.problems.iter().any(|p| p.code == code)
    }

    /// Every problem with its place, the offending text underlined, and a help line; a count at the end. Empty if there
    /// are none.
    ///
    /// With `color`, ANSI escape codes. Secrets show as asterisks.
    #[must_use]
    pub fn render_text(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in self.problems.iter().take(MAX_SHOWN) {
            out.push_str(&self.render_one(problem, &renderer));
            out.push_str("\n\n");
        }
        if !self.problems.is_empty() {
            let count = |severity| self.problems.iter().filter(|p| p.severity == severity).count();
            let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
            if self.problems.len() > MAX_SHOWN {
                out.push_str(&format!("… and {} more\n", self.problems.len() - MAX_SHOWN));
            }
            out.push_str(&format!(
                "{errors} error{}, {warnings} warning{}\n",
                plural(errors),
                plural(warnings)
            ));
        }
        out
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&problem.message).id(problem.code.as_str());
        let source = self.sources.iter().find(|s| s.name == problem.file);
        let group = match (source, problem.span) {
            (Some(source), Some(span)) => {
                let (first, range) = window(source, span);
                let text = source.text.get(range.clone()).unwrap_or_default();
                let clip = |offset: usize| offset.saturating_sub(range.start).min(text.len());
                let annotation = AnnotationKind::Primary.span(clip(span.start)..clip(span.end));
                let snippet = Snippet::source(text).line_start(first).annotation(annotation);
                if range.start == source.lines(span).1.start {
                    title.element(snippet.path(&problem.file))
                } else {
                    // The snippet begins in the middle of a line and would name another column.
                    title
                        .element(
                            Origin::path(&problem.file)
                                .line(problem.line)
                                .char_column(problem.column),
                        )
                        .element(snippet)
                }
            }
            _ => Group::with_title(title),
        };
        let group = group.element(Level::HELP.message(&problem.help));
        renderer.render(&[group])
    }

    /// A JSON array with one object for each problem: `severity`, `code`, `file`, `line`, `column`, `end-line`,
    /// `end-column`, `message`, `help`.
    #[must_use]
    pub fn render_json(&self) -> String {
        // Plain strings and numbers: cannot fail.
        serde_json::to_string_pretty(&self.problems).unwrap_or_default()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render_text(false))
    }
}

impl std::error::Error for Report {}

/// The text to show around `span`: the lines that it touches, or a part of them where they are longer than anybody
/// reads.
fn window(source: &Source, span: Span) -> (usize, Range<usize>) {
    let (first, lines) = source.lines(span);
    let mut start = lines.start.max(span.start.saturating_sub(WINDOW));
    let mut end = lines.end.min(span.start.saturating_add(2 * WINDOW));
    while !source.text.is_char_boundary(start) {
        start -= 1;
    }
    while !source.text.is_char_boundary(end) {
        end += 1;
    }
    (first, start..end)
}

const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
