//! Names that nobody else gives.

/// 128 random bits in hexadecimal digits: the name of a history, of a large value.
///
/// # Errors
/// That this machine has no randomness, in words.
#[cfg(any(feature = "redis", feature = "nats"))]
pub(crate) fn random_name() -> Result<String, String> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| format!("no randomness on this machine: {error}"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
