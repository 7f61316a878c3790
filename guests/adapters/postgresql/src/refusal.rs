//! What the server says when it refuses, and what that means for each kind of call.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, NoticeResponseBody};
use shardwright_guest::adapter::{BusError, OpenError, StoreError};
use std::fmt;

/// The longest text of the server that is repeated.
const LONGEST: usize = 300;

/// An error that the server has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// SQLSTATE.
    pub(crate) code: String,
    /// In the server's language.
    pub(crate) message: String,
    /// The session is over, and what it was doing may have been done.
    pub(crate) fatal: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL says \"{}\" ({})", self.message, self.code)
    }
}

impl Refusal {
    pub(crate) fn parse(mut fields: ErrorFields<'_>) -> Option<Self> {
        let mut refusal = Self::default();
        let mut severity = None;
        while let Some(field) = fields.next().ok()? {
            let text = || {
                String::from_utf8_lossy(field.value_bytes())
                    .chars()
                    .take(LONGEST)
                    .collect::<String>()
            };
            match field.type_() {
                b'V' => severity = Some(text()),
                b'C' => refusal.code = text(),
                b'M' => refusal.message = text(),
                _ => {}
            }
        }
        // Servers have told the severity in English since 9.6. Whoever does not is not believed to be unharmed.
        refusal.fatal = severity.as_deref() != Some("ERROR");
        Some(refusal)
    }

    /// The two characters that name the class of the error.
    fn class(&self) -> &str {
        self.code.get(..2).unwrap_or("")
    }

    /// The tables are not there, or not all of what was made with them.
    pub(crate) fn missing(&self) -> bool {
        matches!(self.code.as_str(), "42P01" | "42883" | "3F000" | "42703")
    }

    /// Why a lane cannot be opened. `who` says who asked whom for what.
    pub(crate) fn opening(self, who: &str) -> OpenError {
        let say = |how: &str| format!("{who}: {self}{how}");
        match (self.class(), self.code.as_str()) {
            ("28", _) => OpenError::Denied(say("; check user, password and the server's pg_hba.conf")),
            (_, "3D000") => OpenError::Denied(say("; create the database")),
            (_, "42501") => OpenError::Denied(say(
                "; grant the user what guests/adapters/postgresql/schema.sql names, or let its owner run that file",
            )),
            (_, "SW001") => OpenError::UnsafeBackend(say("; make it logged: ALTER TABLE … SET LOGGED")),
            (_, "25006") => OpenError::Unreachable(say(", it is a standby; `host` must name the primary")),
            (_, "42704") => OpenError::Other(say("; PostgreSQL 13 or newer is needed")),
            ("08" | "40" | "53" | "55" | "57" | "58", _) => OpenError::Unreachable(say("")),
            _ => OpenError::Other(say("")),
        }
    }

    /// Why a call of the store failed; `writes` if it was to write.
    pub(crate) fn storing(self, writes: bool) -> StoreError {
        let text = self.to_string();
        match (self.class(), self.code.as_str()) {
            ("08", _) | (_, "40003") if writes => StoreError::Indeterminate(text),
            _ if self.fatal && writes => StoreError::Indeterminate(text),
            _ if self.fatal => StoreError::Unavailable(text),
            _ if self.missing() => StoreError::HistoryLost(format!("the tables of the coordinator are gone: {text}")),
            (_, "42501") => StoreError::Denied(format!("{text}; grant the user what guests/adapters/postgresql/schema.sql names")),
            // A standby, somebody else's lock, no room, shutting down, a disk. 23505 is a second writer that our lock did not keep out.
            ("08" | "25" | "40" | "53" | "55" | "57" | "58", _) | (_, "23505") => {
                StoreError::Unavailable(format!("nothing was written: {text}"))
            }
            ("22", _) => StoreError::Invalid(text),
            _ => StoreError::Other(text),
        }
    }

    /// Why a call of the bus failed.
    pub(crate) fn carrying(self) -> BusError {
        let text = self.to_string();
        match (self.class(), self.code.as_str()) {
            (_, "42501") => BusError::Denied(text),
            ("54", _) => BusError::Unavailable(format!(
                "{text}; somebody listens, or keeps a transaction open, without reading what was sent"
            )),
            ("08" | "25" | "40" | "53" | "55" | "57" | "58", _) => BusError::Unavailable(text),
            _ if self.fatal => BusError::Unavailable(text),
            _ => BusError::Other(text),
        }
    }
}

/// Whether a notice says that a commit was acknowledged although the standbys that it waits for have not confirmed it.
pub(crate) fn unconfirmed(notice: &NoticeResponseBody) -> bool {
    let mut fields = notice.fields();
    while let Ok(Some(field)) = fields.next() {
        // The message is translated, where it comes from is not.
        if field.type_() == b'R' && field.value_bytes() == b"SyncRepWaitForLSN" {
            return true;
        }
    }
    false
}
