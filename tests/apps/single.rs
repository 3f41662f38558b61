//! One sub-topology with every knob, for the tests of abnormal cases: payments from `<app>-in` are
//! summed per account into `<app>-out`, or somebody is asked about them (`--ask`).

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apache_avro::AvroSchema as _;
use clap::Parser as _;
use harness::payments::{PAYMENT_SCHEMA_ID, Payment, SUM_SCHEMA_ID, Sum};
use streams::{
    Application, AsyncOptions, AsyncProcessor, Begin, Classify, Context, DedupeStore, Disposition,
    Effects, Fault, FixedSchemas, Guarantee, Processor, Record, Sink, Store, Topology,
};

const DEDUPE_WINDOW: Duration = Duration::from_hours(24);

/// How often a call looks whether its gate is open.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a counted call takes.
const CALL_TAKES: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, clap::Parser)]
struct Args {
    #[arg(long)]
    bootstrap_servers: String,
    #[arg(long)]
    app: String,
    #[arg(long, default_value = "1")]
    instance: String,
    #[arg(long)]
    state_dir: Option<PathBuf>,
    #[arg(long)]
    at_least_once: bool,
    #[arg(long)]
    schema_registry: Option<String>,
    #[arg(long, default_value_t = 50)]
    commit_interval_ms: u64,
    #[arg(long, default_value_t = 30_000)]
    transaction_timeout_ms: u64,
    #[arg(long, default_value_t = 6_000)]
    session_timeout_ms: u64,
    /// Ask about payments instead of summing them.
    #[arg(long)]
    ask: bool,
    /// Calls about accounts that begin with `slow` are answered when this file is there.
    #[arg(long, default_value = "gate")]
    gate: PathBuf,
    #[arg(long, default_value_t = 300_000)]
    max_block_ms: u64,
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    #[arg(long, default_value_t = 1_000)]
    per_host: usize,
    #[arg(long, default_value_t = 1_000)]
    calls_in_flight: usize,
}

#[derive(Debug, thiserror::Error)]
enum SingleError {
    #[error("the total of {0} does not fit 64 bits")]
    Overflow(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for SingleError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Overflow(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// Sums per account; a payment that comes again is dropped.
struct Totals {
    seen: DedupeStore,
    sums: Store<String, (i64, i64)>,
    out: Sink<String, Sum>,
}

impl Processor for Totals {
    type Key = String;
    type Value = Payment;
    type Error = SingleError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
    ) -> Result<(), SingleError> {
        let Payment { id, amount } = &record.value;
        if !ctx.first_sight(&self.seen, id, record.timestamp)? {
            return Ok(());
        }
        let (total, sequence) = ctx.get(&self.sums, &record.key)?.unwrap_or_default();
        let total =
            total.checked_add(*amount).ok_or_else(|| SingleError::Overflow(record.key.clone()))?;
        let sequence = sequence.saturating_add(1);
        ctx.put(&self.sums, &record.key, &(total, sequence))?;
        ctx.forward(&self.out, &record.key, &Sum { id: id.clone(), total, sequence })?;
        Ok(())
    }
}

/// Calls under way, by host; the whole process under no name.
#[derive(Debug, Default)]
struct UnderWay(Mutex<BTreeMap<String, i64>>);

impl UnderWay {
    /// Adds to the numbers of a host and of the process, and gives them.
    fn add(&self, host: &str, count: i64) -> (i64, i64) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = |name: &str| {
            let number = numbers.entry(name.to_owned()).or_default();
            *number += count;
            *number
        };
        (number(""), number(host))
    }
}

/// Waits at the gate for accounts `slow…`, counts calls of accounts `<host>/…`, and copies the rest.
struct Ask {
    gate: PathBuf,
    under_way: Arc<UnderWay>,
    out: Sink<String, Sum>,
}

impl Ask {
    fn tell(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
        (total, sequence): (i64, i64),
    ) -> Result<(), SingleError> {
        let sum = Sum { id: record.value.id.clone(), total, sequence };
        Ok(ctx.forward(&self.out, &record.key, &sum)?)
    }
}

impl AsyncProcessor for Ask {
    type Key = String;
    type Value = Payment;
    type Request = String;
    type Answer = (i64, i64);
    type Error = SingleError;

    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
    ) -> Result<Begin<String>, SingleError> {
        if record.key.starts_with("slow") || record.key.contains('/') {
            return Ok(Begin::Call(record.key.clone()));
        }
        self.tell(ctx, record, (0, 0))?;
        Ok(Begin::Done)
    }

    fn call(
        &self,
        account: String,
    ) -> impl Future<Output = Result<(i64, i64), SingleError>> + Send + 'static {
        let (gate, under_way) = (self.gate.clone(), Arc::clone(&self.under_way));
        async move {
            let Some((host, _)) = account.split_once('/') else {
                while !gate.exists() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                return Ok((0, 0));
            };
            let found = under_way.add(host, 1);
            tokio::time::sleep(CALL_TAKES).await;
            under_way.add(host, -1);
            Ok(found)
        }
    }

    fn host<'r>(&self, account: &'r String) -> Option<Cow<'r, str>> {
        account.split_once('/').map(|(host, _)| host.into())
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
        answer: (i64, i64),
    ) -> Result<(), SingleError> {
        self.tell(ctx, record, answer)
    }
}

fn topology(args: &Args) -> Result<Topology, streams::topology::Error> {
    let mut builder = Topology::builder(&args.app);
    let effects = if args.ask { Effects::Read } else { Effects::None };
    let mut sub = builder.sub_topology("one", effects);
    let payments = sub.source("in", &format!("{}-in", args.app));
    let out = sub.sink("out", &format!("{}-out", args.app));
    let sinks = [out.id()];
    if args.ask {
        let (gate, under_way) = (args.gate.clone(), Arc::<UnderWay>::default());
        let options = AsyncOptions::default()
            .in_flight(args.in_flight)
            .in_flight_per_host(args.per_host)
            .max_block(Duration::from_millis(args.max_block_ms));
        let supplier =
            move || Ask { gate: gate.clone(), under_way: Arc::clone(&under_way), out: out.clone() };
        sub.async_processor("ask", &payments, supplier, options).sinks(sinks);
    } else {
        let (seen, sums) = (sub.dedupe_store("seen", DEDUPE_WINDOW), sub.store("sums"));
        let stores = [seen.id(), sums.id()];
        let supplier = move || Totals { seen: seen.clone(), sums: sums.clone(), out: out.clone() };
        sub.processor("total", &payments, supplier).stores(stores).sinks(sinks);
    }
    builder.build()
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let guarantee =
        if args.at_least_once { Guarantee::AtLeastOnce } else { Guarantee::ExactlyOnce };
    let mut application = Application::new(topology(&args)?)
        .bootstrap_servers(&args.bootstrap_servers)
        .instance(&args.instance)
        .guarantee(guarantee)
        .commit_interval(Duration::from_millis(args.commit_interval_ms))
        .transaction_timeout(Duration::from_millis(args.transaction_timeout_ms))
        .session_timeout(Duration::from_millis(args.session_timeout_ms))
        .calls_in_flight(args.calls_in_flight)
        .http_listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    if let Some(dir) = &args.state_dir {
        application = application.state_dir(dir);
    }
    application = match &args.schema_registry {
        Some(url) => application.schema_registry(url),
        None => application.schemas(
            FixedSchemas::new()
                .with(PAYMENT_SCHEMA_ID, Payment::get_schema())
                .with(SUM_SCHEMA_ID, Sum::get_schema()),
        ),
    };
    application.run()?;
    Ok(())
}
