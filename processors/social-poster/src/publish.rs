//! The effect of the sub-topology `publish`: requested posts in, what became of them out.

use std::time::Duration;

use schemas::{PostPublished, PostRequested};
use streams::{Context, Effect, Outcome, Record, Sink};

use crate::networks::{Answer, Networks, PublishError};

/// Publishes each requested post, once per network.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where posts can go.
    pub networks: Networks,
    /// What became of them.
    pub published: Sink<String, PostPublished>,
}

impl Effect for Publish {
    type Key = String;
    type Value = PostRequested;
    type Answer = Answer;
    type Error = PublishError;

    fn effect_id(&self, record: &Record<String, PostRequested>) -> Option<String> {
        Some(format!("{}|{}", record.value.post_id, record.value.network))
    }

    fn key_validity(&self) -> Duration {
        self.networks.key_validity()
    }

    fn call(
        &self,
        idempotency_key: String,
        record: Record<String, PostRequested>,
    ) -> impl Future<Output = Result<Answer, PublishError>> + Send + 'static {
        self.networks.publish(&idempotency_key, &record.value)
    }

    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, PostRequested>,
        outcome: &Outcome<Answer>,
    ) -> Result<(), PublishError> {
        let told = told(&record.value, outcome, ctx.now());
        if told.outcome == "rejected" || told.outcome == "unknown" {
            let (post_id, network) = (&told.post_id, &told.network);
            tracing::warn!(post_id, network, outcome = told.outcome, "post needs a look");
        }
        ctx.forward(&self.published, &told.post_id, &told)?;
        Ok(())
    }
}

fn told(post: &PostRequested, outcome: &Outcome<Answer>, finished_at: i64) -> PostPublished {
    let mut told = PostPublished {
        post_id: post.post_id.clone(),
        network: post.network.clone(),
        outcome: String::new(),
        network_id: None,
        url: None,
        detail: None,
        attempts: 0,
        finished_at,
    };
    let (word, attempts) = match outcome {
        Outcome::Done { answer: Answer::Published { network_id, url }, attempts } => {
            told.network_id.clone_from(network_id);
            told.url.clone_from(url);
            ("published", attempts)
        }
        Outcome::Done { answer: Answer::DryRun, attempts } => ("dry-run", attempts),
        Outcome::Done { answer: Answer::Rejected { detail }, attempts } => {
            told.detail = Some(detail.clone());
            ("rejected", attempts)
        }
        Outcome::Unknown { attempts, detail } => {
            told.detail = Some(detail.clone());
            ("unknown", attempts)
        }
    };
    word.clone_into(&mut told.outcome);
    told.attempts = i32::try_from(*attempts).unwrap_or(i32::MAX);
    told
}
