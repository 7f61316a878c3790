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
    heard: Mutex<Heard>,
    /// Something that only an operator can mend was reported.
    pub(super) decisive: Notify,
    /// Anything was reported.
    pub(super) anything: Notify,
}

#[derive(Default)]
struct Heard {
    /// What only an operator can mend.
    decisive: Option<BrokerError>,
    /// What may pass.
    passing: Option<String>,
    /// The broker's certificate was not accepted.
    unverified: bool,
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
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what librdkafka says; with the code `Fail` it is something about a connection that was only logged.
    pub(super) fn hear(&self, code: Code, reason: &str) {
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
                    "the broker's certificate is not accepted: tls.ca does not hold its authority, or it has another name ({reason})"
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
                    format!("the broker does not accept our client certificate: let its authority be one that the broker trusts ({reason})")
                } else {
                    format!("the broker asks for a client certificate: set tls.certificate and tls.key ({reason})")
                };
                Some(BrokerError::Tls { location, why })
            }
            Code::BrokerTransportFailure | Code::Fail if !self.tls && has(&["connecting to a SSL listener?"]) => Some(BrokerError::Tls {
                location,
                why: format!("the broker seems to want TLS: switch it on ({reason})"),
            }),
            Code::BrokerTransportFailure | Code::Fail if !self.login && has(&["SASL"]) => Some(BrokerError::Denied {
                location,
                why: format!("the broker seems to want a user and password ({reason})"),
            }),
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

    /// It works: what was reported before is of no interest any more.
    pub(super) fn forget(&self) {
        *self.lock() = Heard::default();
    }
}
