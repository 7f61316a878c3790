//! What an examination of a backend finds.

use std::borrow::Cow;

/// How something was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and something can be lost or late in rare cases.
    Warning,
    /// It must not stay so.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two: `version`, `persistence`, `round trip`.
    pub name: Cow<'static, str>,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, with its figures.
    pub detail: String,
    /// What the operator should do; `None` when all is well.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn good(name: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict: Verdict::Good,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Something could be better; `remedy` says what to do.
    #[must_use]
    pub fn warning(name: impl Into<Cow<'static, str>>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            remedy: Some(remedy.into()),
            ..Self::good(name, detail)
        }
    }

    /// Something is wrong; `remedy` says what to do.
    #[must_use]
    pub fn bad(name: impl Into<Cow<'static, str>>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(name, detail, remedy)
        }
    }
}
