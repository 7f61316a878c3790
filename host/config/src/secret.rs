//! Values that must not be seen, and the places outside the file that they come from.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

/// The largest file that a value may be read from: 64 KiB.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The most bytes that all macros and sources of one file may bring in: 1 MiB.
const MAX_FETCHED_BYTES: usize = 1 << 20;

/// What the macros and sources of one file may still bring in.
pub(crate) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_FETCHED_BYTES))
    }
}

impl Budget {
    /// `value`, if there is room for it.
    fn take(&self, value: String) -> Result<String, FetchError> {
        let left = self.0.get().checked_sub(value.len()).ok_or(FetchError::TooMuch)?;
        self.0.set(left);
        Ok(value)
    }
}

/// A value that never reaches a log: it has no `Display`, and its `Debug` is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value` secret.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Only for the code that needs it, never for messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a value could not be fetched from where the file says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    NoVariable(String),
    VariableNotText(String),
    File(String, String),
    Macro(String),
    OldMacro(String),
    TooMuch,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable(name) => write!(f, "the environment variable `{name}` is not set"),
            Self::VariableNotText(name) => write!(f, "the environment variable `{name}` is not UTF-8"),
            Self::File(path, error) => write!(f, "the file `{path}` cannot be used: {error}"),
            Self::Macro(name) => write!(f, "the macro `%{{{name}}}%` is not known here"),
            Self::OldMacro(name) => write!(
                f,
                "the macro `%{{{name}}}%` is of early releases, which took its value from `[macros]`: it is not known \
                 here"
            ),
            Self::TooMuch => write!(
                f,
                "the macros of this file bring in more than {MAX_FETCHED_BYTES} bytes (1 MiB)"
            ),
        }
    }
}

impl FetchError {
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::NoVariable(_) | Self::VariableNotText(_) => {
                "set the variable for this process, or use a file: `%{file:/path}%`"
            }
            Self::File(..) => {
                "check the path, and that this user may read it; it is a regular file of at most 64 KiB of UTF-8"
            }
            Self::Macro(_) => "use `%{env:NAME}%` or `%{file:/path}%`; `%{cfg:…}%` is for the mail server alone",
            Self::OldMacro(_) => {
                "write here what it stands for, or use `%{env:NAME}%` or `%{file:/path}%`; `[macros]` is of the mail \
                 server's releases up to 0.5"
            }
            Self::TooMuch => {
                "are these the right files? A secret takes a few hundred bytes, a certificate a few thousand"
            }
        }
    }
}

/// Where a value stands, if not in the file itself.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// In this environment variable.
    Env(&'a str),
    /// In the file at this path.
    File(&'a str),
}

impl Origin<'_> {
    /// The value, within `budget`.
    pub(crate) fn fetch(self, budget: &Budget) -> Result<String, FetchError> {
        let value = match self {
            Self::Env(name) => from_env(name),
            Self::File(path) => from_file(path),
        };
        budget.take(value?)
    }
}

/// The value of an environment variable.
fn from_env(name: &str) -> Result<String, FetchError> {
    // An empty name or one with `=` or NUL is never set; asking for it must not panic.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(FetchError::NoVariable(name.escape_default().to_string()));
    }
    std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => FetchError::NoVariable(name.to_owned()),
        std::env::VarError::NotUnicode(_) => FetchError::VariableNotText(name.to_owned()),
    })
}

/// The content of a file, without one line end at its end: editors and `echo` add it.
pub(crate) fn from_file(path: &str) -> Result<String, FetchError> {
    let read = shardwright_files::read_text(Path::new(path), MAX_SECRET_BYTES);
    let mut text = read.map_err(|error| FetchError::File(path.to_owned(), error.to_string()))?;
    let end = text
        .strip_suffix('\n')
        .map_or(text.len(), |t| t.strip_suffix('\r').unwrap_or(t).len());
    text.truncate(end);
    Ok(text)
}

/// Whether `text` has a macro in it.
pub(crate) fn has_macro(text: &str) -> bool {
    text.split_once("%{").is_some_and(|(_, rest)| rest.contains("}%"))
}

/// How to call a macro that is none: by its class, or by its name if it looks like one.
fn plain(name: &str) -> &str {
    let looks = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if looks { name } else { "…" }
}

/// Replaces each `%{env:NAME}%` and `%{file:/path}%` in `text`, within `budget`; what they bring in is not looked at
/// again.
pub(crate) fn expand(text: &str, budget: &Budget) -> Result<String, FetchError> {
    expand_noting(text, budget, |_| {})
}

/// As [`expand`]; `note` is told all that is brought in.
pub(crate) fn expand_noting(text: &str, budget: &Budget, mut note: impl FnMut(&str)) -> Result<String, FetchError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%{") {
        let Some((inner, tail)) = after.split_once("}%") else {
            break;
        };
        out.push_str(before);
        let origin = match inner.split_once(':') {
            Some(("env", name)) => Origin::Env(name),
            // `%{file://path}%` is written too, as if it were an address.
            Some(("file", path)) => Origin::File(path.strip_prefix("//").unwrap_or(path)),
            Some((class, _)) => return Err(FetchError::Macro(format!("{}:…", plain(class)))),
            None => return Err(FetchError::OldMacro(plain(inner).to_owned())),
        };
        let value = origin.fetch(budget)?;
        note(&value);
        out.push_str(&value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}
