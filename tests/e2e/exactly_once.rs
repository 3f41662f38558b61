//! Exactly-once, and at-least-once without holes, against a real Kafka: a two-stage application on
//! the public API (`apps/sums.rs`) that is killed, scaled and has its broker killed, and every output
//! compared with a reference.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use apache_avro::AvroSchema as _;
use harness::{
    Kafka, Size, chaos_time,
    payments::{PAYMENT_SCHEMA_ID, Payment, SUM_SCHEMA_ID, Sum},
    wait_until,
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};
use streams::{
    FixedSchemas,
    admin::Admin,
    wire::{Decoder, Encoder, keep},
};

const PARTITIONS: i32 = 4;
const ACCOUNTS: usize = 97;

/// How long the last output may take: a restart, a rejoin after a killed member (6 s session) and a
/// transaction that a killed instance left open (30 s) on a busy machine.
const REST: Duration = Duration::from_secs(150);

/// Lines of a log that a failed test shows.
const LAST_LINES: usize = 20;

/// What every account has to come to: total and number of payments.
type Reference = BTreeMap<String, (i64, i64)>;

/// Sends payments, every fiftieth of them twice.
struct Generator {
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    encoder: Encoder,
    rng: fastrand::Rng,
    sent: usize,
    reference: Reference,
}

impl Generator {
    fn new(kafka: &Kafka) -> anyhow::Result<Self> {
        let producer = kafka.client().set("enable.idempotence", "true").create()?;
        let encoder = Encoder::new(PAYMENT_SCHEMA_ID, keep(Payment::get_schema()))?;
        let rng = fastrand::Rng::with_seed(7);
        Ok(Self { producer, encoder, rng, sent: 0, reference: Reference::new() })
    }

    fn send(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let key = format!("account-{}", self.rng.usize(0..ACCOUNTS));
            let amount = self.rng.i64(-500..1_000);
            let payment = Payment { id: format!("payment-{}", self.sent), amount };
            let value = self.encoder.encode(&payment)?;
            for _ in 0..=usize::from(self.sent.is_multiple_of(50)) {
                let record = BaseRecord::to("payments").key(&key).payload(&*value);
                self.producer.send(record).map_err(|(error, _)| error)?;
            }
            self.sent += 1;
            let (total, number) = self.reference.entry(key).or_default();
            (*total, *number) = (*total + amount, *number + 1);
        }
        self.producer.flush(Duration::from_mins(1))?;
        Ok(())
    }
}

/// Instances of the application, ended with the test.
struct Instances {
    servers: String,
    dir: PathBuf,
    options: Vec<&'static str>,
    running: BTreeMap<String, Child>,
}

impl Instances {
    fn new(kafka: &Kafka, name: &str, options: &[&'static str]) -> Self {
        let dir = kafka.dir().join(name);
        let servers = kafka.bootstrap_servers().to_owned();
        Self { servers, dir, options: options.to_vec(), running: BTreeMap::new() }
    }

    fn start(&mut self, name: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("sums-{name}.log")))?;
        let child = Command::new(env!("CARGO_BIN_EXE_sums"))
            .args(["--bootstrap-servers", &self.servers, "--instance", name, "--state-dir"])
            .arg(self.dir.join("state").join(name))
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting the application")?;
        self.running.insert(name.to_owned(), child);
        Ok(())
    }

    /// Where an instance serves its stores.
    fn url(&self, name: &str) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(self.dir.join(format!("sums-{name}.log")))?;
        let said = log.rsplit("listening on ").next().unwrap_or_default();
        let address = said.split(|c: char| c.is_whitespace() || c == '\u{1b}').next();
        Ok(format!("http://{}", address.context("it says where it listens")?))
    }

    fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let mut child = self.running.remove(name).context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn signal(&self, name: &str, signal: &str) -> anyhow::Result<()> {
        let id = self.running.get(name).context("it runs")?.id().to_string();
        ensure!(Command::new("kill").args([signal, &id]).status()?.success(), "{signal} {name}");
        Ok(())
    }

    fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        self.signal(name, "-TERM")?;
        let status = self.running.remove(name).context("it runs")?.wait()?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    /// What each has said last, and which transactions are open: why a test waits in vain.
    fn last_words(&self) -> anyhow::Result<String> {
        let mut said = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(&path)?;
                said.push(format!("{}:", path.display()));
                let lines = log.lines().rev().filter(|line| !line.contains("AllBrokersDown"));
                let last: Vec<_> = lines.take(LAST_LINES).map(str::to_owned).collect();
                said.extend(last.into_iter().rev());
            }
        }
        let mut list = harness::bankstream(&self.servers)?;
        let output = list.args(["transactions", "list"]).output()?;
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
        Ok(said.join("\n"))
    }

    /// A failure, with that.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self.last_words() {
            Ok(said) => error.context(said),
            Err(_) => error,
        }
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            drop(child.kill().and_then(|()| child.wait()));
        }
    }
}

