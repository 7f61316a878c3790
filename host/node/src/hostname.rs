//! Under which hostname this node leases its id.

use std::ffi::OsString;

/// The variables that name the host, in order; an empty one counts as unset.
pub const VARIABLES: [&str; 2] = ["SHARDWRIGHT_HOSTNAME", "STALWART_HOSTNAME"];

/// The longest hostname, in bytes.
const MAX: usize = 253;

/// A hostname that cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} (from {source_}) cannot serve as this node's hostname: {reason}. Set SHARDWRIGHT_HOSTNAME to a name that is unique in the cluster"
)]
pub struct HostnameError {
    /// The name.
    pub name: String,
    /// Where it came from.
    pub source_: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Finds the hostname: `explicit`, then [`VARIABLES`], then what the operating system says, lower-cased.
///
/// Never `server.hostname` of a configuration: it is the service's public name, and several nodes share it.
pub(crate) fn find(explicit: Option<&str>, var: impl Fn(&str) -> Option<OsString>) -> Result<String, HostnameError> {
    if let Some(name) = explicit {
        return check(name.to_owned(), "the builder");
    }
    for variable in VARIABLES {
        if let Some(value) = var(variable).filter(|value| !value.is_empty()) {
            return check(value.to_string_lossy().into_owned(), variable);
        }
    }
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let source_ = "the operating system";
    // Names that many machines have: fit for a node only if somebody says so.
    let refuse = |reason| {
        Err(HostnameError {
            name: name.clone(),
            source_,
            reason,
        })
    };
    if name == "localhost" || name.starts_with("localhost.") {
        return refuse("every machine calls itself so");
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return refuse("it is an address, not a name");
    }
    check(name, source_)
}

fn check(name: String, source_: &'static str) -> Result<String, HostnameError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX {
        "it is longer than 253 bytes"
    } else if !name.bytes().all(fits) {
        "only letters, digits, '.', '_' and '-' are allowed"
    } else if !name.bytes().any(|b| b.is_ascii_alphanumeric()) {
        "it needs a letter or a digit"
    } else {
        return Ok(name);
    };
    Err(HostnameError { name, source_, reason })
}

#[cfg(test)]
mod test {
    use super::*;

    fn vars<'v>(pairs: &'v [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'v {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into())
    }

    #[test]
    fn explicit_then_variables_then_the_system() {
        let both = [("SHARDWRIGHT_HOSTNAME", "Mail-1"), ("STALWART_HOSTNAME", "mail-2")];
        assert_eq!(find(Some("me"), vars(&both)).as_deref(), Ok("me"));
        assert_eq!(find(None, vars(&both)).as_deref(), Ok("Mail-1"), "verbatim");
        assert_eq!(
            find(None, vars(&[("SHARDWRIGHT_HOSTNAME", ""), both[1]])).as_deref(),
            Ok("mail-2"),
            "empty is unset"
        );
        if let Ok(system) = find(None, vars(&[])) {
            assert_eq!(system, system.to_lowercase());
        }
    }

    #[test]
    fn an_address_or_localhost_only_if_somebody_says_so() {
        for name in ["127.0.0.1", "localhost"] {
            assert_eq!(find(Some(name), vars(&[])).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_cannot_serve_is_named_with_its_source() {
        for (bad, says) in [
            ("a b", "only letters"),
            ("..", "a letter or a digit"),
            ("é", "only letters"),
            (&*"h".repeat(254), "253"),
        ] {
            let error = find(None, vars(&[("STALWART_HOSTNAME", bad)])).expect_err(bad).to_string();
            assert!(error.contains(says) && error.contains("STALWART_HOSTNAME"), "{error}");
        }
        assert!(find(Some(""), vars(&[])).is_err());
    }
}
