//! A person who watches a topic meanwhile.
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::ensure;
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
        let child = pipeline
            .bankstream()?
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
        .await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may be gone already, which the test has said by then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
