//! Configuration of policies that have no options.

use crate::PolicyError;

/// Accepts an empty JSON object and nothing else.
///
/// # Errors
/// [`PolicyError::InvalidConfig`] if `config` holds anything.
pub fn none(config: &str) -> Result<(), PolicyError> {
    let inside = config.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if inside.is_some_and(|inside| inside.trim().is_empty()) {
        Ok(())
    } else {
        Err(PolicyError::InvalidConfig(
            "this policy has no options: leave `config` out or set it to {}".into(),
        ))
    }
}
