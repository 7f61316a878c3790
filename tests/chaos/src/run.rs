//! One run: a cluster comes up, is disturbed as its schedule says, is left in calm, and judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::checker::{self, Violation};
use crate::clock::now;
use crate::hands::Hands;
use crate::history::{Disturbed, History};
use crate::network::{self, Network};
use crate::nodes::{Nodes, Places};
use crate::operator::{Operator, Watch};
use crate::report::Summary;
use crate::resource::Resource;
use crate::schedule::{self, Action, GUESTS, HOSTS, machine};
use crate::server::Meeting;
use crate::settings::{self, ROLES};
use crate::store::Store;

/// How often processes are looked after.
const GLANCE: Duration = Duration::from_millis(20);

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(200);

/// How long a cluster may take to come up, and how long calm may last, on a machine that has little time for it.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much of a run is left for coming up and for calm.
const REST: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where the cluster meets.
    pub store: Store,
    /// What chance there is.
    pub seed: u64,
    /// How long it is to take, about.
    pub span: Duration,
    /// A fault of the workers that is to be found.
    pub plant: Option<String>,
    /// Machines are network namespaces where that is possible.
    pub namespaces: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Every promise that was broken.
    pub violations: Vec<Violation>,
    /// Where logs and journals are kept if there are any.
    pub folder: Option<PathBuf>,
}

/// Runs; each line that is worth reading is told to `tell`.
///
/// # Errors
/// It could not be done: a program is missing, a server does not come up. That says nothing about the promises.
pub fn run(wanted: &Wanted, tell: &dyn Fn(&str)) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("shardwright-chaos-").tempdir()?;
    let places = places(folder.path())?;
    let mut stage = Stage::set(wanted, places)?;
    tell(&format!("machines: {}", stage.network.describe()));
    let judged = stage.play(wanted, tell);
    let (mut violations, history, summary) = match judged {
        Ok(judged) => judged,
        Err(error) => {
            let kept = folder.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    };
    drop(stage);
    violations.extend(checker::check(&history));
    for line in summary.lines() {
        tell(line);
    }
    for violation in &violations {
        tell(&format!("VIOLATION: {violation}"));
    }
    let folder = (!violations.is_empty()).then(|| folder.keep());
    Ok(Outcome { violations, folder })
}

/// The programs lie beside this one.
fn places(folder: &Path) -> Result<Places> {
    let here = std::env::current_exe()?;
    let beside = here.parent().context("a program lies in a folder")?;
    let program = |name: &str, package: &str| {
        let path = beside.join(name);
        ensure!(
            path.is_file(),
            "{} is missing: build it with `cargo build -p {package}`",
            path.display()
        );
        Ok(path)
    };
    let cache = beside.join("chaos-cache");
    std::fs::create_dir_all(&cache)?;
    Ok(Places {
        folder: folder.to_owned(),
        cache,
        worker: program("chaos-worker", "shardwright-chaos")?,
        binary: program("shardwright", "shardwright-cli")?,
    })
}

/// Everything that a run consists of. The order is that in which it goes.
struct Stage {
    nodes: Nodes,
    resource: Resource,
    operator: Operator,
    hands: Hands,
    network: Network,
    meeting: Arc<Meeting>,
}

impl Stage {
    fn set(wanted: &Wanted, places: Places) -> Result<Self> {
        let namespaces = wanted.namespaces && wanted.store.has_server() && network::has_namespaces();
        let meeting = Arc::new(Meeting::start(wanted.store, &places.folder, !namespaces)?);
        let network = Network::to(&meeting, namespaces, &places.worker)?;
        let resource = Resource::serve(&places.socket())?;
        let mut nodes = Nodes::new(places.clone(), wanted.plant.clone());
        for host in HOSTS.into_iter().chain(GUESTS) {
            let section = meeting.section(network.port(machine(host), &meeting));
            nodes.seat(host, host, &section, network.prefix(machine(host)))?;
            if HOSTS.contains(&host) {
                nodes.seat(&twin(host), host, &section, network.prefix(machine(host)))?;
            }
        }
        let direct = match meeting.kafka() {
            Some(_) if !namespaces => network.port(0, &meeting),
            _ => meeting.port().unwrap_or(0),
        };
        let config = places.configure("operator", &meeting.section(direct))?;
        Ok(Self {
            nodes,
            resource,
            operator: Operator::new(places.binary, config),
            hands: Hands::new(meeting.clone(), Arc::default())?,
            network,
            meeting,
        })
    }

