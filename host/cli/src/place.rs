//! A coordinator named in one word: a path, or an address such as `redis://localhost`.

mod adapter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod text;

use anyhow::{Context, bail};
use shardwright_config::CoordinatorConfig;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The forms that an address may have, for help and errors.
pub(crate) const FORMS: &str = "redis://HOST, redis-cluster://HOST,HOST, redis-sentinel://HOST,HOST/SERVICE, each \
                                with TLS as rediss…, nats://HOST,HOST, tls://HOST (NATS with TLS), \
                                kafka://HOST:PORT,HOST:PORT, etcd://HOST,HOST, etcds://HOST (etcd with TLS), or \
                                postgresql://USER:PASSWORD@HOST/DATABASE";

/// The longest address that is read from a file, in bytes.
const LONGEST: u64 = 64 << 10;

/// `text`, or what it stands for: `env:NAME` for a variable, `file:PATH` for the text in a file. What that holds is
/// never shown.
pub(crate) fn spelt(text: &str) -> anyhow::Result<String> {
    let held = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).with_context(|| {
            format!("the variable {name:?}, which is to hold the address, is not set, or is no text")
        })?
    } else if let Some(path) = text.strip_prefix("file:").filter(|path| !path.starts_with("//")) {
        read(Path::new(path)).with_context(|| format!("the file {path}, which is to hold the address"))?
    } else {
        return Ok(text.to_owned());
    };
    let held = held.trim();
    if held.is_empty() || held.lines().nth(1).is_some() {
        bail!("{text} is to hold an address, on one line");
    }
    Ok(held.to_owned())
}

