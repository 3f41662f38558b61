//! A real Kafka and a real Confluent-compatible registry on this machine, without containers: Java
//! programs, fetched by Maven, run as child processes with their data under one folder.
//!
//! ```text
//! <dir>/state.json        what runs: process ids and ports
//! <dir>/kafka/            the broker's data       <dir>/registry/   the schemas
//! <dir>/logs/             output of both, one run back with `.1`
//! ```
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

mod diagnosis;
mod disk;
mod error;
mod jars;
mod java;
mod kafka;
mod port;
mod probe;
mod registry;
mod server;
mod state;

pub use diagnosis::Cause;
pub use error::Error;
pub use port::Port;
pub use server::Server;
pub use state::{Running, State};

use jars::Jars;
use probe::Probe;

use crate::process::{Launch, signal_group};

/// Told one line for every long step.
pub type Progress = fn(&str);

/// Where a server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is there already, under this address: nothing is started or stopped.
    External(String),
    /// It is started here, on this port.
    Local(Port),
}

impl Origin {
    /// The server at `address`, else a local one on `port`.
    pub fn new(address: Option<&str>, port: Port) -> Self {
        address.map_or(Self::Local(port), |address| {
            Self::External(address.trim_end_matches('/').to_owned())
        })
    }
}

/// How long local servers stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// They end with this process, however it ends.
    WithUs,
    /// They stay until `Platform::stop_all`.
    UntilStopped,
}

/// What platform to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of data, logs and state; made when missing.
    pub dir: PathBuf,
    /// Folder of the servers' jars, shared by all platforms; filled when empty.
    pub lib: PathBuf,
    /// The broker.
    pub kafka: Origin,
    /// The registry.
    pub registry: Origin,
    /// How long both stay.
    pub lifetime: Lifetime,
    /// Told about long steps.
    pub progress: Progress,
}

/// A running Kafka and a running registry.
#[derive(Debug)]
pub struct Platform {
    dir: PathBuf,
    lifetime: Lifetime,
    kafka: Option<Server>,
    registry: Option<Server>,
    bootstrap_servers: String,
    registry_url: String,
}

impl Platform {
    /// Starts what is not there already and waits until both answer, seconds in all.
    ///
    /// Local servers of the same folder that run already are used as they are when they were started
    /// to stay, or by a process that is still there; what a dead process left is stopped first.
    pub async fn start(config: Config) -> Result<Self, Error> {
        if let (Origin::External(_), Origin::External(_)) = (&config.kafka, &config.registry) {
            return Self::external(&config).await;
        }
        std::fs::create_dir_all(config.dir.join("registry"))
            .map_err(|source| Error::io("creating", &config.dir, source))?;
        let dir = config
            .dir
            .canonicalize()
            .map_err(|source| Error::io("resolving", &config.dir, source))?;
        let config = Config { dir, ..config };
        if let Some(platform) = Self::attach(&config).await? {
            return Ok(platform);
        }
        disk::check(&config.dir)?;
        java::check()?;
        let jars = fetch_jars(&config.lib, config.progress).await?;
        let mut platform = Self::prepare(&config, &jars).await?;
        platform.start_servers(config.progress).await?;
        platform.write_state()?;
        Ok(platform)
    }

    /// `host:port` of Kafka.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Base address of the registry's Confluent interface, without a trailing slash.
    pub fn registry_url(&self) -> &str {
        &self.registry_url
    }

    /// The broker, when it was started here.
    pub fn kafka(&mut self) -> Option<&mut Server> {
        self.kafka.as_mut()
    }

    /// The registry, when it was started here.
    pub fn registry(&mut self) -> Option<&mut Server> {
        self.registry.as_mut()
    }

    /// Fails with the cause when a server that was started here ended by itself.
    pub fn check(&mut self) -> Result<(), Error> {
        self.kafka.iter_mut().chain(&mut self.registry).try_for_each(Server::check)
    }

    /// Stops the servers that were started here, Kafka and registry at once.
    pub async fn stop(mut self) -> Result<(), Error> {
        let (kafka, registry) =
            tokio::join!(stop(self.kafka.as_mut()), stop(self.registry.as_mut()));
        self.write_state()?;
        kafka.and(registry)
    }