    /// Everything that happens. Gives what was found wrong on the way, and the history.
    fn play(&mut self, wanted: &Wanted, tell: &dyn Fn(&str)) -> Result<(Vec<Violation>, History, String)> {
        HOSTS.iter().for_each(|host| self.nodes.start(host));
        let watch = Watch::begin(self.operator.clone())?;
        let begun = Instant::now();
        let mut violations = Vec::new();
        if let Err(what) = self.settle(None)? {
            bail!("the cluster never came up: {what}; {:?}", self.nodes.ends);
        }
        tell(&format!("up after {:.1} s", begun.elapsed().as_secs_f64()));
        let (mut disturbances, mut disturbed) = (BTreeMap::new(), Vec::new());
        let start = Instant::now();
        let span = wanted.span.saturating_sub(REST);
        for step in schedule::plan(wanted.seed, wanted.store, u64::try_from(span.as_millis())?) {
            self.idle_until(start + Duration::from_millis(step.at))?;
            if matches!(step.action, Action::ShiftClock(ahead) if ahead != 0) && self.hands.is_new() {
                // The machine is too busy for what the schedule has foreseen.
                tell(&format!("not done, the store is still new: {}", step.action));
                continue;
            }
            tell(&format!("{:>7.3}  {}", start.elapsed().as_secs_f64(), step.action));
            if let Some(kind) = step.action.kind() {
                *disturbances.entry(kind).or_insert(0) += 1;
            }
            let at = now();
            disturbed.extend(whom(step.action).into_iter().map(|host| Disturbed { at, host }));
            self.perform(step.action)?;
        }
        self.idle_until(start + span)?;
        self.hands.rest()?;
        let calm = now();
        let took = match self.settle(Some(&watch))? {
            Ok(since) => Duration::from_micros(since.saturating_sub(calm)),
            Err(what) => {
                violations.push(Violation::NotInCalm(format!("after {PATIENCE:?} {what}")));
                PATIENCE
            }
        };
        let late = if took > settings::CALM {
            ", more than a machine that has time may take"
        } else {
            ""
        };
        tell(&format!(
            "calm: all is owned and worked on after {:.1} s{late}",
            took.as_secs_f64()
        ));
        let sights = watch.end();
        let mut history = self.history()?;
        for sight in sights {
            history.owners.extend(sight.owners);
            history.listed.extend(sight.listed);
        }
        history.writes = self.resource.writes();
        history.disturbed = disturbed;
        history.losses = self.hands.losses();
        violations.append(&mut self.nodes.violations);
        self.nodes
            .ends
            .iter()
            .for_each(|(end, count)| tell(&format!("ended by itself {count} times: {end}")));
        let summary = Summary::of(&history, disturbances).to_string();
        Ok((violations, history, summary))
    }

    fn history(&self) -> Result<History> {
        let mut history = History::default();
        self.nodes.read(&mut history)?;
        Ok(history)
    }

