//! The application the simulation runs: a deduplicating sum, a call per record, an effect per
//! record. Three sub-topologies, every kind of node, every kind of store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::{
    AsyncOptions, AsyncProcessor, Begin, Classify, Context, Disposition, Effect, Effects, Fault,
    Outcome, Processor, Record, Sink, Store, Topology,
};

pub(super) const INPUT: &str = "payments";
pub(super) const SUMMED: &str = "summed";
pub(super) const ENRICHED: &str = "enriched";
pub(super) const TOLD: &str = "told";

/// How often the sums are punctuated: some times in a story, and not so often that it never rests.
const TICK: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payment {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) total: i64,
}

impl AvroSchema for Payment {
    fn get_schema() -> Schema {
        Schema::parse_str(
            r#"{"type":"record","name":"Payment","fields":[{"name":"id","type":"string"},
                {"name":"amount","type":"long"},{"name":"total","type":"long"}]}"#,
        )
        .unwrap()
    }
}

/// The world outside: fails as the seed says, remembers what was asked of it.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) rng: fastrand::Rng,
    pub(super) failure_percent: u8,
    /// Idempotency keys in the order of their first call.
    pub(super) performed: BTreeMap<String, u32>,
    pub(super) keys_of: HashMap<String, String>,
}

impl Outside {
    fn fails(&mut self) -> bool {
        self.rng.u8(0..100) < self.failure_percent
    }
}

pub(super) type World = Arc<Mutex<Outside>>;

#[derive(Debug, thiserror::Error)]
pub(super) enum AppError {
    #[error("not now")]
    NotNow,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for AppError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::NotNow => Disposition::wait(Duration::from_millis(20)),
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// The stores of the first sub-topology, to look into at the end.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) totals: Store<String, i64>,
}

/// Punctuations that were committed, counted.
pub(super) const TICKS: &str = "simulated-ticks-changelog";

struct Sum {
    seen: Store<String, bool>,
    totals: Store<String, i64>,
    ticks: Store<String, i64>,
    out: Sink<String, Payment>,
}

impl Processor for Sum {
    type Key = String;
    type Value = Payment;
    type Error = AppError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
    ) -> Result<(), AppError> {
        let payment = &record.value;
        if ctx.get(&self.seen, &payment.id)?.is_some() {
            return Ok(());
        }
        let total = ctx.get(&self.totals, &record.key)?.unwrap_or_default() + payment.amount;
        ctx.put(&self.seen, &payment.id, &true)?;
        ctx.put(&self.totals, &record.key, &total)?;
        ctx.forward(&self.out, &record.key, &Payment { total, ..payment.clone() })?;
        Ok(())
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), AppError> {
        let key = "ticks".to_owned();
        let ticks = ctx.get(&self.ticks, &key)?.unwrap_or_default() + 1;
        Ok(ctx.put(&self.ticks, &key, &ticks)?)
    }
}

struct Enrich {
    done: Store<String, bool>,
    out: Sink<String, Payment>,
    world: World,
}

impl AsyncProcessor for Enrich {
    type Key = String;
    type Value = Payment;
    type Request = Payment;
    type Answer = Payment;
    type Error = AppError;

    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
    ) -> Result<Begin<Payment>, AppError> {
        if ctx.get(&self.done, &record.value.id)?.is_some() {
            return Ok(Begin::Done);
        }
        Ok(Begin::Call(record.value.clone()))
    }

    fn call(
        &self,
        request: Payment,
    ) -> impl Future<Output = Result<Payment, AppError>> + Send + 'static {
        let world = Arc::clone(&self.world);
        async move { if world.lock().unwrap().fails() { Err(AppError::NotNow) } else { Ok(request) } }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
        answer: Payment,
    ) -> Result<(), AppError> {
        ctx.put(&self.done, &answer.id, &true)?;
        ctx.forward(&self.out, &record.key, &answer)?;
        Ok(())
    }
}

struct Tell {
    out: Sink<String, Payment>,
    world: World,
}

impl Effect for Tell {
    type Key = String;
    type Value = Payment;
    type Answer = bool;
    type Error = AppError;

    fn effect_id(&self, record: &Record<String, Payment>) -> Option<String> {
        Some(record.value.id.clone())
    }

    fn key_validity(&self) -> Duration {
        Duration::from_hours(24)
    }

    fn call(
        &self,
        idempotency_key: String,
        record: Record<String, Payment>,
    ) -> impl Future<Output = Result<bool, AppError>> + Send + 'static {
        let world = Arc::clone(&self.world);
        async move {
            let mut world = world.lock().unwrap();
            let known = world.keys_of.entry(record.value.id).or_insert(idempotency_key.clone());
            assert_eq!(*known, idempotency_key, "an effect keeps its key");
            // Performed or not, the answer may be lost: the caller cannot tell.
            *world.performed.entry(idempotency_key).or_default() += 1;
            if world.fails() { Err(AppError::NotNow) } else { Ok(true) }
        }
    }

    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Payment>,
        outcome: &Outcome<bool>,
    ) -> Result<(), AppError> {
        assert!(matches!(outcome, Outcome::Done { answer: true, .. }), "{outcome:?}");
        ctx.forward(&self.out, &record.key, &record.value)?;
        Ok(())
    }
}

pub(super) fn topology(world: &World) -> (Topology, Stores) {
    let mut builder = Topology::builder("simulated");

    let mut sum = builder.sub_topology("sum", Effects::None);
    let payments = sum.source("payments", INPUT);
    let (seen, totals, ticks) = (sum.store("seen"), sum.store("totals"), sum.store("ticks"));
    let out = sum.sink("summed", SUMMED);
    let store_ids = [seen.id(), totals.id(), ticks.id()];
    let out_id = out.id();
    let stores = Stores { totals: totals.clone() };
    sum.processor("sum", &payments, move || Sum {
        seen: seen.clone(),
        totals: totals.clone(),
        ticks: ticks.clone(),
        out: out.clone(),
    })
    .stores(store_ids)
    .sinks([out_id])
    .punctuate_every(TICK);

    let mut enrich = builder.sub_topology("enrich", Effects::Read);
    let summed = enrich.source("summed", SUMMED);
    let done = enrich.store("done");
    let out = enrich.sink("enriched", ENRICHED);
    let (done_id, out_id, outside) = (done.id(), out.id(), Arc::clone(world));
    let supplier =
        move || Enrich { done: done.clone(), out: out.clone(), world: Arc::clone(&outside) };
    enrich
        .async_processor("enrich", &summed, supplier, AsyncOptions::default().in_flight(3))
        .stores([done_id])
        .sinks([out_id]);

    let mut tell = builder.sub_topology("tell", Effects::Write);
    let enriched = tell.source("enriched", ENRICHED);
    let out = tell.sink("told", TOLD);
    let (out_id, outside) = (out.id(), Arc::clone(world));
    let supplier = move || Tell { out: out.clone(), world: Arc::clone(&outside) };
    tell.effect("tell", &enriched, "effects", supplier, AsyncOptions::default().in_flight(2))
        .sinks([out_id]);

    (builder.build().unwrap(), stores)
}