    /// Stops the local servers of `dir`, whoever started them; false when none runs.
    pub async fn stop_all(dir: &Path) -> Result<bool, Error> {
        let Some(state) = State::running(dir) else { return Ok(false) };
        let servers = || state.kafka.iter().chain(&state.registry);
        let signal = |signal: Signal| {
            servers().try_for_each(|server| {
                signal_group(server.pid, signal)
                    .map_err(|source| Error::io("stopping the servers of", dir, source))
            })
        };
        signal(Signal::TERM)?;
        let gone = async {
            while State::running(dir).is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(server::STOP_TIMEOUT, gone).await.is_err() {
            signal(Signal::KILL)?;
        }
        Ok(true)
    }

    async fn external(config: &Config) -> Result<Self, Error> {
        let platform = Self::of(config, None, None);
        let kafka = Probe::Kafka(platform.bootstrap_servers.clone());
        let registry = Probe::Registry(platform.registry_url.clone());
        require(kafka::NAME, &kafka, "KAFKA_BOOTSTRAP_SERVERS").await?;
        require(registry::NAME, &registry, "SCHEMA_REGISTRY_URL").await?;
        Ok(platform)
    }

    /// The platform of the same folder that runs already, if its owner lives.
    async fn attach(config: &Config) -> Result<Option<Self>, Error> {
        let Some(state) = State::running(&config.dir) else { return Ok(None) };
        let is_owned =
            state.owner.is_none_or(|owner| Path::new(&format!("/proc/{owner}")).exists());
        let address = |origin: &Origin, running: Option<String>| match origin {
            Origin::External(address) => Some(address.clone()),
            Origin::Local(_) => running.filter(|_| is_owned),
        };
        let kafka = address(&config.kafka, state.bootstrap_servers());
        let registry = address(&config.registry, state.registry_url());
        if let (Some(kafka), Some(registry)) = (kafka, registry) {
            let (kafka, registry) = (Origin::External(kafka), Origin::External(registry));
            let running = Config { kafka, registry, ..config.clone() };
            return Ok(Some(Self::of(&running, None, None)));
        }
        (config.progress)("stopping what an earlier run left behind");
        Self::stop_all(&config.dir).await?;
        Ok(None)
    }

    async fn prepare(config: &Config, jars: &Jars) -> Result<Self, Error> {
        let launch = |name: &'static str, args: Vec<OsString>| Launch {
            name: name.to_owned(),
            program: PathBuf::from("java"),
            args,
            forgotten: Vec::new(),
            env: Vec::new(),
            dir: None,
            log: config.dir.join("logs").join(format!("{name}.log")),
            ends_with_us: config.lifetime == Lifetime::WithUs,
        };
        let kafka = match &config.kafka {
            Origin::External(_) => None,
            Origin::Local(port) => {
                let port = port.choose(kafka::NAME)?;
                Some(kafka::prepare(&config.dir, jars, port, launch, config.progress).await?)
            }
        };
        let registry = match &config.registry {
            Origin::External(_) => None,
            Origin::Local(port) => {
                Some(registry::prepare(&config.dir, jars, port.choose(registry::NAME)?, launch)?)
            }
        };
        Ok(Self::of(config, kafka, registry))
    }

    fn of(config: &Config, kafka: Option<Server>, registry: Option<Server>) -> Self {
        let address = |origin: &Origin, server: &Option<Server>| match (origin, server) {
            (Origin::External(address), _) => address.clone(),
            (Origin::Local(_), server) => server.as_ref().map(Server::address).unwrap_or_default(),
        };
        Self {
            dir: config.dir.clone(),
            lifetime: config.lifetime,
            bootstrap_servers: address(&config.kafka, &kafka),
            registry_url: address(&config.registry, &registry),
            kafka,
            registry,
        }
    }

    async fn start_servers(&mut self, progress: Progress) -> Result<(), Error> {
        progress("starting Kafka and the schema registry");
        let started = tokio::try_join!(start(self.kafka.as_mut()), start(self.registry.as_mut()));
        if let Err(error) = started {
            // One that did start must not stay behind; the reason above is the one worth telling.
            drop(stop(self.kafka.as_mut()).await);
            drop(stop(self.registry.as_mut()).await);
            return Err(error);
        }
        Ok(())
    }

    fn write_state(&self) -> Result<(), Error> {
        let state = State {
            owner: (self.lifetime == Lifetime::WithUs).then(std::process::id),
            kafka: self.kafka.as_ref().and_then(Server::running),
            registry: self.registry.as_ref().and_then(Server::running),
        };
        state
            .write(&self.dir)
            .map_err(|source| Error::io("writing the state of", &self.dir, source))
    }
}

/// Fetches the servers' jars into `lib` ahead of a start, so that the start takes seconds.
pub async fn fetch(lib: &Path, progress: Progress) -> Result<(), Error> {
    java::check()?;
    fetch_jars(lib, progress).await.map(drop)
}

async fn fetch_jars(lib: &Path, progress: Progress) -> Result<Jars, Error> {
    let dir = lib.to_path_buf();
    let fetched = tokio::task::spawn_blocking(move || Jars::ensure(&dir, progress)).await;
    fetched.map_err(|source| Error::io("fetching jars into", lib, source.into()))?
}

async fn start(server: Option<&mut Server>) -> Result<(), Error> {
    match server {
        Some(server) => server.start().await,
        None => Ok(()),
    }
}

async fn stop(server: Option<&mut Server>) -> Result<(), Error> {
    match server {
        Some(server) => server.stop().await,
        None => Ok(()),
    }
}

async fn require(name: &'static str, probe: &Probe, variable: &'static str) -> Result<(), Error> {
    if probe.is_ready().await {
        return Ok(());
    }
    Err(Error::Unreachable { name, address: probe.address().to_owned(), variable })
}

/// What both servers get: a small heap and a quick start (no second compiler: it pays off after
/// minutes of load, and costs the other processes their cores before).
fn jvm_args(dir: &Path, heap_mb: u32) -> Vec<OsString> {
    let mut owner = OsString::from(state::MARKER);
    owner.push(dir);
    vec![
        owner,
        format!("-Xmx{heap_mb}m").into(),
        "-XX:+UseSerialGC".into(),
        "-XX:TieredStopAtLevel=1".into(),
        "-Xshare:auto".into(),
        "-XX:+ExitOnOutOfMemoryError".into(),
    ]
}
