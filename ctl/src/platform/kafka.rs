//! The local broker: one Apache Kafka in `KRaft` mode.
use std::ffi::OsString;
use std::path::Path;

use super::jars::Jars;
use super::port::Port;
use super::probe::Probe;
use super::server::Server;
use super::state::kafka_address;
use super::{Error, Progress, jvm_args};
use crate::process::Launch;

pub(super) const NAME: &str = "kafka";

/// A broker to be: formats its data folder when it is new.
pub(super) async fn prepare(
    dir: &Path,
    jars: &Jars,
    port: u16,
    launch: impl Fn(&'static str, Vec<OsString>) -> Launch,
    progress: Progress,
) -> Result<Server, Error> {
    let properties = dir.join("kafka.properties");
    let data = dir.join("kafka");
    // Only the broker itself talks to its controller, so any port does, and it may change.
    let controller = Port::Free.choose(NAME)?;
    std::fs::write(&properties, configuration(&data, port, controller))
        .map_err(|source| Error::io("writing", &properties, source))?;
    let java = |main: &[&str]| {
        let mut args = jvm_args(dir, HEAP_MB);
        args.push("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".into());
        args.push("-Dorg.slf4j.simpleLogger.showDateTime=true".into());
        args.push("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".into());
        args.push("-cp".into());
        args.push(jars.kafka_class_path().into());
        args.extend(main.iter().map(OsString::from));
        args
    };
    if !data.join("meta.properties").exists() {
        progress("formatting a new data folder for Kafka");
        let properties = properties.to_string_lossy();
        let args = ["kafka.tools.StorageTool", "format", "-t", &cluster_id(), "-c", &properties];
        format(launch("kafka-format", java(&args))).await?;
    }
    let args = java(&["kafka.Kafka", &properties.to_string_lossy()]);
    let address = kafka_address(port);
    Ok(Server::new(NAME, port, launch(NAME, args), Probe::Kafka(address)))
}

/// Enough for some hundred partitions and the demo's rates, with the smaller cleaner buffer below.
const HEAP_MB: u32 = 400;

async fn format(launch: Launch) -> Result<(), Error> {
    let status = launch.spawn()?.wait().await?;
    if status.success() {
        return Ok(());
    }
    let cause = super::Cause::from_log(&launch.log);
    Err(Error::Ended { name: "the formatting of Kafka's data folder", cause, log: launch.log })
}

/// One node is broker and controller; everything that would wait for a second node is set to one.
fn configuration(data: &Path, port: u16, controller: u16) -> String {
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=8\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=8\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.consumer.min.session.timeout.ms=6000\n\
         group.consumer.session.timeout.ms=10000\n\
         group.consumer.min.heartbeat.interval.ms=1000\n\
         group.consumer.heartbeat.interval.ms=2000\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         log.cleaner.threads=1\n\
         log.cleaner.dedupe.buffer.size=16777216\n"
    )
}

/// A new cluster's id: 16 random bytes, URL-safe base64 without padding, as Kafka's `Uuid` prints.
fn cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 21 digits of six bits and one of two, written in the high bits. A leading dash would
    // read as an option, so the first digit is a letter.
    let digit = |below: usize| char::from(ALPHABET[fastrand::usize(..below)]);
    let mut id = String::from(digit(26));
    id.extend((0..20).map(|_| digit(64)));
    id.push(['A', 'Q', 'g', 'w'][fastrand::usize(..4)]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_one_kafka_can_read() {
        for _ in 0..200 {
            let id = cluster_id();
            assert_eq!(id.len(), 22, "{id}");
            assert!(id.starts_with(|c: char| c.is_ascii_uppercase()), "{id}");
            assert!(id.ends_with(['A', 'Q', 'g', 'w']), "{id}");
        }
    }

    #[test]
    fn topics_are_never_made_by_themselves() {
        let text = configuration(Path::new("/d/kafka"), 9092, 21_000);
        assert!(text.contains("\nauto.create.topics.enable=false\n"));
        assert!(text.contains("\nlog.dirs=/d/kafka\n"));
        assert!(text.contains("advertised.listeners=PLAINTEXT://127.0.0.1:9092\n"));
    }
}
