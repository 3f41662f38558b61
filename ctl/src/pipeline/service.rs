//! One program of the pipeline: started until it is ready, ended politely or not, started again.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::platform::Cause;
use crate::process::{self, Launch, Process};

/// How long a start may take: a restore and a first rebalance after a crash, on busy cores.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// How long it may finish what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// How often a starting program is asked, and how long one answer may take.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a program of the pipeline does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It ended by itself.
    #[error("{name} ended ({status}): {cause} (log: {log})", log = log.display())]
    Ended {
        /// The program.
        name: String,
        /// How.
        status: ExitStatus,
        /// What its log says.
        cause: Cause,
        /// The log file.
        log: PathBuf,
    },
    /// It runs but is not ready.
    #[error("{name} was not ready within {seconds} s ({url}): see {log}", log = log.display())]
    Silent {
        /// The program.
        name: String,
        /// Where it was asked.
        url: String,
        /// How long it was waited for.
        seconds: u64,
        /// The log file.
        log: PathBuf,
    },
    /// Its process could not be started or ended.
    #[error(transparent)]
    Process(#[from] process::Error),
}

/// A program that answers over HTTP.
#[derive(Debug)]
pub struct Service {
    launch: Launch,
    address: SocketAddr,
    ready_path: &'static str,
    process: Option<Process>,
}

impl Service {
    pub(super) fn new(launch: Launch, address: SocketAddr, ready_path: &'static str) -> Self {
        Self { launch, address, ready_path, process: None }
    }

    /// What it is called: app and instance.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// The same address through all restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Its output.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// `http://address` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Starts it and waits until it says that it is ready.
    pub async fn start(&mut self) -> Result<(), ServiceError> {
        self.spawn()?;
        self.until_ready().await
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) -> Result<(), ServiceError> {
        self.process = Some(self.launch.spawn()?);
        Ok(())
    }

    /// Waits until it says that it is ready; fails with the cause when it ends before.
    pub async fn until_ready(&mut self) -> Result<(), ServiceError> {
        let url = self.url(self.ready_path);
        let ready = async {
            loop {
                self.check()?;
                if is_ready(&url).await {
                    return Ok(());
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        match tokio::time::timeout(READY_TIMEOUT, ready).await {
            Ok(ready) => ready,
            Err(_) => Err(ServiceError::Silent {
                name: self.launch.name.clone(),
                url: url.clone(),
                seconds: READY_TIMEOUT.as_secs(),
                log: self.launch.log.clone(),
            }),
        }
    }

    /// Fails with the cause when it ended by itself.
    pub fn check(&mut self) -> Result<(), ServiceError> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some(status) = process.ended()? else { return Ok(()) };
        let log = self.launch.log.clone();
        let cause = Cause::from_log(&log);
        Err(ServiceError::Ended { name: self.launch.name.clone(), status, cause, log })
    }

    /// Asks it to end and waits until it has; none when it was not running.
    pub async fn terminate(&mut self) -> Result<Option<ExitStatus>, ServiceError> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        Ok(Some(process.stop(STOP_TIMEOUT).await?))
    }

    /// Kills it at once, as a crash would.
    pub async fn kill(&mut self) -> Result<(), ServiceError> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }
}

async fn is_ready(url: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build();
    let Ok(client) = client else { return false };
    client.get(url).send().await.is_ok_and(|response| response.status().is_success())
}
