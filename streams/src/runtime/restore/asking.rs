//! Questions to the broker, asked until there is an answer.

use std::{sync::mpsc::SyncSender, time::Duration};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{Plan, Progress, RestoreError};

/// How long one question to the broker may take before it is asked again.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a question is asked before the restore is given up, and how long between. A broker that
/// starts may refuse at once what it will answer a minute later: together at least five minutes.
const ASK_TRIES: u32 = 300;
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// How often committed offsets are asked for that an open transaction holds up: with pauses 16
/// minutes. Brokers let a transaction be open for 15 (`transaction.max.timeout.ms`), so this one has
/// lost its end.
const HELD_UP_TRIES: u32 = 160;

/// After how many such answers in a row it is said that a transaction is waited for. One alone may be
/// a broker that came back between the two questions.
const SAY_AFTER: u32 = 2;

/// What asks on behalf of one restore.
pub(super) struct Clients {
    /// Sees what is decided, and waits for offsets that are not.
    pub(super) decided: BaseConsumer,
    /// Sees open transactions too.
    pub(super) whole: BaseConsumer,
}

impl Clients {
    pub(super) fn new(servers: &str, group_id: &str) -> Result<Self, KafkaError> {
        let client = |isolation: &str| -> Result<BaseConsumer, KafkaError> {
            ClientConfig::new()
                .set("bootstrap.servers", servers)
                .set("group.id", group_id)
                .set("client.id", format!("{group_id}-restore"))
                .set("enable.auto.commit", "false")
                .set("auto.offset.reset", "earliest")
                .set("isolation.level", isolation)
                .set("allow.auto.create.topics", "false")
                .set("fetch.wait.max.ms", "20")
                .set("fetch.queue.backoff.ms", "5")
                .create()
        };
        Ok(Self { decided: client("read_committed")?, whole: client("read_uncommitted")? })
    }

    /// What the group has committed of the inputs, decided. A transaction that is open keeps this
    /// question waiting, in silence; the same question without the wait tells that from a broker that
    /// does not answer.
    pub(super) fn committed(
        &self,
        plan: &Plan,
        progress: &SyncSender<Progress>,
    ) -> Result<TopicPartitionList, RestoreError> {
        let partition = plan.owner.partition;
        let mut asked = TopicPartitionList::new();
        for topic in &plan.inputs {
            asked.add_partition(topic, partition);
        }
        let (mut silent, mut held_up) = (0, 0);
        loop {
            plan.check_wanted()?;
            let error = match self.decided.committed_offsets(asked.clone(), ASK_TIMEOUT) {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            let says = if self.whole.committed_offsets(asked.clone(), ASK_TIMEOUT).is_ok() {
                held_up += 1;
                if held_up == SAY_AFTER {
                    tracing::warn!(
                        group_id = plan.group_id,
                        inputs = ?plan.inputs,
                        partition,
                        "the committed offsets are held up by an open transaction, which is waited for"
                    );
                }
                (held_up >= SAY_AFTER)
                    .then_some("the committed offsets are held up by an open transaction")
            } else {
                if silent == 0 {
                    tracing::warn!(%error, "restore: asking until there is an answer");
                }
                (silent, held_up) = (silent + 1, 0);
                None
            };
            if held_up >= HELD_UP_TRIES {
                return Err(held_up_for_good(plan));
            }
            if silent >= ASK_TRIES {
                return Err(error.into());
            }
            let says = says.unwrap_or("the committed offsets are asked for").to_owned();
            let told = progress.send(Progress::Waits(plan.owner, says));
            told.map_err(|_| RestoreError::Unheard)?;
            pause();
        }
    }
}

fn held_up_for_good(plan: &Plan) -> RestoreError {
    let topics: Vec<_> = plan.inputs.iter().map(|topic| format!("`{topic}`")).collect();
    RestoreError::HeldUp {
        group_id: plan.group_id.clone(),
        topics: topics.join(", "),
        partition: plan.owner.partition,
    }
}

/// Asks until there is an answer; a broker that restarts is waited for.
pub(super) fn ask<T>(
    plan: &Plan,
    question: impl Fn() -> Result<T, KafkaError>,
) -> Result<T, RestoreError> {
    let mut tries = 0;
    loop {
        plan.check_wanted()?;
        match question() {
            Err(error) if tries < ASK_TRIES => {
                if tries == 0 {
                    tracing::warn!(%error, "restore: asking until there is an answer");
                }
                tries += 1;
                pause();
            }
            answer => return Ok(answer?),
        }
    }
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
    std::thread::sleep(ASK_PAUSE);
}
