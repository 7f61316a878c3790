//! Under which hostname this node leases its id.

use std::ffi::OsString;
use std::net::IpAddr;

/// The variables that name the host, in order; an empty one counts as unset.
pub const VARIABLES: [&str; 2] = ["SHARDWRIGHT_HOSTNAME", "STALWART_HOSTNAME"];

/// The longest hostname, in bytes.
const MAX: usize = 253;

/// A hostname that cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} (from {origin}) cannot serve as this node's hostname: {reason}. Set SHARDWRIGHT_HOSTNAME to a name \
     that is unique in the cluster"
)]
pub struct HostnameError {
    /// The name.
    pub name: String,
    /// Where it came from.
    pub origin: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Finds the hostname: `explicit`, then [`VARIABLES`], then what the operating system says. Wherever it comes from,
/// names that differ in case or by a dot at the end are one host: it is lower-cased, without that dot.
///
/// Never `server.hostname` of a configuration: it is the service's public name, and several nodes share it.
pub(crate) fn find(explicit: Option<&str>, var: impl Fn(&str) -> Option<OsString>) -> Result<String, HostnameError> {
    if let Some(name) = explicit {
        return check(name, "the builder");
    }
    for variable in VARIABLES {
        if let Some(value) = var(variable).filter(|value| !value.is_empty()) {
            return check(&value.to_string_lossy(), variable);
        }
    }
    check(
        &rustix::system::uname().nodename().to_string_lossy(),
        "the operating system",
    )
}

fn check(given: &str, origin: &'static str) -> Result<String, HostnameError> {
    let folded = given.to_ascii_lowercase();
    let name = folded.strip_suffix('.').unwrap_or(&folded);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let first = name.split('.').next().unwrap_or_default();
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.parse::<IpAddr>().is_ok() {
        "it is an address, not a name"
    } else if name.len() > MAX {
        "it is longer than 253 bytes"
    } else if !name.bytes().all(fits) {
        "only letters, digits, '.', '_' and '-' are allowed"
    } else if !name.bytes().any(|b| b.is_ascii_alphanumeric()) {
        "it needs a letter or a digit"
    } else if ["localhost", "localhost4", "localhost6", "ip6-localhost"].contains(&first) {
        "every machine calls itself so"
    } else {
        return Ok(name.to_owned());
    };
    Err(HostnameError {
        name: given.to_owned(),
        origin,
        reason,
    })
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
        assert_eq!(find(Some("Me"), vars(&both)).as_deref(), Ok("me"));
        assert_eq!(find(None, vars(&both)).as_deref(), Ok("mail-1"));
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
    fn names_that_differ_in_case_or_by_a_dot_at_the_end_are_one_host() {
        for name in [
            "mail-1.example.org",
            "MAIL-1.Example.ORG",
            "mail-1.example.org.",
            "Mail-1.example.org.",
        ] {
            for found in [
                find(Some(name), vars(&[])),
                find(None, vars(&[("STALWART_HOSTNAME", name)])),
            ] {
                assert_eq!(found.as_deref(), Ok("mail-1.example.org"), "{name}");
            }
        }
        assert!(
            find(Some("mail-1.."), vars(&[])).is_ok_and(|name| name == "mail-1."),
            "one dot only"
        );
    }

    #[test]
    fn an_address_or_localhost_is_no_name_wherever_it_comes_from() {
        for (name, says) in [
            ("127.0.0.1", "an address"),
            ("10.0.0.5.", "an address"),
            ("fe80::1", "an address"),
            ("localhost", "every machine"),
            ("LOCALHOST.localdomain", "every machine"),
            ("localhost6.localdomain6", "every machine"),
        ] {
            for found in [
                find(Some(name), vars(&[])),
                find(None, vars(&[("SHARDWRIGHT_HOSTNAME", name)])),
            ] {
                let error = found.expect_err(name).to_string();
                assert!(error.contains(says) && error.contains(name), "{error}");
            }
        }
        assert!(find(Some("localhoster"), vars(&[])).is_ok());
    }

    #[test]
    fn what_cannot_serve_is_named_with_its_source() {
        for (bad, says) in [
            ("a b", "only letters"),
            ("..", "a letter or a digit"),
            ("é", "only letters"),
            (&*"h".repeat(254), "253"),
        ] {
            let error = find(None, vars(&[("STALWART_HOSTNAME", bad)]))
                .expect_err(bad)
                .to_string();
            assert!(error.contains(says) && error.contains("STALWART_HOSTNAME"), "{error}");
        }
        assert!(find(Some(""), vars(&[])).is_err());
    }
}
