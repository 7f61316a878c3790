//! Formatting the data of a broker. Kafka's tool does it, and takes a Java of its own for it; what it made for one
//! broker is copied for the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use super::{CLUSTER, Sasl};

/// Users whose passwords are part of the data.
type Users = Vec<(Sasl, String, String)>;

/// The file that says whose the data is.
const META: &str = "meta.properties";

/// The file that holds what a cluster begins with: the versions of its features, and its users.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// The latter for these users. It is the same for every broker.
static MADE: Mutex<BTreeMap<Users, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Formats the folder `data` of broker `id`, unless it was. `tool` is how Kafka's own one is called.
pub(super) fn format(data: &Path, users: &Users, id: &str, tool: impl FnOnce() -> Command) -> Result<()> {
    if data.join(META).exists() {
        return Ok(());
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bootstrap) = made.get(users) {
        fs::write(data.join(BOOTSTRAP), bootstrap)?;
        let directory = directory()?;
        let meta = format!("version=1\ncluster.id={CLUSTER}\nnode.id={id}\ndirectory.id={directory}\n");
        return fs::write(data.join(META), meta)
            .with_context(|| format!("{} cannot be written", data.join(META).display()));
    }
    let mut tool = tool();
    for (mechanism, user, password) in users {
        tool.args([
            "--add-scram",
            &format!("{}=[name={user},password={password}]", mechanism.name()),
        ]);
    }
    let output = tool
        .stdin(Stdio::null())
        .output()
        .context("java could not be started")?;
    ensure!(
        output.status.success(),
        "Kafka could not format its data: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    made.insert(users.clone(), fs::read(data.join(BOOTSTRAP))?);
    Ok(())
}

/// A new id for a folder of data: 16 bytes in Base64, such as 21 hexadecimal digits and an A.
fn directory() -> Result<String> {
    let random = fs::read_to_string("/proc/sys/kernel/random/uuid").context("the system makes no UUID")?;
    let digits: String = random.chars().filter(char::is_ascii_hexdigit).take(21).collect();
    Ok(digits + "A")
}
