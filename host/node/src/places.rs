//! Where files are kept unless somebody says otherwise.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of the cluster called `cluster` on this machine: `/var/lib/shardwright/<cluster>` for root, otherwise
/// below `$XDG_STATE_HOME` or `~/.local/state`. `None` if none of these is known.
#[must_use]
pub fn cluster_dir(cluster: &str) -> Option<PathBuf> {
    let home = state_home(rustix::process::geteuid().is_root(), |name| std::env::var_os(name))?;
    Some(home.join("shardwright").join(cluster))
}

/// The file in which the processes of one machine meet when no coordinator is configured: `cluster.db` in
/// [`cluster_dir`].
///
/// All nodes of one cluster on one machine must share it, so it does not depend on the hostname. Processes of different
/// users need a `[store."x"]` section with `type = "sqlite"` and a `path` that all of them may write.
#[must_use]
pub fn default_store(cluster: &str) -> Option<PathBuf> {
    Some(cluster_dir(cluster)?.join("cluster.db"))
}

/// Where the node `hostname` keeps its identity: `hosts/<hostname>` in [`cluster_dir`].
#[must_use]
pub fn default_state_dir(cluster: &str, hostname: &str) -> Option<PathBuf> {
    Some(cluster_dir(cluster)?.join("hosts").join(hostname))
}

/// Where compiled policies are kept: they can be deleted at any time.
#[must_use]
pub fn default_cache_dir() -> Option<PathBuf> {
    let root = rustix::process::geteuid().is_root();
    let home = cache_home(root, |name| std::env::var_os(name))?;
    Some(home.join("shardwright"))
}

fn state_home(root: bool, var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if root {
        return Some("/var/lib".into());
    }
    absolute(var("XDG_STATE_HOME")).or_else(|| Some(absolute(var("HOME"))?.join(".local/state")))
}

fn cache_home(root: bool, var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if root {
        return Some("/var/cache".into());
    }
    absolute(var("XDG_CACHE_HOME")).or_else(|| Some(absolute(var("HOME"))?.join(".cache")))
}

/// The specification of the XDG variables says to ignore relative ones.
fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn root_has_one_place_and_others_their_own() {
        let var = |name: &str| (name == "HOME").then(|| OsString::from("/home/u"));
        assert_eq!(state_home(true, var), Some("/var/lib".into()));
        assert_eq!(state_home(false, var), Some("/home/u/.local/state".into()));
        assert_eq!(cache_home(false, var), Some("/home/u/.cache".into()));
        let xdg = |name: &str| (name == "XDG_STATE_HOME").then(|| OsString::from("/s"));
        assert_eq!(state_home(false, xdg), Some("/s".into()));
        let relative = |name: &str| (name == "XDG_STATE_HOME").then(|| OsString::from("s"));
        assert_eq!(state_home(false, relative), None);
    }
}
