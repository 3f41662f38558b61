//! One case: topics and a group of its own, an application (`apps/single.rs`), and what came out.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use apache_avro::AvroSchema as _;
use harness::{
    Kafka,
    payments::{PAYMENT_SCHEMA_ID, Payment, SUM_SCHEMA_ID, Sum},
    wait_for, wait_until,
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    message::Headers as _,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use streams::{
    FixedSchemas,
    wire::{Decoder, Encoder, keep},
};

/// Longer than anything may take that is waited for: a session that ends, a transaction that times
/// out, a restore; on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);

/// How long Kafka may take for one answer.
const ANSWER: Duration = Duration::from_secs(20);

/// One wait of a reading loop.
const POLL: Duration = Duration::from_millis(50);

/// Accounts that payments are spread over.
pub(super) const ACCOUNTS: usize = 7;

/// One experiment.
pub(super) struct Case {
    pub(super) kafka: Arc<Kafka>,
    /// Of the application, its group, and the beginning of its topics' names.
    pub(super) name: &'static str,
    pub(super) dir: PathBuf,
    producer: ThreadedProducer<DefaultProducerContext>,
    encoder: Encoder,
    /// Account and amount of every payment, in order.
    payments: Vec<(String, i64)>,
    outputs: BaseConsumer,
    decoder: Decoder,
    /// Account and sum, as they came.
    sums: Vec<(String, Sum)>,
    starts: usize,
}

impl Case {
    /// A new one with these many partitions.
    pub(super) async fn new(name: &'static str, partitions: i32) -> anyhow::Result<Self> {
        let kafka = Kafka::shared("abnormal").await?;
        kafka.create_topic(&format!("{name}-in"), partitions, &[]).await?;
        let out = format!("{name}-out");
        kafka.create_topic(&out, partitions, &[]).await?;
        let dir = kafka.dir().join(name);
        std::fs::create_dir_all(&dir)?;
        let producer = kafka.client().set("enable.idempotence", "true").create()?;
        let outputs = reader(&kafka, &out, partitions)?;
        let schemas = FixedSchemas::new().with(SUM_SCHEMA_ID, Sum::get_schema());
        Ok(Self {
            kafka,
            name,
            dir,
            producer,
            encoder: Encoder::new(PAYMENT_SCHEMA_ID, keep(Payment::get_schema()))?,
            payments: Vec::new(),
            outputs,
            decoder: Decoder::new(Arc::new(schemas), keep(Sum::get_schema())),
            sums: Vec::new(),
            starts: 0,
        })
    }

    pub(super) fn input(&self) -> String {
        format!("{}-in", self.name)
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The directory of the task of partition 0.
    pub(super) fn task_dir(&self) -> PathBuf {
        self.state_dir().join(self.name).join("one_0")
    }

    /// Sends payments to the accounts in turn, and waits until the broker has them.
    pub(super) fn send(&mut self, count: usize) -> anyhow::Result<()> {
        self.send_to(count, |number| format!("account-{}", number % ACCOUNTS))
    }

    /// Sends payments to the accounts that `account` names for their numbers.
    pub(super) fn send_to(
        &mut self,
        count: usize,
        account: impl Fn(usize) -> String,
    ) -> anyhow::Result<()> {
        let topic = self.input();
        for number in self.payments.len()..self.payments.len() + count {
            let amount = i64::try_from(number)? - 50;
            let account = account(number);
            let payment = Payment { id: format!("payment-{number}"), amount };
            let value = self.encoder.encode(&payment)?;
            let record = BaseRecord::to(&topic).key(&account).payload(&*value);
            self.producer.send(record).map_err(|(error, _)| error)?;
            self.payments.push((account, amount));
        }
        Ok(self.producer.flush(ANSWER)?)
    }

    /// Sends one record as it is to a partition, which may be new.
    pub(super) fn send_bytes(&self, partition: i32, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let producer: BaseProducer = self.kafka.client().create()?;
        let topic = self.input();
        let record = BaseRecord::to(&topic).partition(partition).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        Ok(producer.flush(ANSWER)?)
    }

    /// A payment as bytes under this schema id.
    pub(super) fn bytes(&mut self, schema_id: u32, id: &str) -> anyhow::Result<Vec<u8>> {
        let payment = Payment { id: id.to_owned(), amount: 1 };
        let mut value = self.encoder.encode(&payment)?.to_vec();
        value.get_mut(1..5).context("a frame")?.copy_from_slice(&schema_id.to_be_bytes());
        Ok(value)
    }

    /// Starts the application, with state on the disk.
    pub(super) fn start(&mut self, options: &[&str]) -> anyhow::Result<App> {
        let state = self.state_dir();
        let state = state.to_str().context("a path in UTF-8")?;
        self.start_bare("", &[&["--state-dir", state], options].concat())
    }

    /// Starts the application after these words of the shell.
    pub(super) fn start_bare(&mut self, shell: &str, options: &[&str]) -> anyhow::Result<App> {
        self.starts += 1;
        let log = self.dir.join(format!("log-{}.txt", self.starts));
        let options = options.iter().map(OsString::from);
        let child = Command::new("sh")
            .args(["-c", &format!("{shell} exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_single")])
            .args(["--bootstrap-servers", self.kafka.bootstrap_servers(), "--app", self.name])
            .args(options)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the application")?;
        Ok(App { child, log })
    }

    /// Reads committed outputs until there are `count` in all.
    pub(super) async fn wait_for_outputs(&mut self, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} outputs of {}", self.name);
        wait_until(&what, DEADLINE, async || {
            self.read_outputs()?;
            Ok(self.sums.len() >= count)
        })
        .await
        .with_context(|| format!("{} outputs came", self.sums.len()))
    }

    /// Takes the outputs that have come.
    pub(super) fn read_outputs(&mut self) -> anyhow::Result<&[(String, Sum)]> {
        while let Some(message) = self.outputs.poll(POLL) {
            // A broker that is busy may lose its place for a moment; the client goes on by itself.
            let Ok(message) = message else { continue };
            let key = String::from_utf8(message.key().unwrap_or_default().to_vec())?;
            let sum = self.decoder.decode(message.payload().unwrap_or_default())?;
            self.sums.push((key, sum));
        }
        Ok(&self.sums)
    }

    pub(super) fn sums(&self) -> &[(String, Sum)] {
        &self.sums
    }

    /// Payments sent so far.
    pub(super) fn sent(&self) -> usize {
        self.payments.len()
    }

    /// Directories of the task that were set aside for this reason, or for any.
    pub(super) fn aside(&self, reason: &str) -> anyhow::Result<Vec<OsString>> {
        let beginning = format!("one_0.{reason}");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.state_dir().join(self.name))? {
            let name = entry?.file_name();
            if name.to_string_lossy().starts_with(&beginning) {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// One output for every payment sent, in the order of its account, with the right total.
    pub(super) fn judge_exact(&mut self) -> anyhow::Result<()> {
        self.judge(|_| true)
    }

    /// The same for the payments that count, by their numbers, and no output of another.
    pub(super) fn judge(&mut self, counts: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        self.read_outputs()?;
        let mut expected: BTreeMap<&str, Vec<Sum>> = BTreeMap::new();
        for (number, (account, amount)) in self.payments.iter().enumerate() {
            if counts(number) {
                let sums = expected.entry(account).or_default();
                let total = sums.last().map_or(0, |sum| sum.total) + amount;
                let sequence = i64::try_from(sums.len())? + 1;
                sums.push(Sum { id: format!("payment-{number}"), total, sequence });
            }
        }
        let mut found: BTreeMap<&str, Vec<Sum>> = BTreeMap::new();
        for (account, sum) in &self.sums {
            found.entry(account).or_default().push(sum.clone());
        }
        ensure!(found == expected, "{}: {found:#?} instead of {expected:#?}", self.name);
        Ok(())
    }

    /// What the group has committed of partition 0.
    pub(super) async fn committed(&self) -> anyhow::Result<Option<i64>> {
        let (servers, input) = (self.kafka.bootstrap_servers(), self.input());
        wait_for("what is committed", DEADLINE, async || {
            Ok(harness::committed(servers, self.name, &input, 0).await.ok())
        })
        .await
    }

    /// Waits until this is committed of partition 0.
    pub(super) async fn wait_for_commit(&self, offset: i64) -> anyhow::Result<()> {
        let what = format!("offset {offset} committed by {}", self.name);
        wait_until(&what, DEADLINE, async || Ok(self.committed().await? == Some(offset))).await
    }

    /// Sets the group's offset of partition 0 in the place of its one member, which is gone.
    pub(super) async fn set_committed(&self, offset: i64) -> anyhow::Result<()> {
        let member: BaseConsumer = self
            .kafka
            .client()
            .set("group.id", self.name)
            .set("group.instance.id", format!("{}-1", self.name))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("enable.auto.commit", "false")
            .create()?;
        let input = self.input();
        member.subscribe(&[&input])?;
        wait_until("a place in the group", DEADLINE, async || {
            drop(member.poll(POLL));
            Ok(member.assignment()?.count() > 0)
        })
        .await?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&input, 0, Offset::Offset(offset))?;
        Ok(member.commit(&list, CommitMode::Sync)?)
    }

    /// Deletes the group, as soon as its member's session has ended.
    pub(super) async fn delete_group(&self) -> anyhow::Result<()> {
        let what = "an end of the group's sessions";
        wait_until(what, DEADLINE, async || self.kafka.delete_group(self.name).await).await
    }

    /// Keys of the dead letters, each with what it says of the failure.
    pub(super) async fn dead_letters(&self, count: usize) -> anyhow::Result<Vec<Letter>> {
        let topic = format!("{}-dlq", self.name);
        let partitions = self.kafka.partitions(&topic).await?;
        let reader = reader(&self.kafka, &topic, partitions)?;
        let mut letters = Vec::new();
        wait_until("dead letters", DEADLINE, async || {
            while let Some(message) = reader.poll(POLL) {
                letters.extend(message.ok().as_ref().map(Letter::of).transpose()?);
            }
            Ok(letters.len() >= count)
        })
        .await?;
        Ok(letters)
    }

    /// The end of partition 0 of a topic, or of what is decided there.
    pub(super) async fn end(&self, topic: &str, is_decided: bool) -> anyhow::Result<i64> {
        let level = if is_decided { "read_committed" } else { "read_uncommitted" };
        let asker: BaseConsumer = self.kafka.client().set("isolation.level", level).create()?;
        let ends = wait_for("the ends of a topic", DEADLINE, async || {
            Ok(asker.fetch_watermarks(topic, 0, ANSWER).ok())
        });
        Ok(ends.await?.1)
    }
}

/// A dead letter.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) key: String,
    pub(super) exception: String,
    pub(super) message: String,
}

impl Letter {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> anyhow::Result<Self> {
        let header = |name: &str| {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let mut found = headers.filter(|header| header.key == name);
            let value = found.next().and_then(|header| header.value).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        Ok(Self {
            key: String::from_utf8(message.key().unwrap_or_default().to_vec())?,
            exception: header("__streams.errors.exception"),
            message: header("__streams.errors.message"),
        })
    }
}

/// Reads what is committed to a topic, from its beginning.
fn reader(kafka: &Kafka, topic: &str, partitions: i32) -> anyhow::Result<BaseConsumer> {
    let reader: BaseConsumer = kafka
        .client()
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    reader.assign(&list)?;
    Ok(reader)
}

/// The application as a process, killed with the test.
pub(super) struct App {
    child: Child,
    log: PathBuf,
}

impl App {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    pub(super) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self.id().to_string();
        ensure!(Command::new("kill").args([signal, &id]).status()?.success(), "{signal} {id}");
        Ok(())
    }

    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it in order.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal("-TERM")?;
        let status = self.ended().await?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.log()?);
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        wait_for("an end", DEADLINE, async || Ok(self.child.try_wait()?)).await
    }

    /// Waits until it has stopped by itself, and for these words of its last message.
    pub(super) async fn halts_with(mut self, words: &[&str]) -> anyhow::Result<()> {
        let status = self.ended().await?;
        let log = self.log()?;
        ensure!(status.code() == Some(1), "it ended with {status}:\n{log}");
        for words in words {
            ensure!(log.contains(words), "`{words}` is not in:\n{log}");
        }
        Ok(())
    }

    /// Waits until its log has these words.
    pub(super) async fn says(&self, words: &str) -> anyhow::Result<()> {
        wait_until(words, DEADLINE, async || Ok(self.log()?.contains(words))).await
    }

    /// What it answers to a request.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.url()?);
        Ok(reqwest::get(url).await?.text().await?)
    }

    pub(super) async fn post(&self, path: &str) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.url()?);
        reqwest::Client::new().post(url).send().await?.error_for_status()?;
        Ok(())
    }

    fn url(&self) -> anyhow::Result<String> {
        let log = self.log()?;
        let (_, said) = log.split_once("listening on ").context("it says where it listens")?;
        let address = said.split(|c: char| c.is_whitespace() || c == '\u{1b}').next();
        Ok(format!("http://{}", address.context("an address")?))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
