//! Words to the operator, in the host's log. Say no secret.

use super::bindings::shardwright::coordinator::log::{Level, write};

/// For the author of the adapter.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Something changed.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something is not as it should be.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something does not work.
pub fn error(message: &str) {
    write(Level::Error, message);
}
