//! What the clients of a handle report about their connections, in words that say what to change.

use super::options::KafkaOptions;
use crate::broker::{BrokerError, Link};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What the clients of one handle report.
pub(super) struct Reports {
    location: String,
    login: bool,
    tls: bool,
    identity: bool,
    pub(super) link: Link,
    heard: Mutex<Reported>,
    /// Something that only an operator can mend was reported.
    pub(super) decisive: Notify,
    /// Anything was reported.
    pub(super) anything: Notify,
}

#[derive(Default)]
struct Reported {
    /// What only an operator can mend.
    decisive: Option<BrokerError>,
    /// What may pass.
    passing: Option<String>,
    /// The broker's certificate was not accepted.
    unverified: bool,
    /// The broker answered once: that it closes connections does not come from what we offer.
    answered: bool,
}

impl Reports {
    pub(super) fn new(location: &str, options: &KafkaOptions) -> Self {
        Self {
            location: location.into(),
            login: options.login.is_some(),
            tls: options.tls.is_some(),
            identity: options.tls.as_ref().is_some_and(|tls| tls.identity.is_some()),
            link: Link::new(location),
            heard: Mutex::default(),
            decisive: Notify::new(),
            anything: Notify::new(),
        }
    }

    // One field at a time is set under this lock.
    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what librdkafka says; with the code `Fail` it is something about a connection that was only logged.
    pub(super) fn report(&self, code: Code, reason: &str) {
        let decisive = self.judge(code, reason);
        let passing = matches!(code, Code::BrokerTransportFailure | Code::Resolve | Code::Fail);
        if decisive.is_none() && !passing {
            return;
        }
        let mut heard = self.lock();
        heard.unverified |= code == Code::SSL && reason.contains("certificate verify failed");
        let is_decisive = decisive.is_some();
        match decisive {
            Some(error) => heard.decisive = Some(error),
            None if reason.contains("Disconnected") && !heard.answered => heard.passing = Some(self.closed(reason)),
            None => heard.passing = Some(reason.into()),
        }
        drop(heard);
        if is_decisive {
            self.decisive.notify_one();
        }
        self.anything.notify_one();
    }

    /// What only an operator can mend, if this is such a thing.
    fn judge(&self, code: Code, reason: &str) -> Option<BrokerError> {
        let location = self.location.clone();
        let has = |texts: &[&str]| texts.iter().any(|text| reason.contains(text));
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                let why = format!("user, password or mechanism is wrong ({reason})");
                Some(BrokerError::Denied { location, why })
            }
            Code::SSL if has(&["certificate verify failed"]) => Some(BrokerError::Tls {
                location,
                why: format!(
                    "the broker's certificate is not accepted: tls.ca does not hold its authority, or it has another \
                     name ({reason})"
                ),
            }),
            Code::SSL => Some(BrokerError::Tls {
                location,
                why: reason.into(),
            }),
            Code::BrokerTransportFailure | Code::Fail
                if has(&[
                    "alert bad certificate",
                    "alert certificate required",
                    "alert certificate unknown",
                    "alert unknown ca",
                ]) =>
            {
                let why = if self.identity {
                    format!(
                        "the broker does not accept our client certificate: let its authority be one that the broker \
                         trusts ({reason})"
                    )
                } else {
                    format!("the broker asks for a client certificate: set tls.certificate and tls.key ({reason})")
                };
                Some(BrokerError::Tls { location, why })
            }
            _ => None,
        }
    }

    /// Whether a broker's certificate was not accepted.
    pub(super) fn is_unverified(&self) -> bool {
        self.lock().unverified
    }

    /// Why there is no connection, as far as is known: `otherwise` if nothing was reported.
    pub(super) fn why(&self, otherwise: &str) -> BrokerError {
        let heard = self.lock();
        heard.decisive.clone().unwrap_or_else(|| BrokerError::Unreachable {
            location: self.location.clone(),
            why: heard.passing.clone().unwrap_or_else(|| otherwise.into()),
        })
    }

    /// What it may mean that connections end before the broker answered: one that wants another kind of connection, or
    /// to know who we are, says nothing and closes it.
    pub(super) fn closed(&self, reason: &str) -> String {
        let mut wanted = vec!["is the address right"];
        if !self.tls {
            wanted.push("does it want TLS");
        } else if !self.identity {
            wanted.push("does it want a client certificate");
        }
        if !self.login {
            wanted.push("does it want a user and password");
        }
        format!("{reason}: {}?", wanted.join(", "))
    }

    /// It works: what was reported before is of no interest any more.
    pub(super) fn forget(&self) {
        *self.lock() = Reported {
            answered: true,
            ..Reported::default()
        };
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::time::Duration;

    /// What librdkafka logs if a broker closes a connection; which of the ways it sees it in is a matter of moments.
    const CLOSED: [&str; 3] = [
        "Disconnected: connection closed by peer: receive 0 after POLLIN (after 4ms in state APIVERSION_QUERY)",
        "Disconnected: connection closed by peer: POLLHUP (after 2ms in state APIVERSION_QUERY)",
        "Disconnected: connection reset by peer (after 1ms in state UP)",
    ];

    fn reports() -> Reports {
        let options = KafkaOptions {
            brokers: vec!["here".into()],
            login: None,
            tls: None,
            replication: 1,
            timeout_message: Duration::from_secs(5),
            timeout_session: Duration::from_secs(5),
        };
        Reports::new("kafka://here", &options)
    }

    #[test]
    fn a_connection_that_is_closed_at_once_says_what_the_broker_may_want() {
        for reason in CLOSED {
            let reports = reports();
            reports.report(Code::Fail, reason);
            let error = reports.why("nothing");
            assert!(error.is_transient(), "{error}");
            let text = error.to_string();
            assert!(text.contains("TLS") && text.contains("user and password"), "{text}");
        }
    }

    #[test]
    fn one_that_is_closed_later_does_not() {
        for reason in CLOSED {
            let reports = reports();
            reports.forget();
            reports.report(Code::Fail, reason);
            let error = reports.why("nothing").to_string();
            assert!(error.contains("Disconnected") && !error.contains("TLS"), "{error}");
        }
    }
}
