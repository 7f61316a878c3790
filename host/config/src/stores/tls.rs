//! `tls.*`: what secures the connection to a server.

use super::address::Address;
use super::settings::Settings;
use crate::problem::Code;
use crate::reader::Item;
use crate::secret::{self, Secret};
use std::path::PathBuf;

/// Use TLS, and how. The server's certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSection {
    /// The authorities to trust; `None` for those of the operating system.
    pub ca: Option<Pem>,
    /// This node's certificate chain and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The name that the server's certificate must have, if it is not the host in the address.
    pub server_name: Option<String>,
}

/// Certificates or a key in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// This text.
    Text(Secret),
}

/// Why nothing turns the verification of certificates off.
pub(super) const VERIFIED: &str = "certificates are always verified, since whoever could pose as the coordinator \
                                   could hand out every shard twice; for a certificate of your own authority, or a \
                                   pinned one, set `tls.ca`";

/// The first setting that says how to use TLS.
pub(super) fn detail<'s, 't>(settings: &'s Settings<'_, '_, 't>) -> Option<&'s Item<'t>> {
    let names = ["tls.ca", "tls.certificate", "tls.key", "tls.server-name"];
    names.into_iter().find_map(|name| settings.get(name))
}

/// How to use TLS, if it is used.
pub(super) fn details(settings: &Settings<'_, '_, '_>) -> TlsSection {
    if settings.flag("tls.allow-invalid-certs") == Some(true)
        && let Some(item) = settings.get("tls.allow-invalid-certs")
    {
        settings.ignore(item.key_span, &item.path, VERIFIED);
    }
    for (given, other) in [("tls.certificate", "tls.key"), ("tls.key", "tls.certificate")] {
        if let (Some(given), None) = (settings.get(given), settings.get(other)) {
            settings.missing(given.key_span, other);
        }
    }
    TlsSection {
        ca: pem(settings, "tls.ca", "CERTIFICATE"),
        identity: pem(settings, "tls.certificate", "CERTIFICATE").zip(pem(settings, "tls.key", "PRIVATE KEY")),
        server_name: server_name(settings),
    }
}

/// What is said about TLS in the section and by the `addresses`, where `scheme` means it. `None` for a connection
/// without.
pub(super) fn read(settings: &Settings<'_, '_, '_>, addresses: &[Address<'_>], scheme: &str) -> Option<TlsSection> {
    let enable = settings.flag("tls.enable");
    let detail = detail(settings);
    let by_scheme = addresses.iter().find(|address| address.scheme == Some(scheme));
    let plain = addresses
        .iter()
        .find(|address| address.scheme.is_some_and(|found| found != scheme));

    if let (Some(false), Some(off)) = (enable, settings.get("tls.enable")) {
        if let Some(detail) = detail {
            settings.conflict(detail, "`tls.enable = false`", "remove one of the two");
        }
        if by_scheme.is_some() {
            settings.conflict(
                off,
                &format!("addresses with `{scheme}://`"),
                "remove it, or change the addresses",
            );
        }
    }
    if let (Some(_), Some(plain)) = (by_scheme, plain) {
        let message = format!("`{}` has addresses with TLS and others without", plain.item.path);
        let help = format!("begin all of them with `{scheme}://`");
        settings.error(Code::InvalidValue, plain.item.span, message, help);
    }
    let section = details(settings);
    let on = enable.unwrap_or(detail.is_some() || by_scheme.is_some());
    on.then_some(section)
}

/// A path, or the text of a PEM file that has a `label` in it.
fn pem(settings: &Settings<'_, '_, '_>, name: &'static str, label: &str) -> Option<Pem> {
    settings.with(name, |reader, item| {
        let value = reader.secret(item)?;
        let text = value.expose();
        let flaw = |what: &str| {
            let help =
                format!("write the path of a PEM file, or its text, which has a line `-----BEGIN … {label}-----`");
            reader.error(Code::InvalidValue, item.span, format!("`{}` {what}", item.path), help);
            None
        };
        if text.trim_start().starts_with("-----BEGIN") {
            if text.contains(&format!("{label}-----")) {
                return Some(Pem::Text(value));
            }
            return flaw(&format!(
                "is PEM of something else than a {}",
                label.to_ascii_lowercase()
            ));
        }
        if text.trim().is_empty() || text.contains(['\n', '\0']) {
            return flaw("is neither a path nor PEM");
        }
        let path = settings.base.join(text);
        if !path.is_file() {
            // What a macro brings in may be anything: it is not shown.
            let plain = item.value.as_str().is_some_and(|raw| !secret::has_macro(raw));
            let name = if plain {
                format!(", `{}`,", path.display())
            } else {
                String::new()
            };
            let message = format!("the file that `{}` names{name} is not on this machine", item.path);
            let help =
                "a relative path begins at the configuration file; a node without the file cannot meet the others";
            reader.warn(Code::MissingTlsFile, item.key_span, message, help);
        }
        Some(Pem::File(path))
    })
}

fn server_name(settings: &Settings<'_, '_, '_>) -> Option<String> {
    settings.with("tls.server-name", |reader, item: &Item<'_>| {
        let name = reader.text(item)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("`{}` is no name of a host", item.path);
            let help = "write the name alone, without scheme and port, as in \"redis.example.org\"";
            reader.error(Code::InvalidValue, item.span, message, help);
            return None;
        }
        Some(name)
    })
}
