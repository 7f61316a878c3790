//! `[policy."<name>"]`: a component's file and what its calls may use.

use crate::keys;
use crate::known::BUNDLED_POLICIES;
use crate::model::{Budget, PolicySection};
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::section::Section;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads all policies below `item`, which is `policy`.
pub(crate) fn read(reader: &Reader<'_>, item: &Item<'_>, base: &Path) -> BTreeMap<String, PolicySection> {
    let mut policies = BTreeMap::new();
    for (key, value) in reader.table(item).into_iter().flatten() {
        let name = key.get_ref();
        let item = Item::new(format!("policy.\"{}\"", name.escape_debug()), key.span().into(), value);
        if reader.check_name("a policy's name", name, item.key_span, true)
            && let Some(policy) = section(reader, &item, name, base)
        {
            policies.insert(name.to_string(), policy);
        }
    }
    policies
}

fn section(reader: &Reader<'_>, item: &Item<'_>, name: &str, base: &Path) -> Option<PolicySection> {
    let section = Section::new(reader, reader.table(item)?, &item.path, keys::POLICY);
    let bundled = BUNDLED_POLICIES.contains(&name);
    if bundled && let Some(path) = section.get("path") {
        let help = "give your policy another name, and name it in the roles that should use it";
        reader.error(
            Code::ConflictingKeys,
            path.key_span,
            format!("`{name}` is the name of a bundled policy"),
            help,
        );
        section.fail();
    }
    if !bundled && section.get("path").is_none() && !reader.is_broken() {
        let message = format!("`{}` has no `path`", item.path);
        reader.error(
            Code::MissingKey,
            item.span,
            message,
            "add the component's file, as in `path = \"x.wasm\"`",
        );
        section.fail();
    }
    let policy = PolicySection {
        path: if bundled {
            None
        } else {
            section.read("path", |item| file(reader, item, base))
        },
        digest: section.read("digest", |item| digest(reader, item)),
        budget: section.read("budget", |item| budget(reader, item)).unwrap_or_default(),
    };
    section.sound(policy)
}

fn file(reader: &Reader<'_>, item: &Item<'_>, base: &Path) -> Option<PathBuf> {
    let path = base.join(reader.text(item)?);
    if !path.is_file() {
        let help = "a relative path begins at the configuration file; on a node without it the policy cannot run";
        reader.warn(
            Code::MissingPolicyFile,
            item.span,
            format!("there is no file `{}` on this machine", path.display()),
            help,
        );
    }
    Some(path)
}

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(reader: &Reader<'_>, item: &Item<'_>) -> Option<[u8; 32]> {
    let text = reader.text(item)?;
    let bytes = text
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.is_ascii())
        .and_then(|hex| {
            let mut bytes = [0; 32];
            for (i, byte) in bytes.iter_mut().enumerate() {
                // `from_str_radix` would take a sign.
                let pair = hex
                    .get(2 * i..2 * i + 2)
                    .filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))?;
                *byte = u8::from_str_radix(pair, 16).ok()?;
            }
            Some(bytes)
        });
    if bytes.is_none() {
        let help = "write `sha256:` and 64 hexadecimal digits, as `sha256sum` prints them";
        reader.error(
            Code::InvalidValue,
            item.span,
            format!("`{}` is no SHA-256 digest", item.path),
            help,
        );
    }
    bytes
}

fn budget(reader: &Reader<'_>, item: &Item<'_>) -> Option<Budget> {
    let section = Section::new(reader, reader.table(item)?, &item.path, keys::BUDGET);
    let default = Budget::default();
    let budget = Budget {
        wall: section
            .read("wall", |item| reader.duration(item, 1..=60_000))
            .unwrap_or(default.wall),
        fuel: section.read("fuel", |item| reader.integer(item, 1..=i64::MAX as u64)),
        memory: section
            .read("memory", |item| reader.size(item, 1 << 20..=4 << 30))
            .unwrap_or(default.memory),
        output: section
            .read("output", |item| reader.size(item, 1 << 10..=1 << 30))
            .unwrap_or(default.output),
    };
    section.sound(budget)
}