/// Reads committed outputs as they come.
struct Verifier {
    consumer: BaseConsumer,
    decoder: Decoder,
    outputs: BTreeMap<String, Vec<Sum>>,
    count: usize,
    /// Payments that came out at least once.
    payments: BTreeSet<String>,
}

impl Verifier {
    fn new(kafka: &Kafka) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = kafka
            .client()
            .set("group.id", "verifier")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset("counted", partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let schemas = FixedSchemas::new().with(SUM_SCHEMA_ID, Sum::get_schema());
        let decoder = Decoder::new(Arc::new(schemas), keep(Sum::get_schema()));
        Ok(Self {
            consumer,
            decoder,
            outputs: BTreeMap::new(),
            count: 0,
            payments: BTreeSet::new(),
        })
    }

    /// Reads until there are `count` outputs in all.
    fn wait_for(&mut self, count: usize, doing: &str) -> anyhow::Result<()> {
        self.read_while(doing, |verifier| verifier.count < count)
    }

    fn read_while(&mut self, doing: &str, is_short: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = now() + REST;
        while is_short(self) {
            let (count, payments) = (self.count, self.payments.len());
            ensure!(now() < deadline, "{doing}: {count} outputs of {payments} payments came");
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(200)) else {
                continue;
            };
            let key = String::from_utf8(message.key().unwrap_or_default().to_vec())?;
            let sum: Sum = self.decoder.decode(message.payload().unwrap_or_default())?;
            self.payments.insert(sum.id.clone());
            self.outputs.entry(key).or_default().push(sum);
            self.count += 1;
        }
        Ok(())
    }

    /// Exactly one output for each payment, in the order of its account, and the totals of the reference.
    fn judge_exact(&self, reference: &Reference) -> anyhow::Result<()> {
        for (account, (total, number)) in reference {
            let outputs = self.outputs.get(account).map(Vec::as_slice).unwrap_or_default();
            let sequences: Vec<i64> = outputs.iter().map(|sum| sum.sequence).collect();
            let expected: Vec<i64> = (1..=*number).collect();
            ensure!(sequences == expected, "{account}: gaps, repeats or disorder: {sequences:?}");
            let last = outputs.last().map(|sum| sum.total);
            ensure!(last == Some(*total), "{account}: {last:?} instead of {total}");
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
fn now() -> Instant {
    Instant::now()
}

async fn topics(kafka: &Kafka) -> anyhow::Result<()> {
    for topic in ["payments", "summed", "counted"] {
        kafka.create_topic(topic, PARTITIONS, &[]).await?;
    }
    Ok(())
}

/// Rounds of each test, at the least; more of them at night, and as many as fit the time that
/// `BANKSTREAM_CHAOS_SECONDS` gives.
fn rounds() -> usize {
    usize::try_from(Size::of_this_run().rounds).unwrap_or(1)
}

async fn chaos(name: &str, protocol: &'static str) -> anyhow::Result<()> {
    let mut kafka = Kafka::start(name).await?;
    topics(&kafka).await?;
    let mut generator = Generator::new(&kafka)?;
    let mut verifier = Verifier::new(&kafka)?;
    let mut instances = Instances::new(&kafka, "app", &["--group-protocol", protocol]);
    let told = rough_day(&mut kafka, &mut generator, &mut verifier, &mut instances).await;
    told.map_err(|error| instances.explain(error))?;
    drop(instances);
    kafka.stop().await
}

/// Rounds of everything that may happen to instances and their broker, and a lost disk at the end.
async fn rough_day(
    kafka: &mut Kafka,
    generator: &mut Generator,
    verifier: &mut Verifier,
    instances: &mut Instances,
) -> anyhow::Result<()> {
    instances.start("a")?;
    generator.send(4_000)?;
    verifier.wait_for(1_000, "a first instance works")?;
    let until = now() + chaos_time()?;
    let mut round = 0;
    while round < rounds() || now() < until {
        round += 1;
        // kill -9 in the middle of its transactions
        generator.send(4_000)?;
        verifier.wait_for(verifier.count + 500, "work before the kill")?;
        instances.kill("a")?;
        instances.start("a")?;
        // one, three, and one again
        generator.send(4_000)?;
        instances.start("b")?;
        instances.start("c")?;
        verifier.wait_for(generator.sent - 2_000, "three instances work")?;
        // one of them is gone for longer than its session, and comes back as a zombie
        generator.send(4_000)?;
        instances.signal("b", "-STOP")?;
        verifier.wait_for(generator.sent - 3_000, "the others work")?;
        // the broker dies under a transaction
        generator.send(2_000)?;
        kafka.kill_and_start().await?;
        instances.signal("b", "-CONT")?;
        verifier.wait_for(generator.sent, "everything after the broker's death")?;
        instances.stop("c")?;
        generator.send(2_000)?;
        verifier.wait_for(generator.sent, "two instances work")?;
        instances.kill("b")?;
    }
    generator.send(1_000)?;
    verifier.wait_for(generator.sent, "one instance again")?;
    verifier.judge_exact(&generator.reference)?;
    instances.stop("a")?;
    // A lost disk: state comes back from the changelogs.
    std::fs::remove_dir_all(instances.dir.join("state"))?;
    instances.start("a")?;
    generator.send(500)?;
    verifier.wait_for(generator.sent, "work after a lost disk")?;
    verifier.judge_exact(&generator.reference)?;
    instances.stop("a")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_is_there_once_whatever_is_killed() -> anyhow::Result<()> {
    chaos("exactly_once", "classic").await
}

/// Waits until the application has nothing left to read.
async fn no_lag(kafka: &Kafka, doing: &str) -> anyhow::Result<()> {
    let admin = Admin::new(kafka.bootstrap_servers())?;
    let read = ["payments", "summed"].map(|topic| (topic.to_owned(), PARTITIONS));
    wait_until(doing, REST, async || {
        let offsets = admin.group_offsets("sums", &read).await?;
        Ok(offsets.len() == 2 * usize::try_from(PARTITIONS)?
            && offsets.iter().all(|o| o.lag() == 0))
    })
    .await
}

/// A transaction leaves a marker behind its records, which has an offset and is no record.
#[tokio::test(flavor = "multi_thread")]
async fn idle_partition_behind_a_transaction_has_no_lag() -> anyhow::Result<()> {
    let kafka = Kafka::start("markers").await?;
    topics(&kafka).await?;
    let mut generator = Generator::new(&kafka)?;
    let mut verifier = Verifier::new(&kafka)?;
    let mut instances = Instances::new(&kafka, "app", &["--group-protocol", "classic"]);
    instances.start("a")?;
    generator.send(200)?;
    verifier.wait_for(generator.sent, "the application works")?;
    no_lag(&kafka, "a commit past the markers of the first stage").await?;
    generator.send(200)?;
    verifier.wait_for(verifier.count + 1, "work before the kill")?;
    instances.kill("a")?;
    instances.start("a")?;
    verifier.wait_for(generator.sent, "work after the kill")?;
    no_lag(&kafka, "a commit past the markers of what was left open").await?;
    verifier.judge_exact(&generator.reference)?;
    instances.stop("a")?;
    drop(instances);
    kafka.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_is_missing_at_least_once_when_the_process_is_killed() -> anyhow::Result<()> {
    let kafka = Kafka::start("at_least_once").await?;
    topics(&kafka).await?;
    let mut generator = Generator::new(&kafka)?;
    let mut verifier = Verifier::new(&kafka)?;
    let options = ["--at-least-once", "--group-protocol", "classic"];
    let mut instances = Instances::new(&kafka, "app", &options);
    instances.start("a")?;
    for _ in 0..rounds() * 3 {
        generator.send(3_000)?;
        verifier.wait_for(verifier.count + 500, "work before the kill")?;
        instances.kill("a")?;
        instances.start("a")?;
    }
    generator.send(500)?;
    // Outputs of the first stage may come twice, and the second counts those too; every payment has
    // to be there.
    let sent = generator.sent;
    verifier.read_while("every payment", |verifier| verifier.payments.len() < sent)?;
    instances.stop("a")?;
    drop(instances);
    kafka.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_answer_with_their_position_and_a_paused_application_begins_nothing()
-> anyhow::Result<()> {
    let kafka = Kafka::start("queries").await?;
    topics(&kafka).await?;
    let mut generator = Generator::new(&kafka)?;
    let mut verifier = Verifier::new(&kafka)?;
    // KIP-848, which the other tests do not use.
    let mut instances = Instances::new(&kafka, "app", &["--group-protocol", "consumer"]);
    instances.start("a")?;
    generator.send(1_000)?;
    verifier.wait_for(1_000, "the application works")?;
    let url = instances.url("a")?;
    let client = reqwest::Client::new();
    let get = async |path: &str| -> anyhow::Result<serde_json::Value> {
        Ok(client.get(format!("{url}{path}")).send().await?.json().await?)
    };
    for (account, (total, number)) in &generator.reference {
        let found = get(&format!("/stores/sums/keys/{account}")).await?;
        ensure!(found["value"] == serde_json::json!([total, number]), "{account}: {found}");
        ensure!(found["position"]["payments"].is_object(), "{found}");
    }
    let page = get("/stores/sums?limit=10").await?;
    ensure!(page["entries"].as_array().is_some_and(|e| e.len() == 10), "{page}");
    let next = page["next"].as_str().context("there is a next page")?;
    let rest = get(&format!("/stores/sums?from={next}&limit=1000")).await?;
    let count = rest["entries"].as_array().map_or(0, Vec::len);
    ensure!(count == generator.reference.len() - 10, "{count} on the second page");
    let stores = get("/stores").await?;
    ensure!(stores["stores"].as_array().is_some_and(|s| s.len() == 3), "{stores}");
    let status = async |path: &str| -> anyhow::Result<u16> {
        Ok(client.get(format!("{url}{path}")).send().await?.status().as_u16())
    };
    ensure!(status("/stores/sums/keys/nobody").await? == 404);
    ensure!(status("/stores/nowhere/keys/a").await? == 404);
    ensure!(status("/stores/sums/keys/%FF").await? == 400);

    ensure!(client.post(format!("{url}/pause")).send().await?.status().is_success());
    let ready = client.get(format!("{url}/readyz")).send().await?.text().await?;
    ensure!(ready.contains("paused by an operator"), "{ready}");
    let before = get("/stores/sums").await?["position"].clone();
    generator.send(500)?;
    // Two answers later the thread has been round with the new records at hand.
    for _ in 0..2 {
        get("/stores").await?;
    }
    ensure!(get("/stores/sums").await?["position"] == before, "nothing was begun");
    ensure!(client.post(format!("{url}/resume")).send().await?.status().is_success());
    verifier.wait_for(1_500, "resumed work")?;
    verifier.judge_exact(&generator.reference)?;
    // Its name is held until its session ends, and the client calls that fatal.
    instances.kill("a")?;
    instances.start("a")?;
    generator.send(500)?;
    verifier.wait_for(2_000, "a killed member of the new protocol works again")?;
    verifier.judge_exact(&generator.reference)?;
    instances.stop("a")?;
    drop(instances);
    kafka.stop().await
}
