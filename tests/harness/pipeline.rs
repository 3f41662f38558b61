//! One whole pipeline for one test: own servers, own folder, real binaries.
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ctl::demo::{Lost, Options, Stage, Summary};
use ctl::pipeline::Service;
use ctl::platform::{Config, Lifetime, Origin, Port};
use tokio::sync::{Mutex, MutexGuard};

use crate::tool::bankstream;
use crate::wait::{wait_for, wait_until};

/// Two JVMs and seven programs fill a small machine: tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// How long everything may take to come to rest after the bank has: restarts, retries, a rebalance
/// after a killed member (10 s session), comparisons.
const REST_DEADLINE: Duration = Duration::from_mins(2);

/// How long a few events may take, a restart of the ingress and the bank's retries included.
const PROGRESS_DEADLINE: Duration = Duration::from_mins(1);

/// How a test's pipeline differs from the ordinary.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Flags of the bank: its faults.
    pub bank_flags: Vec<String>,
    /// Variables of the processors.
    pub processor_env: Vec<(String, String)>,
}

/// A pipeline that runs. Everything ends when it is dropped, or when the test's process dies.
#[derive(Debug)]
pub struct Pipeline {
    stage: Stage,
    _turn: MutexGuard<'static, ()>,
}

impl Pipeline {
    /// Starts one for the test `name`; its folder under `target/` is emptied first and stays for a look.
    pub async fn start(name: &str, setup: Setup) -> anyhow::Result<Self> {
        let turn = turn().await;
        let paths = Paths::of(name)?;
        let options = Options {
            bin: paths.bin,
            topology_file: paths.project.join("topology.toml"),
            platform: Config {
                lib: paths.jars,
                dir: paths.dir.join("platform"),
                kafka: Origin::Local(Port::Free),
                registry: Origin::Local(Port::Free),
                lifetime: Lifetime::WithUs,
                progress: |_| {},
            },
            dir: paths.dir,
            seed: 7,
            bank_flags: setup.bank_flags,
            quiet_period: "2s".to_owned(),
            processor_env: setup.processor_env,
        };
        let stage = Stage::start(options).await?;
        Ok(Self { stage, _turn: turn })
    }

    /// The program of this app: `ingress` or a processor.
    pub fn program(&mut self, app: &str) -> anyhow::Result<&mut Service> {
        let named = |service: &&mut Service| {
            service.name().strip_suffix("-1").unwrap_or(service.name()) == app
        };
        let stage = &mut self.stage;
        let mut all = stage.processors.iter_mut().chain([&mut stage.ingress]);
        all.find(named).with_context(|| format!("no program {app}"))
    }

    /// `bankstream` beside this pipeline, in the project's folder.
    pub fn bankstream(&self) -> anyhow::Result<Command> {
        let mut command = bankstream(self.platform.bootstrap_servers())?;
        command.args(["--schema-registry-url", self.platform.registry_url()]);
        Ok(command)
    }

    /// Waits until `count` more events are on the raw topic.
    pub async fn progress(&self, count: u64) -> anyhow::Result<()> {
        let goal = self.watch.totals().raw + count;
        wait_until("more events on the raw topic", PROGRESS_DEADLINE, async || {
            Ok(self.watch.totals().raw >= goal)
        })
        .await
    }

    /// Waits until nothing moves any more and compares everything with the bank.
    pub async fn at_rest(&mut self, lost: Option<Lost>) -> anyhow::Result<Summary> {
        let look = wait_for("the pipeline to come to rest", REST_DEADLINE, async || {
            self.stage.check()?;
            let look = self.stage.look().await?;
            Ok(look.is_at_rest().then_some(look))
        });
        let look = match look.await {
            Ok(look) => look,
            Err(error) => {
                let look = self.stage.look().await?;
                let summary = look.summary(&self.stage.bank.events().await?, lost);
                return Err(error.context(format!("at the end: {summary:#?}")));
            }
        };
        Ok(look.summary(&self.stage.bank.events().await?, lost))
    }

    /// Stops it in order; a failing stop is a failing test.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stage.stop().await
    }
}

impl Deref for Pipeline {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Pipeline {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The project's folder.
    pub project: PathBuf,
    /// The folder of this build's programs.
    pub bin: PathBuf,
    /// Where `./run test` has fetched the servers.
    pub jars: PathBuf,
    /// The folder of the test, emptied.
    pub dir: PathBuf,
}

impl Paths {
    /// Those of the test `name`.
    pub fn of(name: &str) -> anyhow::Result<Self> {
        let project = project().to_path_buf();
        let bin = programs()?;
        let bankstream = bin.join("bankstream");
        ensure!(
            bankstream.exists(),
            "{} is missing: build the programs first with `cargo build --workspace --bins`",
            bankstream.display()
        );
        let target = bin.parent().context("finding the target folder")?;
        let dir = target.join("e2e").join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).context("emptying the folder of the test")?;
        }
        let jars = project.join(".bankstream/platform/lib");
        Ok(Self { project, bin, jars, dir })
    }
}

/// The project's folder.
pub(crate) fn project() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The folder of this build's programs. A test program stands in `deps/` below it.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("finding this test program")?;
    let bin = program.ancestors().nth(2).context("finding the programs beside it")?;
    Ok(bin.to_path_buf())
}

/// Waits for this test's turn; it lasts until the answer is dropped.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
