//! Two stages with state, for the tests of exactly-once: repeats are dropped and payments summed per
//! account; the sums are counted again from the first stage's topic.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use apache_avro::AvroSchema as _;
use clap::Parser as _;
use harness::payments::{PAYMENT_SCHEMA_ID, Payment, SUM_SCHEMA_ID, Sum};
use streams::{
    Application, Classify, Context, DedupeStore, Disposition, Effects, Fault, FixedSchemas,
    GroupProtocol, Guarantee, Processor, Record, Sink, Store, Topology,
};

const DEDUPE_WINDOW: Duration = Duration::from_hours(24);

#[derive(Debug, clap::Parser)]
struct Args {
    #[arg(long)]
    bootstrap_servers: String,
    #[arg(long)]
    instance: String,
    #[arg(long)]
    state_dir: PathBuf,
    #[arg(long)]
    at_least_once: bool,
    #[arg(long)]
    group_protocol: GroupProtocol,
}

#[derive(Debug, thiserror::Error)]
enum SumError {
    #[error("the total of {0} does not fit 64 bits")]
    Overflow(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for SumError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Overflow(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// First stage: every payment once.
struct First {
    seen: DedupeStore,
    sums: Store<String, (i64, i64)>,
    out: Sink<String, Sum>,
}

impl Processor for First {
    type Key = String;
    type Value = Payment;
    type Error = SumError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
    ) -> Result<(), SumError> {
        let Payment { id, amount } = &record.value;
        if !ctx.first_sight(&self.seen, id, record.timestamp)? {
            return Ok(());
        }
        let (total, sequence) = ctx.get(&self.sums, &record.key)?.unwrap_or_default();
        let total =
            total.checked_add(*amount).ok_or_else(|| SumError::Overflow(record.key.clone()))?;
        let sequence = sequence.saturating_add(1);
        ctx.put(&self.sums, &record.key, &(total, sequence))?;
        ctx.forward(&self.out, &record.key, &Sum { id: id.clone(), total, sequence })?;
        Ok(())
    }
}

/// Second stage: counts what the first one says.
struct Second {
    counts: Store<String, i64>,
    out: Sink<String, Sum>,
}

impl Processor for Second {
    type Key = String;
    type Value = Sum;
    type Error = SumError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Sum>,
    ) -> Result<(), SumError> {
        let sequence = ctx.get(&self.counts, &record.key)?.unwrap_or_default().saturating_add(1);
        ctx.put(&self.counts, &record.key, &sequence)?;
        ctx.forward(&self.out, &record.key, &Sum { sequence, ..record.value.clone() })?;
        Ok(())
    }
}

fn topology() -> Result<Topology, streams::topology::Error> {
    let mut builder = Topology::builder("sums");
    let mut first = builder.sub_topology("first", Effects::None);
    let payments = first.source("payments", "payments");
    let (seen, sums) = (first.dedupe_store("seen", DEDUPE_WINDOW), first.store("sums"));
    let out = first.sink("summed", "summed");
    let (stores, sinks) = ([seen.id(), sums.id()], [out.id()]);
    first
        .processor("sum", &payments, move || First {
            seen: seen.clone(),
            sums: sums.clone(),
            out: out.clone(),
        })
        .stores(stores)
        .sinks(sinks);
    let mut second = builder.sub_topology("second", Effects::None);
    let summed = second.source("summed", "summed");
    let counts = second.store("counts");
    let out = second.sink("counted", "counted");
    let (stores, sinks) = ([counts.id()], [out.id()]);
    second
        .processor("count", &summed, move || Second { counts: counts.clone(), out: out.clone() })
        .stores(stores)
        .sinks(sinks);
    builder.build()
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let schemas = FixedSchemas::new()
        .with(PAYMENT_SCHEMA_ID, Payment::get_schema())
        .with(SUM_SCHEMA_ID, Sum::get_schema());
    let guarantee =
        if args.at_least_once { Guarantee::AtLeastOnce } else { Guarantee::ExactlyOnce };
    Application::new(topology()?)
        .bootstrap_servers(&args.bootstrap_servers)
        .instance(&args.instance)
        .state_dir(&args.state_dir)
        .guarantee(guarantee)
        .group_protocol(args.group_protocol)
        .commit_interval(Duration::from_millis(50))
        .session_timeout(Duration::from_secs(6))
        .http_listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .schemas(schemas)
        .run()?;
    Ok(())
}
