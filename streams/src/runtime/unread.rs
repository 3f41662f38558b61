//! Partitions that nobody of the group reads.
//!
//! A group divides the partitions that its topics have at a rebalance. Those that are added later are
//! looked for by its leader; but a static member that comes back within its session gets its share
//! without a rebalance and does not know that it leads, so then nobody looks. Here every member does, and
//! one of them leaves and joins again: that is a rebalance. (With KIP-848 the broker looks.)

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::health::State;
use crate::admin::{Admin, AdminError, Place, Shares, TopicState};

/// How often is looked. Partitions are added seldom, and their records wait on the topic.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What one member of a group watches.
pub(super) struct Watched {
    group_id: String,
    /// The name that this member's client has in the group.
    client_id: String,
    /// The topics it reads.
    topics: Vec<String>,
}

impl Watched {
    pub(super) fn new<'a>(
        group_id: String,
        instance: &str,
        topics: impl Iterator<Item = &'a String>,
    ) -> Self {
        let client_id = format!("{group_id}-{instance}");
        Self { group_id, client_id, topics: topics.cloned().collect() }
    }
}

/// Asks the stream thread to join again when partitions stay unread through two looks, once for the
/// same ones.
pub(super) async fn watch(
    admin: Admin,
    watched: Watched,
    state: Arc<State>,
    stop: CancellationToken,
) {
    let (mut before, mut answered) = (BTreeSet::new(), BTreeSet::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = look(&admin, &watched) => found,
        };
        let found = found.unwrap_or_else(|error| {
            tracing::debug!(%error, "who reads what; asked again later");
            BTreeSet::new()
        });
        if !found.is_empty() && found == before && found != answered {
            tracing::warn!(
                partitions = ?found,
                "nobody in the group reads these partitions; joining it again to have them divided"
            );
            state.want_rejoin();
            answered.clone_from(&found);
        }
        before = found;
    }
}

async fn look(admin: &Admin, watched: &Watched) -> Result<BTreeSet<Place>, AdminError> {
    let Some(shares) = admin.shares(&watched.group_id).await? else { return Ok(BTreeSet::new()) };
    Ok(unread(watched, &shares, &admin.topics().await?))
}

/// The partitions to join again for: of one member, the first, and of none of the others.
fn unread(
    watched: &Watched,
    shares: &Shares,
    topics: &BTreeMap<String, TopicState>,
) -> BTreeSet<Place> {
    if shares.members.first() != Some(&watched.client_id) {
        return BTreeSet::new();
    }
    let there = watched.topics.iter().filter_map(|topic| topics.get(topic));
    let places = there
        .flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.clone(), partition)));
    places.filter(|place| !shares.read.contains(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, BTreeSet, Place, Shares, TopicState, Watched, unread};

    fn place(topic: &str, partition: i32) -> Place {
        (topic.to_owned(), partition)
    }

    #[test]
    fn partitions_that_no_member_has_are_for_the_first_member_to_join_again_for() {
        let topics: BTreeMap<_, _> = [("in", 3), ("other", 2)]
            .map(|(name, partitions)| {
                let name = name.to_owned();
                (name.clone(), TopicState { name, partitions, replication: 1 })
            })
            .into();
        let shares = |read: &[(&str, i32)]| Shares {
            members: BTreeSet::from(["app-1".to_owned(), "app-2".to_owned()]),
            read: read.iter().map(|(topic, partition)| place(topic, *partition)).collect(),
        };
        let check = |instance: &str, read: &[(&str, i32)], expect: &[Place]| {
            let reads = ["in".to_owned(), "gone".to_owned()];
            let watched = Watched::new("app".to_owned(), instance, reads.iter());
            let found = unread(&watched, &shares(read), &topics);
            assert_eq!(found, expect.iter().cloned().collect(), "{instance} {read:?}");
        };
        check("1", &[("in", 0), ("in", 1)], &[place("in", 2)]);
        check("2", &[("in", 0), ("in", 1)], &[]);
        check("1", &[("in", 0), ("in", 1), ("in", 2)], &[]);
        check("3", &[], &[]);
    }
}
