//! The flags of the snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::span;

/// In place of a file: none.
const OFF: &str = "off";

/// Where event ids are kept over a restart.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "snapshots")]
pub struct SnapshotOptions {
    /// File with the remembered event ids, so that a start need not read the whole window again;
    /// `off` for none.
    #[arg(
        long,
        env = "INGRESS_DEDUPE_SNAPSHOT",
        value_name = "FILE",
        default_value = ".bankstream/ingress/event-ids"
    )]
    dedupe_snapshot: PathBuf,
    /// Pause between two snapshots; one more is written when the ingress stops.
    #[arg(
        long,
        env = "INGRESS_DEDUPE_SNAPSHOT_EVERY",
        value_name = "SPAN",
        default_value = "1m",
        value_parser = span
    )]
    dedupe_snapshot_every: Duration,
}

impl SnapshotOptions {
    /// The file, if there is to be one, and the pause between two snapshots.
    pub(crate) fn wanted(&self) -> Option<(&Path, Duration)> {
        let file = self.dedupe_snapshot.as_path();
        (file != Path::new(OFF)).then_some((file, self.dedupe_snapshot_every))
    }
}
