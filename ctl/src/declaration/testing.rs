//! A small declaration for tests of what is said about one.

use std::path::Path;

use streams::topology_file::TopologyFile;

/// A door, and an app of a decision with both kinds of stores and of an effect.
const TEXT: &str = r#"
[topics."bank.moves.v1"]
partitions = 1
retention = "30d"
key = "account id"
value = "bank.MoveSeen"

[topics."coin.drops.v1"]
partitions = 1
retention = "forever"
key = "drop id"
value = "coin.DropMade"

[apps.door]
writes = ["bank.moves.v1"]

[apps.dropper]
guarantee = "exactly_once"
dead_letters = "dropper-dlq"

[apps.dropper.sub_topologies.decide]
reads = ["bank.moves.v1"]
writes = ["coin.drops.v1"]
stores = ["jar"]
dedupe_stores = { seen = "7d" }
effects = "none"

[apps.dropper.sub_topologies.hook]
reads = ["coin.drops.v1"]
ledger = "effects"
effects = "write"

[profiles.testing]
replication = 1
min_insync_replicas = 1
max_message_bytes = 1_114_112
commit_interval = "100ms"
session_timeout = "10s"
"#;

pub(crate) fn dropper() -> TopologyFile {
    TopologyFile::parse(Path::new("topology.toml"), TEXT).unwrap()
}
