//! What a person sees while Kafka does not answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use streams::admin::{Admin, AdminError, TopicState};
use tokio::time::timeout;

use crate::output;

/// How long an answer may take before something is said: longer than a slow connection takes.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Every topic on the cluster, by name: the first thing that most commands ask.
pub async fn topics(admin: &Admin) -> Result<BTreeMap<String, TopicState>, AdminError> {
    answered_by(admin.servers(), admin.topics(), output::progress).await
}

/// Waits for the first `answer` of `servers`; when it takes long, `say` is told once.
async fn answered_by<T>(
    servers: &str,
    answer: impl Future<Output = T>,
    say: impl FnOnce(&str),
) -> T {
    let mut answer = pin!(answer);
    if let Ok(answered) = timeout(SILENCE_MAX, &mut answer).await {
        return answered;
    }
    say(&format!("Kafka at {servers} has not answered for 3 s; it is asked for up to 20 s"));
    answer.await
}

#[cfg(test)]
mod tests {
    use super::answered_by;

    #[tokio::test]
    async fn a_quick_answer_is_not_announced() {
        let answered = answered_by("k:9092", std::future::ready(7), |text| panic!("said {text}"));
        assert_eq!(answered.await, 7);
    }

    #[tokio::test]
    async fn a_late_answer_is_announced_before_it_comes() {
        let (announced, late) = tokio::sync::oneshot::channel();
        let say = |text: &str| announced.send(text.to_owned()).unwrap();
        let said = answered_by("k:9092", late, say).await.unwrap();
        assert!(said.contains("k:9092"), "{said}");
    }
}
