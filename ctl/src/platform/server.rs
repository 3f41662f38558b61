//! One server of the platform: started until it answers, stopped, killed and started again.
use std::path::Path;
use std::time::Duration;

use super::probe::Probe;
use super::state::Running;
use super::{Cause, Error};
use crate::process::{Launch, Process};

/// How long a start may take. On two busy cores a JVM with a recovery before it takes ten seconds; on a
/// disk that is busy writing what a build left, each of Kafka's own writes took 14. One that ends by itself
/// is told at once.
const READY_TIMEOUT: Duration = Duration::from_mins(4);
/// How often a starting server is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long a server may take to write down its data before it is killed.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A server on this machine. It keeps its port and its data between starts.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    port: u16,
    launch: Launch,
    probe: Probe,
    process: Option<Process>,
}

impl Server {
    pub(super) fn new(name: &'static str, port: u16, launch: Launch, probe: Probe) -> Self {
        Self { name, port, launch, probe, process: None }
    }

    /// Starts it and waits until it answers; nothing to do when it runs.
    pub async fn start(&mut self) -> Result<(), Error> {
        if self.is_running()? {
            return Ok(());
        }
        self.process = Some(self.launch.spawn()?);
        match tokio::time::timeout(READY_TIMEOUT, self.until_ready()).await {
            Ok(ready) => ready,
            Err(_) => Err(Error::Silent {
                name: self.name,
                address: self.probe.address().to_owned(),
                seconds: READY_TIMEOUT.as_secs(),
                log: self.launch.log.clone(),
            }),
        }
    }

    /// Stops it in order: data written, port free.
    pub async fn stop(&mut self) -> Result<(), Error> {
        if let Some(mut process) = self.process.take() {
            process.stop(STOP_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Kills it at once, as a crash would.
    pub async fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Fails with the cause when it ended by itself.
    pub fn check(&mut self) -> Result<(), Error> {
        if self.process.is_some() && !self.is_running()? {
            return Err(self.ended());
        }
        Ok(())
    }

    /// The address under which it answers.
    pub fn address(&self) -> String {
        self.probe.address().to_owned()
    }

    /// Its output.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Its process and port, while it runs.
    pub fn running(&self) -> Option<Running> {
        self.process.as_ref().map(|process| Running { pid: process.pid(), port: self.port })
    }

    async fn until_ready(&mut self) -> Result<(), Error> {
        loop {
            if !self.is_running()? {
                self.process = None;
                return Err(self.ended());
            }
            if self.probe.is_ready().await {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn is_running(&mut self) -> Result<bool, Error> {
        let Some(process) = &mut self.process else { return Ok(false) };
        Ok(process.ended()?.is_none())
    }

    fn ended(&self) -> Error {
        let cause = Cause::from_log(&self.launch.log);
        Error::Ended { name: self.name, cause, log: self.launch.log.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(script: &str, dir: &Path) -> Server {
        let launch = Launch {
            name: "kafka".to_owned(),
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            forgotten: Vec::new(),
            env: Vec::new(),
            dir: None,
            log: dir.join("kafka.log"),
            ends_with_us: true,
        };
        Server::new("kafka", 1, launch, Probe::Kafka("127.0.0.1:1".to_owned()))
    }

    #[tokio::test]
    async fn a_server_that_ends_while_starting_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut server =
            server("echo 'java.io.IOException: No space left on device'; exit 1", dir.path());
        let error = server.start().await.unwrap_err().to_string();
        let log = dir.path().join("kafka.log").display().to_string();
        assert_eq!(
            error,
            format!("kafka ended: the disk is full; free some space and start again (log: {log})")
        );
        assert_eq!(server.running(), None);
    }
}
