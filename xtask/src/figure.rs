//! The figures that benchmarks print, one a line: `figure: <name> | <value> | <limit> | ok` (or `MISSED`).

/// One measured value beside its limit; both are text with their units, as the benchmark wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) limit: String,
    pub(crate) met: bool,
}

impl Figure {
    /// Reads one line: none when it is no figure, an error that says what is wrong when it is a malformed one.
    pub(crate) fn read(line: &str) -> Option<Result<Self, String>> {
        let text = line.strip_prefix("figure: ")?;
        let parts: Vec<_> = text.split('|').map(str::trim).collect();
        let figure = match parts[..] {
            [name, value, limit, verdict @ ("ok" | "MISSED")] if ![name, value, limit].contains(&"") => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
                limit: limit.to_owned(),
                met: verdict == "ok",
            }),
            _ => Err(format!(
                "malformed figure {text:?}: write `figure: <name> | <value> | <limit> | ok|MISSED`"
            )),
        };
        Some(figure)
    }
}

#[cfg(test)]
mod test {
    use super::Figure;

    fn figure(value: &str, met: bool) -> Option<Result<Figure, String>> {
        Some(Ok(Figure {
            name: "empty call".into(),
            value: value.into(),
            limit: "≤ 2 µs".into(),
            met,
        }))
    }

    #[test]
    fn reads_figures_met_and_missed() {
        assert_eq!(
            Figure::read("figure: empty call | 1.2 µs | ≤ 2 µs | ok"),
            figure("1.2 µs", true)
        );
        assert_eq!(
            Figure::read("figure: empty call|3 µs |≤ 2 µs| MISSED"),
            figure("3 µs", false)
        );
    }

    #[test]
    fn other_lines_are_no_figure() {
        assert_eq!(Figure::read("a figure: of speech"), None);
        assert_eq!(Figure::read("Running benches/policy.rs"), None);
    }

    #[test]
    fn malformed_figures_are_errors() {
        for line in [
            "figure: ",
            "figure: a | b | c",
            "figure: a | b | c | fine",
            "figure: a | | c | ok",
            "figure: a | b | c | ok | d",
        ] {
            let error = Figure::read(line).unwrap().unwrap_err();
            assert!(error.contains("<name> | <value> | <limit>"), "{line:?}: {error}");
        }
    }
}
