//! The pipeline's own programs as child processes of the demo and of the tests: a bank, the
//! ingress, the processors, in a folder of their own.
//!
//! ```text
//! <dir>/topology.toml          a copy of the declaration: relative paths in it stay inside <dir>
//! <dir>/schemas                a link to the project's
//! <dir>/.bankstream/secrets/   what `webhook create` writes and the ingress reads
//! <dir>/state/<instance>/      what the processors of that name keep: directories have one owner
//! <dir>/logs/                  output of every program, one run back with `.1`
//! ```
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use signatures::Secret;

mod bank;
mod service;

pub use bank::{Account, Bank, BankError, Event, Transaction, Truth};
pub use service::{Service, ServiceError};

use crate::config;
use crate::platform::{self, Port};
use crate::process::Launch;

/// The token of the sandbox's bank: it opens a toy, so it is no secret.
const SANDBOX_TOKEN: &str = "up:demo:sandbox";

/// The processors, in the order in which records pass them.
pub const PROCESSORS: [&str; 4] =
    ["transaction-enricher", "balance-reconciler", "coin-trigger", "social-poster"];

/// Why the pipeline's folder or a step of its setting up failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the folder.
    #[error("{action} {path} failed: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A command of this tool failed.
    #[error("`bankstream {command}` failed: {said}")]
    Command {
        /// Its arguments.
        command: String,
        /// What it wrote on standard error, or its exit status.
        said: String,
    },
    /// No port is free.
    #[error(transparent)]
    Port(#[from] platform::Error),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Io { action, path, source }
}

/// Where the programs are and what they talk to.
#[derive(Debug, Clone)]
pub struct Layout {
    bin: PathBuf,
    dir: PathBuf,
    project: PathBuf,
    bootstrap_servers: String,
    registry_url: String,
}

impl Layout {
    /// Prepares `dir` for programs found in `bin`; `topology_file` stands in the project's folder,
    /// beside `schemas/`.
    pub fn new(
        bin: &Path,
        dir: &Path,
        topology_file: &Path,
        bootstrap_servers: &str,
        registry_url: &str,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(io_error("creating", dir))?;
        let dir = dir.canonicalize().map_err(io_error("resolving", dir))?;
        let project = std::path::absolute(topology_file)
            .ok()
            .and_then(|file| file.parent().map(Path::to_path_buf))
            .unwrap_or_default();
        let copy = dir.join("topology.toml");
        std::fs::copy(topology_file, &copy).map_err(io_error("copying", topology_file))?;
        let schemas = dir.join("schemas");
        if schemas.is_symlink() {
            std::fs::remove_file(&schemas).map_err(io_error("removing", &schemas))?;
        }
        std::os::unix::fs::symlink(project.join("schemas"), &schemas)
            .map_err(io_error("linking", &schemas))?;
        Ok(Self {
            bin: bin.to_path_buf(),
            dir,
            project,
            bootstrap_servers: bootstrap_servers.to_owned(),
            registry_url: registry_url.to_owned(),
        })
    }

    /// The folder of this pipeline.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A bank on this machine; `args` are its flags beyond address and token.
    pub fn sandbox(&self, args: &[&str]) -> Result<Service, Error> {
        let mut launch = self.launch("sandbox", "sandbox");
        launch.args.extend(args.iter().map(OsString::from));
        launch.env.push(("SANDBOX_TOKEN".to_owned(), SANDBOX_TOKEN.into()));
        let address = listen(&mut launch, "--listen")?;
        Ok(Service::new(launch, address, "/sandbox/v1/quiesce"))
    }

    /// The ingress; `args` are its flags beyond its address.
    pub fn ingress(&self, args: &[&str]) -> Result<Service, Error> {
        let mut launch = self.launch("ingress", "ingress");
        launch.args.extend(args.iter().map(OsString::from));
        let address = listen(&mut launch, "--listen")?;
        Ok(Service::new(launch, address, "/readyz"))
    }

    /// Any program beside the others that listens at `--listen` and says at `/readyz` when it is ready.
    pub(crate) fn server(
        &self,
        name: &str,
        program: &str,
        args: &[&str],
    ) -> Result<Service, Error> {
        let mut launch = self.launch(name, program);
        launch.args.extend(args.iter().map(OsString::from));
        let address = listen(&mut launch, "--listen")?;
        Ok(Service::new(launch, address, "/readyz"))
    }

