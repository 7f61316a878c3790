//! The processes of the nodes: started, signalled, and started again when they end by themselves, as a supervisor
//! would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::checker::Violation;
use crate::clock::now;
use crate::history::{History, Process};
use crate::schedule::HOSTS;

/// How long a supervisor waits before it starts a process again that has ended by itself, in microseconds.
const BACKOFF: u64 = 300_000;

/// How often a node that runs the binary acts.
const REHEARSE: &str = "--rehearse=20ms";

/// Where everything is that processes need.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The folder of the run.
    pub(crate) folder: PathBuf,
    /// Compiled components, kept from run to run.
    pub(crate) cache: PathBuf,
    /// The program `chaos-worker`.
    pub(crate) worker: PathBuf,
    /// The program `shardwright`.
    pub(crate) binary: PathBuf,
}

impl Places {
    /// The socket of the resource.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("resource.sock")
    }

    fn of(&self, name: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("{name}.{suffix}"))
    }

    /// Writes the configuration `name`, for a node or for whoever asks.
    pub(crate) fn configure(&self, name: &str, section: &str) -> Result<PathBuf> {
        let file = self.of(name, "toml");
        let text = format!(
            "[store.shared]\n{section}\n[node]\nstate-dir = {:?}\n\n[cluster]\ncoordinator = \"shared\"\n{}",
            self.of(name, "state"),
            crate::settings::cluster()
        );
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(file)
    }
}

/// A process in its seat.
struct Occupant {
    process: Process,
    child: Child,
    /// It was told to end.
    asked: bool,
}

/// One place for a process: a host, or the twin of one.
struct Seat {
    host: String,
    config: PathBuf,
    prefix: Vec<String>,
    started: u32,
    occupant: Option<Occupant>,
    /// Somebody should be there.
    wanted: bool,
    /// Not before this moment it is started again.
    not_before: u64,
}

/// All processes. They are killed when this is dropped, and when this process is.
pub(crate) struct Nodes {
    places: Places,
    plant: Option<String>,
    seats: BTreeMap<String, Seat>,
    files: Vec<(Process, PathBuf)>,
    /// Which processes ended by themselves for which reason, and how often.
    pub(crate) ends: BTreeMap<String, u32>,
    /// Those among them that no document allows.
    pub(crate) violations: Vec<Violation>,
}

