//! A person who watches a topic meanwhile.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Pipeline, wait_until};

/// `bankstream tail --follow`, and what it has shown.
#[derive(Debug)]
pub(super) struct Follower {
    child: Child,
    shown: PathBuf,
    _dir: tempfile::TempDir,
}

impl Follower {
    /// Follows `topic` from its end.
    pub(super) fn start(pipeline: &Pipeline, topic: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let shown = dir.path().join("shown");
        let program = std::env::current_exe()?;
        let bin = program.ancestors().nth(2).context("finding the programs")?;
        let child = Command::new(bin.join("bankstream"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .args(["--bootstrap-servers", pipeline.platform.bootstrap_servers()])
            .args(["--schema-registry-url", pipeline.platform.registry_url()])
            .args(["tail", topic, "--follow"])
            .stdin(Stdio::null())
            .stdout(File::create(&shown)?)
            .spawn()?;
        Ok(Self { child, shown, _dir: dir })
    }

    /// It shows records that it had not shown before.
    pub(super) async fn shows_more(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let Self { child, shown, .. } = self;
        let before = fs::metadata(&shown)?.len();
        wait_until("more records in `tail --follow`", deadline, async || {
            let ended = child.try_wait()?;
            ensure!(ended.is_none(), "`tail --follow` ended with {ended:?}");
            Ok(fs::metadata(&shown)?.len() > before)
        })
        .await?;
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may be gone already, which the test has said by then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
