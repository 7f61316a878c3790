//! etcd: one server, new or old, or a cluster.

mod cluster;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::authority::Authority;
use crate::http;
use crate::port::Port;
use crate::server::{Folder, Recipe, Server, text};
use crate::tools;

pub use cluster::EtcdCluster;

/// An etcd server.
///
/// One that was wiped has the same cluster id as before: etcd makes it of the address for its peers.
pub struct EtcdServer {
    server: Server,
    tls: bool,
    plain: u16,
    // Its port for other servers, and the one without TLS where clients use TLS: its own for as long as it is.
    _ports: Vec<Port>,
}

impl EtcdServer {
    /// The newer one, with the default settings.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Debian 12's 3.4.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn old() -> Result<Self> {
        Self::builder().old().start()
    }

    /// One with settings of your own.
    #[must_use]
    pub fn builder() -> EtcdBuilder {
        EtcdBuilder::default()
    }

    /// Its address: `http://…` or, with TLS, `https://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port())
    }

    /// Calls a method of its JSON API, such as `kv/put`, with what `auth/authenticate` gave as `token` if it has users;
    /// always without TLS.
    ///
    /// # Errors
    /// The call fails; the answer is shown.
    pub fn call(&self, method: &str, token: Option<&str>, body: &str) -> Result<String> {
        call(self.plain, method, token, body)
    }

    /// Whether it leads its cluster, as it thinks itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn is_leader(&self) -> Result<bool> {
        Ok(http::get(self.plain, "/metrics")?.contains("\netcd_server_is_leader 1\n"))
    }
}

impl Deref for EtcdServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The settings of an etcd server that is to be started.
#[derive(Clone, Default)]
pub struct EtcdBuilder {
    old: bool,
    flags: BTreeMap<String, String>,
    users: Vec<(String, String)>,
    tls: Option<(Authority, bool)>,
}

impl EtcdBuilder {
    /// Debian 12's 3.4 instead of the newer one.
    #[must_use]
    pub fn old(mut self) -> Self {
        self.old = true;
        self
    }

    /// A flag as `etcd --help` lists them, such as `quota-backend-bytes` and `16777216`; it replaces the default one.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A user who may read and write all keys; nobody else may do anything then, but for `root`, whose password is
    /// `root`.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// TLS only, with a certificate of `authority` for `localhost` and `127.0.0.1`; clients need one too if
    /// `client_certificates`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, client_certificates: bool) -> Self {
        self.tls = Some((authority.clone(), client_certificates));
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start(self) -> Result<EtcdServer> {
        let peer = Port::free()?;
        let members = format!("node={}", peer_url(&peer));
        let server = self.launch("node", peer, &members)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Launches the node `name` of the cluster `members`.
    fn launch(self, name: &str, peer: Port, members: &str) -> Result<EtcdServer> {
        let port = Port::free()?;
        let mut plain = port.number();
        let mut ports = vec![];
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{plain}");
        let mut flags = BTreeMap::from([
            ("name", name.to_owned()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client.clone()),
            ("listen-peer-urls", peer_url(&peer)),
            ("initial-advertise-peer-urls", peer_url(&peer)),
            ("initial-cluster", members.to_owned()),
            ("logger", "zap".to_owned()),
            ("log-outputs", "stderr".to_owned()),
            // Else each login computes for a tenth of a second: those of many lanes keep a busy machine from answering
            // at all.
            ("bcrypt-cost", "4".to_owned()),
        ]);
        if !self.old {
            // A killed process loses nothing by it: what it has written is with the system.
            flags.insert("unsafe-no-fsync", "true".to_owned());
        }
        if let Some((authority, client_certificates)) = &self.tls {
            let own = authority.server(&["localhost", "127.0.0.1"])?;
            let second = Port::free()?;
            plain = second.number();
            flags.extend([
                ("listen-client-urls", format!("{client},http://127.0.0.1:{plain}")),
                ("cert-file", text(&own.certificate)?.to_owned()),
                ("key-file", text(&own.key)?.to_owned()),
            ]);
            if *client_certificates {
                flags.extend([
                    ("trusted-ca-file", text(&authority.ca())?.to_owned()),
                    ("client-cert-auth", "true".to_owned()),
                ]);
            }
            ports.push(second);
        }
        flags.extend(self.flags.iter().map(|(name, value)| (name.as_str(), value.clone())));
        ports.push(peer);
        let recipe = Etcd {
            program: if self.old { tools::etcd_old()? } else { tools::etcd()? },
            flags: flags
                .into_iter()
                .map(|(name, value)| format!("--{name}={value}"))
                .collect(),
            users: self.users,
            plain,
        };
        Ok(EtcdServer {
            server: Server::launch(port, recipe)?,
            tls: self.tls.is_some(),
            plain,
            _ports: ports,
        })
    }
}

/// Where the other nodes reach the one with this port.
fn peer_url(peer: &Port) -> String {
    format!("http://127.0.0.1:{}", peer.number())
}

fn call(port: u16, method: &str, token: Option<&str>, body: &str) -> Result<String> {
    http::post(port, &format!("/v3/{method}"), token, body).with_context(|| format!("etcd's {method}"))
}

struct Etcd {
    program: PathBuf,
    flags: Vec<String>,
    users: Vec<(String, String)>,
    plain: u16,
}

impl Recipe for Etcd {
    fn ready(&self) -> &str {
        "serving client traffic"
    }

    fn prepare(&self, _folder: &Folder) -> Result<()> {
        Ok(())
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.flags)
            .arg("--data-dir")
            .arg(folder.data().join("etcd"));
        Ok(command)
    }

    fn started(&self, folder: &Folder) -> Result<()> {
        let done = folder.data().join("users");
        if self.users.is_empty() || done.exists() {
            return Ok(());
        }
        let call = |method: &str, body: String| call(self.plain, method, None, &body);
        let user = |name: &str, password: &str, role: &str| {
            call(
                "auth/user/add",
                format!("{{\"name\":{name:?},\"password\":{password:?}}}"),
            )?;
            call("auth/user/grant", format!("{{\"user\":{name:?},\"role\":{role:?}}}"))
        };
        call("auth/role/add", "{\"name\":\"all\"}".to_owned())?;
        // From the key of one zero byte, to the end that the same byte stands for.
        let keys = "{\"permType\":\"READWRITE\",\"key\":\"AA==\",\"range_end\":\"AA==\"}";
        call("auth/role/grant", format!("{{\"name\":\"all\",\"perm\":{keys}}}"))?;
        call("auth/role/add", "{\"name\":\"root\"}".to_owned())?;
        user("root", "root", "root")?;
        for (name, password) in &self.users {
            user(name, password, "all")?;
        }
        call("auth/enable", "{}".to_owned())?;
        fs::write(&done, "").with_context(|| format!("{} cannot be written", done.display()))
    }
}