impl Nodes {
    pub(crate) fn new(places: Places, plant: Option<String>) -> Self {
        Self {
            places,
            plant,
            seats: BTreeMap::new(),
            files: Vec::new(),
            ends: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Makes a seat `name` for a process of `host`, which reaches the store by `section`.
    pub(crate) fn seat(&mut self, name: &str, host: &str, section: &str, prefix: Vec<String>) -> Result<()> {
        let seat = Seat {
            host: host.to_owned(),
            config: self.places.configure(name, section)?,
            prefix,
            started: 0,
            occupant: None,
            wanted: false,
            not_before: 0,
        };
        self.seats.insert(name.to_owned(), seat);
        Ok(())
    }

    /// Has the seat `name` occupied, as soon as whoever is there has ended.
    pub(crate) fn start(&mut self, name: &str) {
        if let Some(seat) = self.seats.get_mut(name) {
            seat.wanted = true;
        }
    }

    /// Sends a signal that ends whoever is in the seat, if anybody is.
    pub(crate) fn end(&mut self, name: &str, signal: Signal) {
        if let Some(seat) = self.seats.get_mut(name) {
            seat.wanted = false;
            if let Some(occupant) = &mut seat.occupant {
                occupant.asked = true;
            }
        }
        self.signal(name, signal);
    }

    /// Sends a signal to whoever is in the seat.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        if let Some(Occupant { child, .. }) = self.seats.get(name).and_then(|seat| seat.occupant.as_ref()) {
            // A child that was not waited for keeps its id: no other process can be hit.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// The seats whose processes should live, and those whose processes should have ended and have not.
    pub(crate) fn amiss(&self) -> Vec<String> {
        let amiss = |seat: &Seat| seat.occupant.is_some() != seat.wanted;
        let seats = self.seats.iter().filter(|(_, seat)| amiss(seat));
        seats
            .map(|(name, seat)| format!("{name} should {}", if seat.wanted { "live" } else { "have ended" }))
            .collect()
    }

    /// Notes what has ended and starts what should run. Only ever called by one thread: the processes end with the
    /// thread that started them.
    pub(crate) fn supervise(&mut self) -> Result<()> {
        let names: Vec<_> = self.seats.keys().cloned().collect();
        for name in names {
            self.reap(&name)?;
            self.fill(&name)?;
        }
        Ok(())
    }

    fn reap(&mut self, name: &str) -> Result<()> {
        let Some(seat) = self.seats.get_mut(name) else {
            return Ok(());
        };
        let Some(Occupant { process, child, asked }) = &mut seat.occupant else {
            return Ok(());
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        let (process, asked) = (process.clone(), *asked);
        seat.occupant = None;
        seat.not_before = now() + BACKOFF;
        let log = fs::read_to_string(self.places.of(name, "log")).unwrap_or_default();
        let reason = log.lines().rfind(|line| line.starts_with("error: "));
        let why = reason.unwrap_or("without a reason");
        if !documented(status, asked, reason) {
            self.violations
                .push(Violation::Ended(format!("{process} with {status}: {why}")));
        } else if !status.success() && status.signal().is_none() {
            *self.ends.entry(format!("{name}: {why}")).or_default() += 1;
        }
        Ok(())
    }

    fn fill(&mut self, name: &str) -> Result<()> {
        let Some(seat) = self.seats.get_mut(name) else {
            return Ok(());
        };
        if !seat.wanted || seat.occupant.is_some() || now() < seat.not_before {
            return Ok(());
        }
        seat.started += 1;
        // A twin is another process of the same host.
        let number = seat.started + if name == seat.host { 0 } else { 1_000 };
        let process = Process {
            host: seat.host.clone(),
            number,
        };
        let file = self.places.folder.join(format!("{name}.{number}.acts"));
        // The binary on the last host of those that are always there, so that both are known to work.
        let embeds = self.plant.is_some() || HOSTS.last() != Some(&name);
        let program = if embeds {
            &self.places.worker
        } else {
            &self.places.binary
        };
        // Killed with this thread, also while it is stopped.
        let words = seat
            .prefix
            .iter()
            .cloned()
            .chain(["setpriv", "--pdeathsig", "KILL"].map(str::to_owned));
        let words: Vec<_> = words.collect();
        let log = append(&self.places.of(name, "log"))?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(program)
            .stdin(Stdio::null())
            .stderr(log)
            .process_group(0);
        command
            .env_remove("STALWART_HOSTNAME")
            .env("SHARDWRIGHT_HOSTNAME", &seat.host);
        if embeds {
            command
                .arg("node")
                .args(["--host", &seat.host, "--number", &number.to_string()]);
            command
                .arg("--journal")
                .arg(&file)
                .arg("--resource")
                .arg(self.places.socket());
            command.args(self.plant.iter().flat_map(|plant| ["--plant", plant]));
            command.stdout(Stdio::null());
        } else {
            command
                .args(["run", "--events", "json", REHEARSE])
                .stdout(append(&file)?);
        }
        command
            .arg("--config")
            .arg(&seat.config)
            .arg("--cache-dir")
            .arg(&self.places.cache);
        let child = command
            .spawn()
            .context("`setpriv` of util-linux could not be started")?;
        seat.occupant = Some(Occupant {
            process: process.clone(),
            child,
            asked: false,
        });
        self.files.push((process, file));
        Ok(())
    }

    /// Takes what the processes have noted into `history`.
    pub(crate) fn read(&self, history: &mut History) -> Result<()> {
        for (process, file) in self.files.iter().filter(|(_, file)| file.exists()) {
            history.read(process, file)?;
        }
        Ok(())
    }
}

/// Whether docs/events.md lets a process end so: by a signal that it was sent, with 0 when it was asked to end, with 1
/// and a reason otherwise.
fn documented(status: ExitStatus, asked: bool, reason: Option<&str>) -> bool {
    match (status.code(), status.signal()) {
        (Some(0), _) => asked,
        (Some(1), _) => reason.is_some_and(|reason| !reason.contains("panicked")),
        // SIGTERM may come before it has begun to listen for it.
        (None, Some(signal)) => asked && [Signal::KILL.as_raw(), Signal::TERM.as_raw()].contains(&signal),
        _ => false,
    }
}

fn append(path: &Path) -> Result<File> {
    let file = File::options().append(true).create(true).open(path);
    file.with_context(|| format!("{} cannot be appended to", path.display()))
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for Occupant { child, .. } in self.seats.values_mut().filter_map(|seat| seat.occupant.as_mut()) {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
