//! What the server says when it refuses, and what that means for each kind of call.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, NoticeResponseBody};
use shardwright_guest::adapter::{BusError, OpenError, StoreError};
use std::fmt;

/// What to say of whatever is not the server itself.
pub(crate) const POOLER: &str = "this is a pooler (PgBouncer, say), behind which neither settings nor LISTEN hold; \
    give the address of the server itself";

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
        write!(f, "PostgreSQL says: {} ({})", self.message, self.code)
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
        // A pooler's own words, in no other language. It would say so again and again.
        if self.class() == "08" && self.message.contains("unsupported startup parameter") {
            return OpenError::UnsafeBackend(say(&format!(": {POOLER}")));
        }
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

    /// Whether it proves that the transaction in which it was raised has changed nothing. A call is one transaction,
    /// and PostgreSQL raises no plain error once that is committed: what goes wrong then is a warning (standbys that do
    /// not confirm), ends the session, or ends the server. But not every error is PostgreSQL's own.
    ///
    /// | SQLSTATE | because |
    /// |---|---|
    /// | 0A to 2F, 34 to 44, 53 to 55 | raised before, while a statement is run, or by a check at its commit |
    /// | 40003 | no: the server itself does not know |
    /// | 57014 | what is cancelled is rolled back; while it waits for standbys, it is committed, with a warning |
    /// | 58030 | reading or writing a table failed; where that happens to the log, the server ends |
    /// | F0, P0, SW | a function of ours, or a trigger |
    /// | 08, 57P, 58, XX, all others | no: poolers, too, say these, of a server that they have lost |
    fn proves_nothing_was_done(&self) -> bool {
        match (self.class(), self.code.as_str()) {
            (_, "40003") => false,
            (_, "57014" | "58030") => true,
            ("0A" | "20" | "21" | "22" | "23" | "24" | "25" | "26" | "27" | "28" | "2B" | "2D" | "2F", _) => true,
            (
                "34" | "38" | "39" | "3B" | "3D" | "3F" | "40" | "42" | "44" | "53" | "54" | "55" | "F0" | "P0" | "SW",
                _,
            ) => true,
            _ => false,
        }
    }

    /// Why a call of the store failed; `writes` if it was to write.
    pub(crate) fn storing(self, writes: bool) -> StoreError {
        let text = self.to_string();
        match (self.class(), self.code.as_str()) {
            _ if writes && (self.fatal || !self.proves_nothing_was_done()) => StoreError::Indeterminate(text),
            _ if self.fatal => StoreError::Unavailable(text),
            _ if self.missing() => StoreError::HistoryLost(format!("the tables of the coordinator are gone: {text}")),
            (_, "42501") => StoreError::Denied(format!(
                "{text}; grant the user what guests/adapters/postgresql/schema.sql names"
            )),
            // A standby, somebody else's lock, no room, shutting down, a disk. 23505 is a second writer that our lock
            // did not keep out.
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

#[cfg(test)]
mod test {
    use super::*;

    fn refusal(code: &str) -> Refusal {
        Refusal {
            code: code.into(),
            message: "because".into(),
            fatal: false,
        }
    }

    #[test]
    fn a_login_that_fails_says_which_kind_of_failure_it_is() {
        let kind = |code| refusal(code).opening("user \"node\"");
        assert!(
            matches!(kind("28P01"), OpenError::Denied(why) if why.contains("password") && why.contains("user \"node\""))
        );
        assert!(matches!(kind("28000"), OpenError::Denied(why) if why.contains("pg_hba.conf")));
        assert!(matches!(kind("3D000"), OpenError::Denied(why) if why.contains("create the database")));
        assert!(matches!(kind("42501"), OpenError::Denied(why) if why.contains("schema.sql")));
        assert!(matches!(kind("SW001"), OpenError::UnsafeBackend(why) if why.contains("SET LOGGED")));
        assert!(matches!(kind("25006"), OpenError::Unreachable(why) if why.contains("standby")));
        for code in ["53300", "57P03", "57P01", "55P03", "40P01", "08006"] {
            assert!(matches!(kind(code), OpenError::Unreachable(_)), "{code}");
        }
        let pooler = Refusal {
            message: "unsupported startup parameter: search_path".into(),
            ..refusal("08P01")
        };
        assert!(matches!(pooler.opening("x"), OpenError::UnsafeBackend(why) if why.contains("PgBouncer")));
        for code in ["SW002", "42704", "XX000", "", "ü"] {
            assert!(matches!(kind(code), OpenError::Other(_)), "{code}");
        }
    }

    #[test]
    fn only_a_plain_error_proves_that_nothing_was_written() {
        for code in [
            "53100", "53200", "57014", "55P03", "40001", "40P01", "25006", "23505", "58030",
        ] {
            assert!(
                matches!(refusal(code).storing(true), StoreError::Unavailable(_)),
                "{code}"
            );
            assert!(
                matches!(refusal(code).storing(false), StoreError::Unavailable(_)),
                "{code}"
            );
            let fatal = Refusal {
                fatal: true,
                ..refusal(code)
            };
            assert!(
                matches!(fatal.clone().storing(true), StoreError::Indeterminate(_)),
                "{code}"
            );
            assert!(matches!(fatal.storing(false), StoreError::Unavailable(_)), "{code}");
        }
        for code in [
            "08000", "08006", "08007", "08P01", "40003", "57000", "57P01", "57P02", "57P03", "57P05", "58000", "58P01",
            "XX000", "XX001", "01000", "02000", "03000", "72000", "HV000", "", "ü", "XXUUU",
        ] {
            assert!(
                matches!(refusal(code).storing(true), StoreError::Indeterminate(_)),
                "{code}"
            );
            assert!(
                !matches!(refusal(code).storing(false), StoreError::Indeterminate(_)),
                "{code}"
            );
        }
        for code in [
            "0A000", "21000", "22001", "23514", "25P02", "26000", "40002", "42501", "53100", "54000", "55000", "P0001",
            "SW002",
        ] {
            assert!(
                !matches!(refusal(code).storing(true), StoreError::Indeterminate(_)),
                "{code}"
            );
        }
        for code in ["42P01", "42883", "3F000"] {
            assert!(
                matches!(refusal(code).storing(true), StoreError::HistoryLost(_)),
                "{code}"
            );
        }
        assert!(matches!(refusal("42501").storing(true), StoreError::Denied(_)));
        assert!(matches!(refusal("22021").storing(true), StoreError::Invalid(_)));
        assert!(matches!(refusal("XX001").storing(false), StoreError::Other(_)));
    }

    #[test]
    fn the_bus_names_what_stands_in_its_way() {
        assert!(matches!(refusal("42501").carrying(), BusError::Denied(_)));
        assert!(matches!(refusal("54000").carrying(), BusError::Unavailable(why) if why.contains("without reading")));
        assert!(matches!(refusal("57P01").carrying(), BusError::Unavailable(_)));
        assert!(matches!(refusal("XX000").carrying(), BusError::Other(_)));
    }
}