fn read(path: &Path) -> anyhow::Result<String> {
    // Opening a pipe would wait for somebody who writes to it.
    if !std::fs::metadata(path)?.is_file() {
        bail!("it is no regular file");
    }
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// What `text` names.
pub(crate) fn coordinator(text: &str) -> anyhow::Result<CoordinatorConfig> {
    let text = &spelt(text)?;
    if !text.contains("://") {
        return Ok(CoordinatorConfig::Sqlite {
            path: Some(PathBuf::from(text)),
        });
    }
    let file = format!(
        "[store.named]\n{}\n[cluster]\ncoordinator = \"named\"\n",
        section(text)?
    );
    match shardwright_config::parse(&file, "address") {
        Ok((config, _)) => Ok(config.coordinator),
        Err(report) => bail!("the address cannot be used\n\n{}", report.render_text(false).trim_end()),
    }
}

/// The lines of the `[store."…"]` section that an address stands for. User and password may be in it as
/// `user:password@`, and as in every section `%{env:NAME}%` and `%{file:PATH}%` stand for what is there.
pub(crate) fn section(address: &str) -> anyhow::Result<String> {
    let (scheme, rest) = address
        .split_once("://")
        .with_context(|| format!("this is no address: use {FORMS}"))?;
    // An address has none of these, so whoever writes one has quoted it wrongly.
    if address.contains(|c: char| c.is_control() || "\"\\ ".contains(c)) {
        bail!("an address holds no spaces, quotes or backslashes: write them as %20, %22, %5C");
    }
    let hosts = |list: &str, prefix: &str| -> anyhow::Result<String> {
        let hosts: Vec<_> = list.split(',').map(|host| host.trim_start_matches(prefix)).collect();
        if hosts.iter().any(|host| host.is_empty()) {
            bail!("a host is missing in the address: use {FORMS}");
        }
        let hosts: Vec<_> = hosts.iter().map(|host| quoted(&format!("{prefix}{host}"))).collect();
        Ok(format!("[{}]", hosts.join(", ")))
    };
    let redis = |list: &str| {
        hosts(
            list,
            if scheme.starts_with("rediss") {
                "rediss://"
            } else {
                "redis://"
            },
        )
    };
    Ok(match scheme {
        "redis" | "rediss" => format!("type = \"redis\"\nurls = {}\n", redis(rest)?),
        "redis-cluster" | "rediss-cluster" => {
            format!("type = \"redis\"\nredis-type = \"cluster\"\nurls = {}\n", redis(rest)?)
        }
        "redis-sentinel" | "rediss-sentinel" => {
            let (list, service) = rest
                .rsplit_once('/')
                .filter(|(_, service)| !service.is_empty())
                .context(
                    "the name of the master that the sentinels watch is missing: redis-sentinel://HOST,HOST/SERVICE",
                )?;
            format!(
                "type = \"redis\"\nredis-type = \"sentinel\"\nservice-name = {}\nurls = {}\n",
                quoted(service),
                redis(list)?
            )
        }
        "nats" | "tls" => format!(
            "type = \"nats\"\naddresses = {}\n",
            hosts(rest, &format!("{scheme}://"))?
        ),
        "kafka" if rest.contains('@') => {
            bail!(
                "an address of Kafka holds no password: write a `[store.\"…\"]` section of type \"kafka\", and use \
                 --config FILE"
            )
        }
        "kafka" => format!("type = \"kafka\"\nbrokers = {}\n", hosts(rest, "")?),
        "etcd" | "etcds" => adapter::etcd(rest, scheme == "etcds")?,
        "postgres" | "postgresql" => adapter::postgresql(rest)?,
        _ => bail!("there is no coordinator for {scheme}://: use {FORMS}"),
    })
}

/// `text` as a string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_form_is_a_section() {
        for (address, expected) in [
            ("redis://h:1/2", "type = \"redis\"\nurls = [\"redis://h:1/2\"]\n"),
            (
                "rediss://u:p%40@h",
                "type = \"redis\"\nurls = [\"rediss://u:p%40@h\"]\n",
            ),
            (
                "redis-cluster://a:1,b:2",
                "type = \"redis\"\nredis-type = \"cluster\"\nurls = [\"redis://a:1\", \"redis://b:2\"]\n",
            ),
            (
                "rediss-sentinel://a:1,b:2/mymaster",
                "type = \"redis\"\nredis-type = \"sentinel\"\nservice-name = \"mymaster\"\nurls = [\"rediss://a:1\", \
                 \"rediss://b:2\"]\n",
            ),
            (
                "nats://a,nats://u:p@b:2",
                "type = \"nats\"\naddresses = [\"nats://a\", \"nats://u:p@b:2\"]\n",
            ),
            (
                "kafka://a:9092,b:9092",
                "type = \"kafka\"\nbrokers = [\"a:9092\", \"b:9092\"]\n",
            ),
        ] {
            assert_eq!(section(address).expect(address), expected);
            let kind = coordinator(address).expect(address).kind().to_owned();
            assert!(expected.contains(&format!("\"{kind}\"")), "{address}");
        }
    }

    #[test]
    fn what_is_none_says_what_is() {
        for (address, says) in [
            ("http://x", "no coordinator for http://"),
            ("redis://", "host is missing"),
            ("nats://a,,b", "host is missing"),
            ("redis-sentinel://a:1", "redis-sentinel://HOST,HOST/SERVICE"),
            ("kafka://user:secret@b:1", "--config"),
            ("redis://a\"b", "%22"),
        ] {
            let error = format!("{:#}", coordinator(address).expect_err(address));
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_address_may_be_in_a_file_or_a_variable_and_is_not_shown_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("address");
        let named = format!("file:{}", path.display());
        let error = |text: &str| format!("{:#}", coordinator(text).expect_err(text));
        assert!(error(&named).contains("address"), "{}", error(&named));
        std::fs::write(&path, "redis://u:hush@h:1\n").expect("written");
        assert_eq!(spelt(&named).expect("read"), "redis://u:hush@h:1");
        assert_eq!(coordinator(&named).expect("an address").kind(), "redis");
        for bad in ["", "redis://u:hush@h\nredis://i", "http://u:hush@h"] {
            std::fs::write(&path, bad).expect("written");
            assert!(!error(&named).contains("hush"), "{}", error(&named));
        }
        assert!(error(&format!("file:{}", folder.path().display())).contains("no regular file"));
        assert!(error("env:SHARDWRIGHT_NO_SUCH_VARIABLE").contains("SHARDWRIGHT_NO_SUCH_VARIABLE"));
        let expected = std::env::var("PATH").expect("set everywhere");
        assert_eq!(spelt("env:PATH").expect("read"), expected);
    }

    #[test]
    fn anything_else_is_a_path() {
        let expected = CoordinatorConfig::Sqlite {
            path: Some("/a/b.db".into()),
        };
        assert_eq!(coordinator("/a/b.db").expect("a path"), expected);
    }
}
