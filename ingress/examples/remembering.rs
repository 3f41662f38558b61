//! The ingress, with a memory of events that is full from the start: what `bankstream bench ingress`
//! measures to show that remembering much costs a request nothing.

use clap::Parser;
use ingress::config::Config;
use ingress::dedupe::{BodyPrint, Dedupe, EventKey};
use ingress::{server, telemetry};
use streams::{Clock as _, SystemClock};

/// The span over which the remembered events came, milliseconds.
const SPAN_MS: i64 = 86_400_000;

/// SHA-256 of a body, all bodies being alike here.
const BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[derive(Debug, Parser)]
struct Args {
    /// Events to remember before the first request.
    #[arg(long)]
    remembered: i64,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    telemetry: telemetry::Options,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    telemetry::init(&args.telemetry);
    server::main_with(&args.config, |dedupe| remember(dedupe, args.remembered))
}

fn remember(dedupe: &Dedupe, count: i64) {
    let (now, body) = (SystemClock.now(), BodyPrint::from_hex(BODY));
    let Some(body) = body else { return };
    for number in 0..count {
        let key = EventKey::new("remembered", &number.to_string());
        dedupe.observe(key, body, now.saturating_sub(number % SPAN_MS));
    }
}
