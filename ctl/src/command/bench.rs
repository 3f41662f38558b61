//! `bankstream bench`: load through the real pipeline on this machine, or at one part of it.

mod ingress;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::json;
use signatures::{Scheme, Secret};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::demo::options;
use crate::cli::Shared;
use crate::demo::Stage;
use crate::output;

mod streams;

/// Arguments of `bankstream bench`.
///
/// Everything shares this machine: senders, bank, ingress, Kafka, registry and processors. The numbers
/// compare one change with another; they are no promise about other machines.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// How long signed webhooks are sent at full speed, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Requests at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    senders: u32,
    /// Steps a second of the bank's day that follows, for ten seconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Use the Kafka and the registry that are named by flag or environment: it writes its load there.
    #[arg(long, global = true)]
    external: bool,
}

/// A part that is measured by itself.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// What the ingress costs, beside the least that could take its place.
    Ingress(ingress::Args),
    /// The runtime beside a ledger written by hand, and beside other programs.
    Streams(streams::Args),
}

/// Length of the bank's day.
const DAY_SECONDS: u64 = 10;
/// How long the pipeline may take to come to rest after it.
const REST_TIMEOUT: Duration = Duration::from_mins(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    /// Webhooks answered 200, each after Kafka had acknowledged its record.
    webhooks: usize,
    webhooks_per_second: u64,
    /// Time from request to answer, microseconds.
    ack_us_p50: u64,
    ack_us_p99: u64,
    ack_us_max: u64,
    /// Events of the bank's day.
    events: usize,
    /// From the day's end until every record was processed, every balance judged, every post out,
    /// milliseconds; the reconciler's quiet period is part of it.
    rest_ms: u64,
    /// Most records that were waiting at once, all apps together, once a second.
    lag_max: i64,
}

/// Runs `bankstream bench`.
pub async fn run(mut args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    shared.ensure_local_or(args.external, "writes its load")?;
    match args.part.take() {
        Some(Part::Ingress(args)) => return ingress::run(&args, shared).await,
        Some(Part::Streams(args)) => return streams::run(args, shared).await,
        None => {}
    }
    let stage = Stage::start(options(shared, "bench", fastrand::u64(..))?).await?;
    let measured = measure(&stage, &args).await;
    output::progress("stopping");
    stage.stop().await?;
    let measured = measured?;
    if shared.json {
        output::json(&measured)?;
    } else {
        output::line(&serde_json::to_string_pretty(&measured)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(stage: &Stage, args: &Args) -> anyhow::Result<Measured> {
    output::progress(&format!(
        "sending webhooks for {} s, {} at a time",
        args.seconds, args.senders
    ));
    let mut latencies = send(stage, args).await?;
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    let count = u64::try_from(latencies.len())?;
    output::progress(&format!("a day of the bank, {} steps a second", args.rate));
    let (events, rest_ms, lag_max) = day(stage, args.rate).await?;
    Ok(Measured {
        webhooks: latencies.len(),
        webhooks_per_second: count / args.seconds.max(1),
        ack_us_p50: at(50).unwrap_or(0),
        ack_us_p99: at(99).unwrap_or(0),
        ack_us_max: latencies.last().copied().unwrap_or(0),
        events,
        rest_ms,
        lag_max,
    })
}

/// Sends at full speed and gives the microseconds that each answer took.
async fn send(stage: &Stage, args: &Args) -> anyhow::Result<Vec<u64>> {
    let stop = Arc::new(AtomicBool::new(false));
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
    let secret = stage.webhook_secret()?;
    let mut senders = JoinSet::new();
    for _ in 0..args.senders {
        let url = stage.ingress.url("/webhooks/up");
        senders.spawn(send_until(client.clone(), url, secret.clone(), Arc::clone(&stop)));
    }
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    while let Some(sender) = senders.join_next().await {
        latencies.extend(sender??);
    }
    Ok(latencies)
}

async fn send_until(
    client: reqwest::Client,
    url: String,
    secret: Secret,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body = event();
        let mut request = client.post(&url).header("content-type", "application/json");
        // The scheme signs no time.
        for header in signatures::sign(&Scheme::up(), &secret, &body, 0) {
            request = request.header(header.name, header.value);
        }
        let began = Instant::now();
        let response = request.body(body).send().await.context("sending a webhook")?;
        let status = response.status();
        response.bytes().await.context("reading the answer")?;
        ensure!(status.is_success(), "the ingress answered {status}; expected 200");
        latencies.push(u64::try_from(began.elapsed().as_micros())?);
    }
    Ok(latencies)
}

/// A PING with an id of its own, which every processor passes over: this measures the door.
fn event() -> Vec<u8> {
    let id = format!("{:032x}", fastrand::u128(..));
    let event = json!({ "data": {
        "type": "webhook-events",
        "id": id,
        "attributes": { "eventType": "PING", "createdAt": "2026-01-02T03:04:05+10:00" },
        "relationships": { "webhook": { "data": { "type": "webhooks", "id": "bench" } } },
    } });
    event.to_string().into_bytes()
}

/// Runs a day and waits for its end in every part.
async fn day(stage: &Stage, rate: u32) -> anyhow::Result<(usize, u64, i64)> {
    let before = stage.bank.events().await?.len();
    stage.bank.run_day(rate, DAY_SECONDS).await?;
    let end = Instant::now() + Duration::from_secs(DAY_SECONDS);
    let mut lag_max = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let look = stage.look().await?;
        lag_max = lag_max.max(look.lag);
        let rest = Instant::now().saturating_duration_since(end);
        if Instant::now() >= end && look.is_at_rest() {
            let events = stage.bank.events().await?.len().saturating_sub(before);
            return Ok((events, u64::try_from(rest.as_millis())?, lag_max));
        }
        ensure!(rest < REST_TIMEOUT, "the pipeline did not come to rest: {} behind", look.lag);
    }
}
