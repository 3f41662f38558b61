//! Enrichment: for every transaction the bank is asked, many at the same time, in order per account.
//!
//! ```text
//! BOOTSTRAP=127.0.0.1:9092 IN_TOPIC=transactions OUT_TOPIC=enriched APP_ID=enrich STATE_DIR=state \
//!     BANK=http://127.0.0.1:8080 CONCURRENCY=1000 \
//!     cargo run --release --package streams --example enrich
//! ```

#[path = "events/answer.rs"]
mod answer;
#[path = "events/bank.rs"]
mod bank;
#[path = "events/settings.rs"]
mod settings;

use apache_avro::AvroSchema as _;
use clap::Parser as _;
use streams::{
    AsyncOptions, AsyncProcessor, Begin, Classify, Clock as _, Context, Disposition, Effects,
    Fault, Record, Sink, SystemClock, Topology,
};

use answer::{Answer, Status};
use bank::{BankTransaction, TransactionStatus};
use settings::Settings;

/// What can go wrong, and what that means for the transaction.
#[derive(Debug, thiserror::Error)]
enum EnrichError {
    #[error("asking the bank for a transaction")]
    Unreachable(#[source] reqwest::Error),
    #[error("the bank answered {status}; expected 200")]
    Refused { status: u16, disposition: Disposition },
    #[error("the bank's answer is not what its documentation says")]
    Malformed(#[source] serde_json::Error),
    #[error("the bank answered with transaction {0}, not with the one asked for")]
    Other(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for EnrichError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable(_) => Disposition::retry(),
            Self::Refused { disposition, .. } => *disposition,
            Self::Malformed(_) | Self::Other(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

struct Enrich {
    http: reqwest::Client,
    transactions: String,
    enriched: Sink<String, BankTransaction>,
}

impl AsyncProcessor for Enrich {
    type Key = String;
    type Value = BankTransaction;
    type Request = String;
    type Answer = Answer;
    type Error = EnrichError;

    fn begin(
        &mut self,
        _ctx: &mut Context<'_>,
        record: &Record<String, BankTransaction>,
    ) -> Result<Begin<String>, EnrichError> {
        // The address is ours, only the id comes from the topic.
        Ok(Begin::Call(format!("{}/{}", self.transactions, record.value.transaction_id)))
    }

    fn call(
        &self,
        url: String,
    ) -> impl Future<Output = Result<Answer, EnrichError>> + Send + 'static {
        let request = self.http.get(url);
        async move {
            let response = request.send().await.map_err(EnrichError::Unreachable)?;
            let status = response.status().as_u16();
            if status != 200 {
                let after = response.headers().get("retry-after").and_then(|it| it.to_str().ok());
                let disposition = Disposition::of_http(status, after, SystemClock.now());
                return Err(EnrichError::Refused { status, disposition });
            }
            let body = response.bytes().await.map_err(EnrichError::Unreachable)?;
            serde_json::from_slice(&body).map_err(EnrichError::Malformed)
        }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, BankTransaction>,
        answer: Answer,
    ) -> Result<(), EnrichError> {
        let Answer { data } = answer;
        if data.id != record.value.transaction_id {
            return Err(EnrichError::Other(data.id));
        }
        let transaction = enriched(&record.value, data);
        ctx.forward(&self.enriched, &record.key, &transaction)?;
        Ok(())
    }
}

/// The transaction with what the bank knows of it.
fn enriched(before: &BankTransaction, answer: answer::Data) -> BankTransaction {
    let told = answer.attributes;
    BankTransaction {
        transaction_id: answer.id,
        account_id: before.account_id.clone(),
        status: match told.status {
            Status::Held => TransactionStatus::Held,
            Status::Settled => TransactionStatus::Settled,
        },
        amount_base_units: told.amount.value_in_base_units,
        currency: told.amount.currency_code,
        description: told.description,
        raw_text: told.raw_text,
        created_at: before.created_at,
        settled_at: told.settled_at.map(|at| at.0.as_millisecond()),
        category: answer.relationships.category.data.map(|category| category.id),
        foreign_amount: before.foreign_amount.clone(),
        round_up_base_units: told.round_up.map(|round_up| round_up.amount.value_in_base_units),
        card_method: told.card_purchase_method.map(|card| card.method),
    }
}

fn topology(settings: &Settings) -> anyhow::Result<Topology> {
    let mut builder = Topology::builder(&settings.app_id);
    let mut sub = builder.sub_topology("enrich", Effects::Read);
    let source = sub.source("transactions", &settings.in_topic);
    let enriched = sub.sink("enriched", &settings.out_topic);
    let http = sub.http_client()?;
    let transactions = format!("{}/api/v1/transactions", settings.bank.trim_end_matches('/'));
    let sinks = [enriched.id()];
    let options = AsyncOptions::default().in_flight(settings.concurrency);
    let supplier = move || Enrich {
        http: http.clone(),
        transactions: transactions.clone(),
        enriched: enriched.clone(),
    };
    sub.async_processor("enrich", &source, supplier, options).sinks(sinks);
    Ok(builder.build()?)
}

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let written = (bank::TRANSACTION_SCHEMA_ID, BankTransaction::get_schema());
    Ok(settings.application(topology(&settings)?, written).run()?)
}
