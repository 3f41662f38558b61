//! Child processes that do not outlive their owner: servers of the local platform, and the
//! pipeline's own binaries in the demo and in tests.
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// How often the end of a process is looked for; short beside anything a person would notice.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Ends the group named by its argument when its standard input closes, which the kernel does for
/// every death of the owner, `kill -9` included. A server that ignores the request is killed.
const GUARD: &str =
    "read -r _; kill -s TERM -- \"-$1\" 2>/dev/null; sleep 15; kill -s KILL -- \"-$1\" 2>/dev/null";

/// Why a process could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there or may not be run.
    #[error("cannot start {name} ({program}): {source}")]
    Start {
        /// What the process is called in messages.
        name: String,
        /// The program that was to run.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Its log file cannot be written.
    #[error("cannot write the log of {name}, {path}: {source}", path = path.display())]
    Log {
        /// What the process is called in messages.
        name: String,
        /// The log file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system refused to tell about, or to signal, the process.
    #[error("cannot reach the process of {name}: {source}")]
    Reach {
        /// What the process is called in messages.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// A program to run: arguments, environment, and where its output goes.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What the process is called in messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of our environment that it does not get.
    pub forgotten: Vec<OsString>,
    /// Variables it gets beside the rest of our environment.
    pub env: Vec<(String, OsString)>,
    /// Its working folder; none means ours.
    pub dir: Option<PathBuf>,
    /// The file that gets its output; the one of the run before is kept with `.1` at its end.
    pub log: PathBuf,
    /// Whether it ends when we end, however that happens.
    pub ends_with_us: bool,
}

impl Launch {
    /// Starts the program in a process group of its own, so that Ctrl-C on the terminal reaches us
    /// and we end it in order.
    pub fn spawn(&self) -> Result<Process, Error> {
        let (stdout, stderr) = self.open_log()?;
        let mut command = Command::new(&self.program);
        for name in &self.forgotten {
            command.env_remove(name);
        }
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child =
            command.spawn().map_err(|source| self.start_error(&self.program, source))?;
        let guard = if self.ends_with_us {
            match guard(child.id()) {
                Ok(guard) => Some(guard),
                Err(source) => {
                    // Unguarded it might stay for ever, so it may not stay at all.
                    drop(child.kill());
                    drop(child.wait());
                    return Err(self.start_error(Path::new("sh"), source));
                }
            }
        } else {
            None
        };
        Ok(Process { name: self.name.clone(), child, guard, log: self.log.clone() })
    }

    fn start_error(&self, program: &Path, source: std::io::Error) -> Error {
        Error::Start { name: self.name.clone(), program: program.display().to_string(), source }
    }

    fn open_log(&self) -> Result<(Stdio, Stdio), Error> {
        let failed =
            |source| Error::Log { name: self.name.clone(), path: self.log.clone(), source };
        if let Some(parent) = self.log.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        if self.log.exists() {
            let mut before = self.log.clone().into_os_string();
            before.push(".1");
            std::fs::rename(&self.log, before).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        Ok((file.into(), copy.into()))
    }
}

/// A started program. Dropping one that `ends_with_us` asks it to end, without waiting.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Option<Child>,
    log: PathBuf,
}

impl Process {
    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is its group's id too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended; none while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        let status = self.child.try_wait().map_err(|source| self.reach(source))?;
        if status.is_some() {
            self.dismiss_guard();
        }
        Ok(status)
    }

    /// Asks it to end (SIGTERM), and kills it when it is still there after `grace`.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        if let Ok(status) = tokio::time::timeout(grace, self.wait()).await {
            return status;
        }
        self.kill().await
    }

    /// Kills it at once (SIGKILL), as a crash would.
    pub async fn kill(&mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::KILL)?;
        self.wait().await
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        signal_group(self.pid(), signal).map_err(|source| self.reach(source))
    }

    fn reach(&self, source: std::io::Error) -> Error {
        Error::Reach { name: self.name.clone(), source }
    }

    /// Ends the guard before its standard input closes: the number it watches may soon be another's.
    fn dismiss_guard(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // Both fail only when it has ended already.
            drop(guard.kill());
            drop(guard.wait());
        }
    }
}

/// Sends `signal` to the process group `group`; a group that has ended counts as done.
pub fn signal_group(group: u32, signal: Signal) -> std::io::Result<()> {
    let pid = i32::try_from(group).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other(format!("{group} is no process id")))?;
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn guard(group: u32) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "guard", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn shell(script: &str, dir: &Path) -> Launch {
        Launch {
            name: "a shell".to_owned(),
            program: PathBuf::from("sh"),
            args: vec!["-c".into(), script.into()],
            forgotten: Vec::new(),
            env: vec![("GREETING".to_owned(), "hello".into())],
            dir: None,
            log: dir.join("logs/shell.log"),
            ends_with_us: true,
        }
    }

    async fn until(mut condition: impl FnMut() -> bool) {
        let reached = async {
            while !condition() {
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
    }

    fn is_alive(pid: u32) -> bool {
        // A zombie has ended; nobody has asked for its status yet.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn output_goes_to_the_log_and_the_log_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let launch = shell("echo $GREETING; echo oops >&2", dir.path());
        assert!(launch.spawn().unwrap().wait().await.unwrap().success());
        assert_eq!(std::fs::read_to_string(&launch.log).unwrap(), "hello\noops\n");
        assert!(launch.spawn().unwrap().wait().await.unwrap().success());
        assert!(dir.path().join("logs/shell.log.1").exists());
    }

    #[tokio::test]
    async fn a_process_is_asked_to_end_before_it_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let launch = shell(
            "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done",
            dir.path(),
        );
        let mut polite = launch.spawn().unwrap();
        until(|| std::fs::read_to_string(&launch.log).unwrap().contains("up")).await;
        assert_eq!(polite.stop(Duration::from_secs(20)).await.unwrap().code(), Some(3));
        assert!(std::fs::read_to_string(&launch.log).unwrap().contains("bye"));
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let launch = shell("trap '' TERM; echo up; while :; do sleep 0.05; done", dir.path());
        let mut deaf = launch.spawn().unwrap();
        until(|| std::fs::read_to_string(&launch.log).unwrap().contains("up")).await;
        let status = deaf.stop(Duration::from_millis(100)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_dropped_process_ends_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let launch = shell("sleep 60 & echo $!; wait", dir.path());
        let process = launch.spawn().unwrap();
        let grandchild =
            || std::fs::read_to_string(&launch.log).unwrap().trim().parse::<u32>().ok();
        until(|| grandchild().is_some()).await;
        let pids = [process.pid(), grandchild().unwrap()];
        assert!(pids.into_iter().all(is_alive));
        drop(process);
        until(|| !pids.into_iter().any(is_alive)).await;
    }

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let launch = Launch { program: "/nowhere/java".into(), ..shell("", dir.path()) };
        let error = launch.spawn().unwrap_err().to_string();
        assert!(error.starts_with("cannot start a shell (/nowhere/java): "), "{error}");
    }
}
