//! Two topics with as many partitions, one group of three members: does partition i of both arrive at
//! one member? Prints, per assignment strategy, how many partitions are split between members.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

const PARTITIONS: i32 = 8;
/// Long enough for a third member to be heard under KIP-848, whose heartbeat is 5 s.
const SETTLE: Duration = Duration::from_secs(25);

#[derive(Parser)]
struct Settings {
    #[arg(long, env = "BOOTSTRAP")]
    bootstrap: String,
}

fn main() -> Result<()> {
    let settings = Settings::parse();
    let run = std::process::id();
    let topics = [format!("copart-a-{run}"), format!("copart-b-{run}")];
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &settings.bootstrap).create()?;
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(admin.create_topics(&wanted, &AdminOptions::new()))
        .context("creating topics")?;
    for (name, options) in [
        ("range", vec![("partition.assignment.strategy", "range")]),
        ("cooperative-sticky", vec![("partition.assignment.strategy", "cooperative-sticky")]),
        ("roundrobin", vec![("partition.assignment.strategy", "roundrobin")]),
        (
            "kip-848 uniform",
            vec![("group.protocol", "consumer"), ("group.remote.assignor", "uniform")],
        ),
        ("kip-848 range", vec![("group.protocol", "consumer"), ("group.remote.assignor", "range")]),
    ] {
        let members: Vec<BaseConsumer> = (0..3)
            .map(|_| {
                let mut config = ClientConfig::new();
                config.set("bootstrap.servers", &settings.bootstrap);
                config.set("group.id", format!("copart-{run}-{name}"));
                for (key, value) in &options {
                    config.set(*key, *value);
                }
                let consumer: BaseConsumer = config.create()?;
                consumer.subscribe(&[topics[0].as_str(), topics[1].as_str()])?;
                Ok(consumer)
            })
            .collect::<Result<_>>()?;
        let until = Instant::now() + SETTLE;
        while Instant::now() < until {
            for member in &members {
                drop(member.poll(Duration::from_millis(20)));
            }
        }
        let mut owners: HashMap<i32, Vec<usize>> = HashMap::new();
        let mut counts = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let assignment = member.assignment()?;
            counts.push(assignment.count());
            for element in assignment.elements() {
                owners.entry(element.partition()).or_default().push(index);
            }
        }
        let split = owners.values().filter(|at| at.len() == 2 && at[0] != at[1]).count();
        println!(
            "{name:<20} per member {counts:?}, {split} of {PARTITIONS} split, {} placed",
            owners.len()
        );
    }
    runtime.block_on(
        admin.delete_topics(&[topics[0].as_str(), topics[1].as_str()], &AdminOptions::new()),
    )?;
    Ok(())
}
