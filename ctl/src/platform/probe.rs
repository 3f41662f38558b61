//! Asks a server whether it is ready to work.
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

/// How long one question may take before it is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Something that can be asked whether it is ready.
#[derive(Debug, Clone)]
pub(super) enum Probe {
    /// A broker, by `host:port`.
    Kafka(String),
    /// A registry, by the base address of its Confluent interface.
    Registry(String),
}

impl Probe {
    pub(super) fn address(&self) -> &str {
        match self {
            Self::Kafka(address) | Self::Registry(address) => address,
        }
    }

    /// Whether it answers a real request now: a broker with itself in the metadata, a registry with its subjects.
    pub(super) async fn is_ready(&self) -> bool {
        match self {
            Self::Kafka(servers) => {
                let servers = servers.clone();
                tokio::task::spawn_blocking(move || kafka_is_ready(&servers)).await.unwrap_or(false)
            }
            Self::Registry(url) => registry_is_ready(url).await,
        }
    }
}

fn kafka_is_ready(servers: &str) -> bool {
    // Before the port is open a client only spends its timeout on its own back-off.
    let is_local = servers.starts_with("127.0.0.1:");
    if is_local && std::net::TcpStream::connect(servers).is_err() {
        return false;
    }
    let consumer: Result<BaseConsumer, _> =
        ClientConfig::new().set("bootstrap.servers", servers).create();
    consumer.is_ok_and(|consumer| {
        consumer
            .fetch_metadata(None, ANSWER_TIMEOUT)
            .is_ok_and(|metadata| !metadata.brokers().is_empty())
    })
}

async fn registry_is_ready(url: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build();
    let Ok(client) = client else { return false };
    let answer = client.get(format!("{url}/subjects")).send().await;
    answer.is_ok_and(|response| response.status().is_success())
}
