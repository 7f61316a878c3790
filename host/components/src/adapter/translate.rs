//! Between the contract's types and those of the WIT.

use super::redact::Redactor;
use super::world::exports::shardwright::coordinator::{bus, lifecycle, store as wit};
use shardwright_coordinator::{BusError, Finding, Verdict};
use shardwright_core::store::{Expected, StoreError};

pub(super) const fn expected(expected: Expected) -> wit::Expected {
    match expected {
        Expected::Absent => wit::Expected::Absent,
        Expected::Revision(revision) => wit::Expected::Revision(revision.0),
        Expected::Any => wit::Expected::Any,
    }
}

/// An error of the store but a conflict, which is judged elsewhere.
pub(super) fn store_error<V>(error: wit::StoreError, mask: &Redactor) -> StoreError<V> {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    match error {
        wit::StoreError::Conflict(_) => {
            StoreError::Unavailable("the adapter answered a conflict where there can be none".into())
        }
        wit::StoreError::Unavailable(why) | wit::StoreError::Other(why) => StoreError::Unavailable(mask.line(&why)),
        wit::StoreError::Indeterminate(why) => StoreError::Indeterminate(mask.line(&why)),
        wit::StoreError::Denied(why) => StoreError::Denied(mask.line(&why)),
        wit::StoreError::Invalid(why) => StoreError::Invalid(mask.line(&why)),
        wit::StoreError::TooLarge(wit::TooLarge { size: asked, limit }) => StoreError::TooLarge {
            size: size(asked),
            limit: size(limit),
        },
        wit::StoreError::HistoryLost(why) => StoreError::HistoryLost(mask.line(&why)),
    }
}

pub(super) fn bus_error(error: bus::BusError, mask: &Redactor) -> BusError {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    match error {
        bus::BusError::Unavailable(why) | bus::BusError::Other(why) => BusError::Unavailable(mask.line(&why)),
        bus::BusError::Denied(why) => BusError::Denied(mask.line(&why)),
        bus::BusError::Invalid(why) => BusError::Invalid(mask.line(&why)),
        bus::BusError::TooLarge(bus::TooLarge { size: asked, limit }) => BusError::TooLarge {
            size: size(asked),
            limit: size(limit),
        },
    }
}

pub(super) fn finding(finding: &lifecycle::Finding, mask: &Redactor) -> Finding {
    let name = mask.line(&finding.name);
    let remedy = mask.line(&finding.remedy);
    Finding {
        name: name.into(),
        verdict: match finding.verdict {
            lifecycle::Verdict::Good => Verdict::Good,
            lifecycle::Verdict::Warning => Verdict::Warning,
            lifecycle::Verdict::Bad => Verdict::Bad,
        },
        detail: mask.line(&finding.detail),
        remedy: (!remedy.is_empty() && finding.verdict != lifecycle::Verdict::Good).then_some(remedy),
    }
}
