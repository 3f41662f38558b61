//! The least that takes a webhook and puts it on Kafka: warp, one HMAC, one field of the body, one
//! record, 200 after all replicas have it. No limits, no memory of events, no schema, no metrics.
//! `bankstream bench ingress` measures the ingress against it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use hmac::{Hmac, Mac as _};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde::Deserialize;
use sha2::Sha256;
use warp::Filter as _;
use warp::http::StatusCode;

/// Largest body, as small as its framework makes it easy.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// How long a full queue is waited for.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
struct Args {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// File with the secret of Up's webhooks.
    #[arg(long)]
    secret_file: PathBuf,
    /// The topic that bodies go to.
    #[arg(long)]
    topic: String,
    /// Kafka's brokers.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS")]
    bootstrap_servers: String,
}

struct Loop {
    key: Hmac<Sha256>,
    producer: FutureProducer,
    topic: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    id: &'a str,
}

impl Loop {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let secret = std::fs::read_to_string(&args.secret_file).context("reading the secret")?;
        let key = Hmac::new_from_slice(secret.trim().as_bytes()).context("making the key")?;
        // Those of the ingress, which are the best for both.
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &args.bootstrap_servers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("max.in.flight.requests.per.connection", "1")
            .create()
            .context("creating the producer")?;
        Ok(Self { key, producer, topic: args.topic.clone() })
    }

    fn is_genuine(&self, signature: &str, body: &[u8]) -> bool {
        let mut given = [0; 32];
        if hex::decode_to_slice(signature, &mut given).is_err() {
            return false;
        }
        self.key.clone().chain_update(body).verify_slice(&given).is_ok()
    }

    async fn take(self: Arc<Self>, signature: String, body: Bytes) -> StatusCode {
        if !self.is_genuine(&signature, &body) {
            return StatusCode::UNAUTHORIZED;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(&body) else {
            return StatusCode::BAD_REQUEST;
        };
        let record = FutureRecord::to(&self.topic).key(event.data.id).payload(&body[..]);
        match self.producer.send(record, QUEUE_TIMEOUT).await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let state = Arc::new(Loop::new(&args)?);
    let webhooks = warp::post()
        .and(warp::path!("webhooks" / "up"))
        .and(warp::any().map(move || Arc::clone(&state)))
        .and(warp::header::<String>("x-up-authenticity-signature"))
        .and(warp::body::content_length_limit(BODY_BYTES_MAX))
        .and(warp::body::bytes())
        .then(Loop::take);
    let ready = warp::get().and(warp::path!("readyz")).map(|| StatusCode::OK);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(warp::serve(webhooks.or(ready)).run(args.listen));
    Ok(())
}
