//! What only addresses of Redis have, as its clients read them: sockets of this machine, and what follows `?` and `#`.

/// What an address says besides where the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extras {
    /// `#insecure`: no matter whose certificate it is.
    pub(super) insecure: bool,
    /// `?protocol=resp2`.
    pub(super) resp2: bool,
}

/// Takes off `text` what it says besides where the server is. What is not understood stays.
pub(super) fn take(text: &str) -> (&str, Extras) {
    let mut extras = Extras::default();
    let mut rest = text;
    if let Some(before) = rest.strip_suffix("#insecure") {
        (rest, extras.insecure) = (before, true);
    }
    if let Some((before, query)) = rest.split_once('?')
        && let Some(resp2) = protocol(query)
    {
        (rest, extras.resp2) = (before, resp2);
    }
    (rest, extras)
}

/// Whether `pair` asks for RESP2; `None` if it asks for something else than a protocol.
fn protocol(pair: &str) -> Option<bool> {
    match pair.strip_prefix("protocol=")? {
        "2" | "resp2" => Some(true),
        "3" | "resp3" => Some(false),
        _ => None,
    }
}

/// A server at a socket of this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// The address in its one spelling: `unix:///path`, with `?db=…&user=…&pass=…` as far as given.
    pub(super) text: String,
    /// User and password as they are written, if given.
    pub(super) login: Option<String>,
    /// The number of the database, if given.
    pub(super) db: String,
    pub(super) extras: Extras,
}

/// The spellings of what an address of a socket begins with.
const SCHEMES: [&str; 3] = ["unix:", "redis+unix:", "valkey+unix:"];

/// The socket that `text` means, or what is wrong with it; `None` if it means none.
pub(super) fn socket(text: &str) -> Option<Result<Socket, String>> {
    let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme))?;
    Some(parse(rest))
}

fn parse(rest: &str) -> Result<Socket, String> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    if rest.contains('#') {
        return Err("has `#` in it; in a path or password, write `%23`".into());
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("names no file by its whole path, as in `unix:///run/redis.sock`".into());
    }
    let (mut extras, mut db, mut user, mut password) = (Extras::default(), String::new(), None, None);
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("db", number)) => db = number.to_owned(),
            Some(("user", name)) => user = Some(name),
            Some(("pass", secret)) => password = Some(secret),
            _ => {
                let odd = "has something after `?` that is none of `db=…`, `user=…`, `pass=…` and `protocol=resp3`";
                extras.resp2 = protocol(pair).ok_or(odd)?;
                continue;
            }
        }
        kept.push(pair);
    }
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    let named = user.is_some() || password.is_some();
    Ok(Socket {
        text: format!("unix://{path}{query}"),
        login: named.then(|| format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default())),
        db,
        extras,
    })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_follows_an_address() {
        let insecure = Extras {
            insecure: true,
            resp2: false,
        };
        let resp2 = Extras {
            insecure: false,
            resp2: true,
        };
        for (text, rest, extras) in [
            ("redis://h", "redis://h", Extras::default()),
            ("rediss://h#insecure", "rediss://h", insecure),
            ("redis://h/1?protocol=resp3", "redis://h/1", Extras::default()),
            ("redis://h?protocol=2", "redis://h", resp2),
            (
                "redis://h?protocol=resp2#insecure",
                "redis://h",
                Extras {
                    insecure: true,
                    resp2: true,
                },
            ),
            ("redis://h#other", "redis://h#other", Extras::default()),
            ("redis://h?db=1", "redis://h?db=1", Extras::default()),
        ] {
            assert_eq!(take(text), (rest, extras), "{text}");
        }
    }

    #[test]
    fn sockets_have_one_spelling() {
        for text in [
            "unix:///run/r.sock",
            "unix:/run/r.sock",
            "redis+unix:///run/r.sock",
            "valkey+unix:/run/r.sock",
        ] {
            let socket = socket(text).expect(text).expect(text);
            assert_eq!(
                (socket.text.as_str(), socket.login, socket.db.as_str()),
                ("unix:///run/r.sock", None, "")
            );
        }
        let socket = |text| socket(text).expect("a socket");
        let full = socket("redis+unix:///r.sock?db=2&user=me&pass=p%40ss&protocol=resp2").expect("sound");
        assert_eq!(full.text, "unix:///r.sock?db=2&user=me&pass=p%40ss");
        assert_eq!(
            (full.login.as_deref(), full.db.as_str(), full.extras.resp2),
            (Some("me:p%40ss"), "2", true)
        );
        for (text, says) in [
            ("unix://run/hunter2", "whole path"),
            ("unix:hunter2", "whole path"),
            ("unix:///", "whole path"),
            ("unix:///r#hunter2", "%23"),
            ("unix:///r?timeout=hunter2", "none of"),
            ("unix:///r?protocol=hunter2", "none of"),
        ] {
            let flaw = socket(text).expect_err(text);
            assert!(flaw.contains(says) && !flaw.contains("hunter2"), "{text}: {flaw}");
        }
    }

    #[test]
    fn what_is_no_socket() {
        for text in ["redis://h", "unix", "h:6379", ""] {
            assert_eq!(socket(text), None, "{text}");
        }
    }
}
