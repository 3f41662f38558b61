//! The smallest processor: every transaction comes out once, with a category.
//!
//! ```text
//! BOOTSTRAP=127.0.0.1:9092 IN_TOPIC=transactions OUT_TOPIC=categorised APP_ID=pass STATE_DIR=state \
//!     cargo run --release --package streams --example pass_through
//! ```

#[path = "events/bank.rs"]
mod bank;
#[path = "events/settings.rs"]
mod settings;

use apache_avro::AvroSchema as _;
use clap::Parser as _;
use streams::{Context, Effects, Fault, Processor, Record, Sink, Topology};

use bank::BankTransaction;
use settings::Settings;

/// What every transaction is filed under.
const CATEGORY: &str = "uncategorised";

struct Categorise {
    out: Sink<String, BankTransaction>,
}

impl Processor for Categorise {
    type Key = String;
    type Value = BankTransaction;
    type Error = Fault;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, BankTransaction>,
    ) -> Result<(), Fault> {
        let mut transaction = record.value.clone();
        transaction.category = Some(CATEGORY.to_owned());
        ctx.forward(&self.out, &record.key, &transaction)
    }
}

fn topology(settings: &Settings) -> Result<Topology, streams::topology::Error> {
    let mut builder = Topology::builder(&settings.app_id);
    let mut sub = builder.sub_topology("categorise", Effects::None);
    let transactions = sub.source("transactions", &settings.in_topic);
    let out = sub.sink("categorised", &settings.out_topic);
    let sinks = [out.id()];
    sub.processor("categorise", &transactions, move || Categorise { out: out.clone() })
        .sinks(sinks);
    builder.build()
}

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let written = (bank::TRANSACTION_SCHEMA_ID, BankTransaction::get_schema());
    Ok(settings.application(topology(&settings)?, written).run()?)
}
