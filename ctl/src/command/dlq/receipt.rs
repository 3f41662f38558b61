//! What a record that was sent again says of the letter it was.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use streams::{Headers, Position};

use super::cluster::Cluster;
use super::letter::{Letter, headers_of};

/// The header; processors hand it on, as they do with all.
pub(super) const REDRIVEN: &str = "__streams.redriven";

/// The header's value, as JSON. It is the memory of the command: nothing else is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// The dead letter, `topic/partition/offset`.
    pub(super) letter: String,
    /// The record that failed, `topic/partition/offset`.
    pub(super) record: String,
    /// How it failed.
    pub(super) exception: String,
    /// Tries so far, all redrives together.
    pub(super) attempts: u32,
    /// How often it was sent again, this time included.
    pub(super) redrives: u32,
}

impl Receipt {
    pub(super) fn read(headers: &Headers) -> Option<Self> {
        serde_json::from_slice(headers.last(REDRIVEN)?).ok()
    }

    /// Puts it in place of an older one.
    pub(super) fn write(&self, headers: &mut Headers) -> anyhow::Result<()> {
        headers.remove_prefix(REDRIVEN);
        headers.push(REDRIVEN, serde_json::to_vec(self)?);
        Ok(())
    }

    /// Whether it belongs to the record at `failed` of the app with these dead letters, and was not
    /// handed on to it from a record further up.
    pub(super) fn is_of(&self, dead_letters: &str, failed: &Position) -> bool {
        let letter = Position::parse(&self.letter);
        let record = Position::parse(&self.record);
        letter.is_some_and(|letter| *letter.topic == *dead_letters)
            && record.is_some_and(|record| {
                record.topic == failed.topic && record.partition == failed.partition
            })
    }
}

/// Which of `letters` were sent again already. A record that was sent again stands in the partition it
/// came from, behind its failed self: there it is looked for. Only records that are still there can be
/// found; a letter whose record the topic no longer keeps is refused for its age.
pub(super) async fn redriven(
    cluster: &Cluster,
    letters: &[Letter],
) -> anyhow::Result<BTreeSet<Position>> {
    let mut found = BTreeSet::new();
    for (topic, offsets) in places(letters) {
        if cluster.partitions(&topic).is_none() {
            continue;
        }
        let mut reading = cluster.read_from(&topic, &offsets).await?;
        while let Some(record) = reading.next().await {
            let receipt = Receipt::read(&headers_of(record?.headers));
            found.extend(receipt.and_then(|receipt| Position::parse(&receipt.letter)));
        }
    }
    Ok(found)
}

/// The first offset behind the oldest failure, by topic and partition.
fn places(letters: &[Letter]) -> BTreeMap<String, BTreeMap<i32, i64>> {
    let mut places: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for failed in letters.iter().filter_map(|letter| Some(&letter.reason.as_ref()?.position)) {
        let behind = failed.offset.saturating_add(1);
        let partitions = places.entry(failed.topic.to_string()).or_default();
        let first = partitions.entry(failed.partition).or_insert(behind);
        *first = behind.min(*first);
    }
    places
}

#[cfg(test)]
mod tests {
    use streams::{Headers, Position};

    use super::super::letter::testing::letter;
    use super::{Receipt, places};

    fn receipt() -> Receipt {
        Receipt {
            letter: "app-dlq/0/3".to_owned(),
            record: "in/1/17".to_owned(),
            exception: "app::Error".to_owned(),
            attempts: 5,
            redrives: 1,
        }
    }

    #[test]
    fn receipt_survives_its_header_and_replaces_an_older_one() {
        let mut headers = Headers::new();
        headers.push("kept", "1");
        receipt().write(&mut headers).unwrap();
        let again = Receipt { redrives: 2, ..receipt() };
        again.write(&mut headers).unwrap();
        assert_eq!(Receipt::read(&headers), Some(again));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn receipt_that_was_handed_on_is_not_the_records_own() {
        #[track_caller]
        fn check(dead_letters: &str, failed: &str, expect: bool) {
            let failed = Position::parse(failed).unwrap();
            assert_eq!(receipt().is_of(dead_letters, &failed), expect);
        }
        check("app-dlq", "in/1/90", true);
        check("app-dlq", "in/2/90", false);
        check("app-dlq", "out/1/90", false);
        check("other-dlq", "in/1/90", false);
    }

    #[test]
    fn receipts_are_looked_for_behind_the_oldest_failure_of_each_partition() {
        let letters = [letter(0, "in/1/17"), letter(1, "in/1/9"), letter(2, "in/0/4")];
        let places = places(&letters);
        let partitions: Vec<(i32, i64)> = places["in"].iter().map(|(p, o)| (*p, *o)).collect();
        assert_eq!(partitions, [(0, 5), (1, 10)]);
    }
}