    /// Looks after the processes until `end`.
    fn idle_until(&mut self, end: Instant) -> Result<()> {
        loop {
            self.nodes.supervise()?;
            self.hands.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }

    /// Waits until all processes are as they should be and somebody works on every shard, and gives the moment since
    /// when. In the end the operator must see that, too: all shards owned at one look and at every one that
    /// follows, and no order left. What is missing if that takes too long.
    fn settle(&mut self, watch: Option<&Watch>) -> Result<std::result::Result<u64, String>> {
        let (end, since) = (Instant::now() + PATIENCE, now());
        let mut corrected = since;
        loop {
            self.idle_until(Instant::now() + LOOK)?;
            let (sight, steady) = watch.map_or((None, Some(since)), |watch| watch.since(corrected));
            let (idle, amiss) = (self.idle_shards(steady.unwrap_or(since))?, self.nodes.amiss());
            if let (true, true, Some(since)) = (idle.is_empty(), amiss.is_empty(), steady) {
                return Ok(Ok(since));
            }
            for (host, order) in sight.iter().flat_map(|sight| &sight.ordered) {
                // Its undoing failed while the server was down.
                let _ = self.operator.order(*order, host);
                corrected = now();
            }
            if Instant::now() > end {
                let seen =
                    sight.map(|sight| format!("unowned {:?}, under an order {:?}", sight.unowned, sight.ordered));
                return Ok(Err(format!("nobody works on {idle:?}; {amiss:?}; seen: {seen:?}")));
            }
        }
    }

    /// The shards that nobody has worked on since a moment.
    fn idle_shards(&self, since: u64) -> Result<Vec<String>> {
        let history = self.history()?;
        let worked: std::collections::BTreeSet<_> = history
            .acts
            .iter()
            .filter(|act| act.begin > since)
            .map(|act| act.shard.clone())
            .collect();
        let all = ROLES
            .iter()
            .flat_map(|(role, count)| (0..*count).map(|shard| ((*role).to_owned(), shard)));
        Ok(all
            .filter(|shard| !worked.contains(shard))
            .map(|(role, shard)| format!("{role}/{shard}"))
            .collect())
    }

    fn perform(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Kill(host) => self.nodes.end(host, Signal::KILL),
            Action::Terminate(host) => self.nodes.end(host, Signal::TERM),
            Action::Start(host) => self.nodes.start(host),
            Action::Stop(host) => self.nodes.signal(host, Signal::STOP),
            Action::Continue(host) => self.nodes.signal(host, Signal::CONT),
            Action::StartTwin(host) => self.nodes.start(&twin(host)),
            Action::KillTwin(host) => self.nodes.end(&twin(host), Signal::KILL),
            Action::Order(order, host) => {
                let operator = self.operator.clone();
                // The server may be down: then it was not given.
                std::thread::Builder::new()
                    .name("order".to_owned())
                    .spawn(move || operator.order(order, host))?;
            }
            Action::Cut(machine) => self.network.cut(machine, &self.meeting)?,
            Action::Slow(machine, millis) => self.network.slow(machine, &self.meeting, millis),
            Action::Swallow(machine) => self.network.swallow(machine, &self.meeting),
            Action::Reset(machine) => self.network.reset(machine, &self.meeting)?,
            Action::Heal(machine) => self.network.heal(machine, &self.meeting)?,
            Action::ShiftClock(millis) => {
                self.meeting.shift_clock(millis)?;
                self.network.shift_dates(&self.meeting, millis);
            }
            Action::KillServer
            | Action::WipeServer
            | Action::StartServer
            | Action::StopServer
            | Action::ContinueServer => {
                self.hands.give(action)?;
            }
        }
        Ok(())
    }
}

/// To whose disadvantage it may be while a grace period lasts: hosts, or, without a name, everybody.
fn whom(action: Action) -> Vec<Option<String>> {
    let on = |machine_of: usize| {
        let all = HOSTS
            .iter()
            .chain(&GUESTS)
            .filter(move |host| machine(host) == machine_of);
        all.map(|host| Some((*host).to_owned())).collect()
    };
    match action {
        Action::Kill(host)
        | Action::Terminate(host)
        | Action::Start(host)
        | Action::Stop(host)
        | Action::Continue(host) => vec![Some(host.to_owned())],
        Action::Cut(machine)
        | Action::Slow(machine, _)
        | Action::Swallow(machine)
        | Action::Reset(machine)
        | Action::Heal(machine) => on(machine),
        Action::KillServer | Action::WipeServer | Action::StartServer | Action::StopServer | Action::ContinueServer => {
            vec![None]
        }
        // Whoever is there goes on.
        Action::StartTwin(_) | Action::KillTwin(_) | Action::Order(..) | Action::ShiftClock(_) => Vec::new(),
    }
}

/// The name of the seat for a second process of a host.
fn twin(host: &str) -> String {
    format!("{host}-twin")
}
