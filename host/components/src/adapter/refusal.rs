//! Why there is no lane for a call.

use super::fault::LaneFault;
use super::world::exports::shardwright::coordinator::lifecycle::OpenError;
use shardwright_coordinator::BusError;
use shardwright_coordinator::broker::BrokerError;
use shardwright_core::store::StoreError;

/// Why there is no lane for a call. The texts are masked. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For now: the backend, too many calls at once, or a wait after a fault.
    Later(String),
    Denied(String),
    Tls(String),
    Unsafe(String),
    Invalid(String),
    Lost(String),
    Fault(LaneFault),
}

impl Refusal {
    pub(super) fn of(error: OpenError, mask: impl Fn(&str) -> String) -> Self {
        match error {
            OpenError::Unreachable(why) => Self::Later(mask(&why)),
            OpenError::Denied(why) => Self::Denied(mask(&why)),
            OpenError::Tls(why) => Self::Tls(mask(&why)),
            OpenError::UnsafeBackend(why) => Self::Unsafe(mask(&why)),
            OpenError::InvalidConfig(why) | OpenError::Other(why) => Self::Invalid(mask(&why)),
            OpenError::HistoryLost(why) => Self::Lost(mask(&why)),
        }
    }

    /// Its text.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Later(why) | Self::Denied(why) | Self::Tls(why) | Self::Unsafe(why) | Self::Invalid(why) => {
                why.clone()
            }
            Self::Lost(why) => lost(why),
            Self::Fault(fault) => fault.to_string(),
        }
    }

    pub(super) fn store<V>(self) -> StoreError<V> {
        match self {
            Self::Denied(why) => StoreError::Denied(why),
            Self::Lost(why) => StoreError::HistoryLost(why),
            other => StoreError::Unavailable(other.why()),
        }
    }

    pub(super) fn bus(self) -> BusError {
        match self {
            Self::Denied(why) => BusError::Denied(why),
            other => BusError::Unavailable(other.why()),
        }
    }

    /// As the error of a coordinator that could not be opened.
    pub(super) fn broker(self, location: String) -> BrokerError {
        match self {
            Self::Later(why) => BrokerError::Unreachable { location, why },
            Self::Lost(why) => BrokerError::Unreachable {
                location,
                why: lost(&why),
            },
            Self::Fault(fault) if fault.is_counted() => BrokerError::Unsafe {
                location,
                why: fault.to_string(),
            },
            Self::Fault(fault) => BrokerError::Unreachable {
                location,
                why: fault.to_string(),
            },
            Self::Denied(why) => BrokerError::Denied { location, why },
            Self::Tls(why) => BrokerError::Tls { location, why },
            Self::Unsafe(why) => BrokerError::Unsafe { location, why },
            Self::Invalid(why) => BrokerError::Invalid(why),
        }
    }
}

/// That the history is lost, and how, where there is no error of its own for it.
pub(super) fn lost(why: &str) -> String {
    format!("the store lost its history: {why}")
}
