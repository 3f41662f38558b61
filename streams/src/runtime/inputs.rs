//! Whether the topics that are read are still the same ones.
//!
//! A topic that is deleted and made anew under its name begins at offset 0 again. The client reads on
//! where it was in the old one, and what lies below would never be read.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::health::State;
use crate::{admin::Admin, native::TopicIds};

/// How often is asked: what may be read of a topic that was made anew is about this much.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Stops the application when one of the topics has another id than at the start. One that is not
/// there at all is told of by the client.
pub(super) async fn watch(
    admin: Admin,
    inputs: Arc<TopicIds>,
    state: Arc<State>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = admin.topic_ids(inputs.keys().cloned().collect()) => answer,
        };
        match answer {
            Ok(now) => {
                if let Some(topic) = renewed(&inputs, &now) {
                    return state.halt(format!(
                        "`{topic}` was deleted and made anew while it was read: its offsets mean \
                         something else now, and records below the old ones may not have been read; \
                         set the group's offset to what you decide, then start again"
                    ));
                }
            }
            Err(error) => tracing::debug!(%error, "the ids of the inputs; asked again later"),
        }
    }
}

fn renewed<'a>(before: &'a TopicIds, now: &TopicIds) -> Option<&'a str> {
    let mut before = before.iter();
    let found = before.find(|(name, id)| now.get(*name).is_some_and(|now| now != *id));
    found.map(|(name, _)| name.as_str())
}