    /// One processor that asks `bank`; `instance` tells several of one app apart, `args` are its own
    /// flags, `env` its variables beyond servers, bank and rules (of two with one name the later holds).
    pub fn processor(
        &self,
        app: &str,
        instance: &str,
        bank: &Bank,
        args: &[&str],
        env: &[(String, String)],
    ) -> Result<Service, Error> {
        let mut launch = self.launch(&format!("{app}-{instance}"), app);
        launch.args.extend(args.iter().map(OsString::from));
        launch.env.push(("BANKSTREAM_INSTANCE".to_owned(), instance.into()));
        let state = self.dir.join("state").join(instance);
        launch.env.push(("BANKSTREAM_STATE_DIR".to_owned(), state.into()));
        launch.env.push(("UP_API_URL".to_owned(), bank.api_url().into()));
        launch.env.push(("UP_API_TOKEN".to_owned(), SANDBOX_TOKEN.into()));
        let rules = |app: &str| self.project.join("processors").join(app).join("rules.toml");
        launch.env.push(("COIN_RULES".to_owned(), rules("coin-trigger").into()));
        launch.env.push(("SOCIAL_RULES".to_owned(), rules("social-poster").into()));
        launch.env.extend(env.iter().map(|(name, value)| (name.clone(), value.into())));
        let address = listen(&mut launch, "--http-listen")?;
        Ok(Service::new(launch, address, "/readyz"))
    }

    /// Creates the topics and registers the schemas of the declaration.
    pub async fn apply_topology(&self) -> Result<(), Error> {
        self.bankstream(&["topology", "apply", "--json"], &[]).await.map(drop)
    }

    /// Subscribes `url` to the bank's events; the secret goes into the file that the ingress reads.
    pub async fn create_webhook(&self, bank: &Bank, url: &str) -> Result<(), Error> {
        let secret = self.secret_file();
        if secret.exists() {
            // The secret of a bank that is gone.
            std::fs::remove_file(&secret).map_err(io_error("removing", &secret))?;
        }
        let secret = secret.display().to_string();
        let args = ["webhook", "create", "--url", url, "--secret-file", &secret, "--json"];
        let api_url = bank.api_url();
        let env = [("UP_API_URL", api_url.as_str()), ("UP_API_TOKEN", SANDBOX_TOKEN)];
        self.bankstream(&args, &env).await.map(drop)
    }

    /// The secret of the webhook that was created.
    pub(crate) fn webhook_secret(&self) -> anyhow::Result<Secret> {
        let file = self.secret_file();
        let text = std::fs::read_to_string(&file).map_err(io_error("reading", &file))?;
        Ok(Secret::new(text.trim())?)
    }

    /// The file with that secret, which the ingress reads.
    pub(crate) fn secret_file(&self) -> PathBuf {
        self.dir.join(".bankstream/secrets/up")
    }

    /// Runs `bankstream` with this pipeline's servers and gives what it answered.
    pub async fn bankstream(&self, args: &[&str], env: &[(&str, &str)]) -> Result<String, Error> {
        let mut command = Command::new(self.bin.join("bankstream"));
        for name in config::pipeline_variables() {
            command.env_remove(name);
        }
        command
            .args(args)
            .envs(self.environment())
            .envs(env.iter().copied())
            .current_dir(&self.dir);
        let failed = |said: String| Error::Command { command: args.join(" "), said };
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran.map_err(|error| failed(error.to_string()))?;
        let output = output.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
    }

    fn launch(&self, name: &str, binary: &str) -> Launch {
        Launch {
            name: name.to_owned(),
            program: self.bin.join(binary),
            args: Vec::new(),
            forgotten: config::pipeline_variables(),
            env: self.environment(),
            dir: Some(self.dir.clone()),
            log: self.dir.join("logs").join(format!("{name}.log")),
            ends_with_us: true,
        }
    }

    fn environment(&self) -> Vec<(String, OsString)> {
        [
            ("KAFKA_BOOTSTRAP_SERVERS", OsString::from(&self.bootstrap_servers)),
            ("SCHEMA_REGISTRY_URL", OsString::from(&self.registry_url)),
            ("TOPOLOGY_FILE", self.dir.join("topology.toml").into()),
            ("BANKSTREAM_DIR", self.dir.clone().into()),
            ("BANKSTREAM_PROFILE", "testing".into()),
            ("LOG_FORMAT", "text".into()),
            ("NO_COLOR", "1".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Gives the program an address that it keeps through restarts, so that others find it again.
fn listen(launch: &mut Launch, flag: &str) -> Result<SocketAddr, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, Port::Free.choose("a program")?));
    launch.args.push(flag.into());
    launch.args.push(address.to_string().into());
    Ok(address)
}
