//! What a task commits for one partition: an offset, and what its metadata says.
//!
//! The metadata reads `v1;t=<stream time>;f=<bits>`: the task's stream time, and which records at or
//! above the offset are finished (their outputs are in Kafka, so nobody handles them again).
//! Metadata of another form is somebody else's: it counts as absent.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

use crate::record::Timestamp;

/// How far above the committed offset finished records are remembered: 2 048 bytes of bits, 2 731
/// characters, well below the 4 096 bytes a broker takes (`offset.metadata.max.bytes`).
pub(crate) const FINISHED_AHEAD_MAX: usize = 16_384;

const VERSION: &str = "v1";

/// Records at or above a committed offset that are finished: bit *i* is offset + *i*.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FinishedAhead(Vec<u8>);

impl FinishedAhead {
    /// The finished offsets from `base` on; what lies beyond the bound is forgotten, and handled again
    /// after a restart.
    pub(crate) fn of(base: i64, offsets: impl Iterator<Item = i64>) -> Self {
        let mut bits = Vec::new();
        for offset in offsets {
            let Ok(index) = usize::try_from(offset.saturating_sub(base)) else { continue };
            if index >= FINISHED_AHEAD_MAX {
                continue;
            }
            let (byte, bit) = (index / 8, index % 8);
            if bits.len() <= byte {
                bits.resize(byte.saturating_add(1), 0_u8);
            }
            if let Some(byte) = bits.get_mut(byte) {
                *byte |= 1 << bit;
            }
        }
        Self(bits)
    }

    /// The finished offsets, counted from `base`.
    pub(crate) fn offsets(&self, base: i64) -> impl Iterator<Item = i64> {
        self.0.iter().enumerate().flat_map(move |(byte, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).filter_map(move |bit| {
                i64::try_from(byte.saturating_mul(8).saturating_add(bit))
                    .ok()
                    .map(|index| base.saturating_add(index))
            })
        })
    }

    /// Whether `offset` is finished, counted from `base`.
    pub(crate) fn contains(&self, base: i64, offset: i64) -> bool {
        usize::try_from(offset.saturating_sub(base)).is_ok_and(|index| {
            self.0.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(&self.0)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bits = BASE64_STANDARD_NO_PAD.decode(text).ok()?;
        (bits.len() <= FINISHED_AHEAD_MAX / 8).then_some(Self(bits))
    }
}

/// How far a partition is handled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitPoint {
    /// Everything below is finished.
    pub(crate) offset: i64,
    /// What is finished above.
    pub(crate) finished: FinishedAhead,
    /// The task's stream time; 0 before its first record.
    pub(crate) stream_time: Timestamp,
}

impl CommitPoint {
    /// The metadata of the commit, at most 2 800 bytes.
    pub(crate) fn metadata(&self) -> String {
        let mut text = format!("{VERSION};t={}", self.stream_time);
        if !self.finished.is_empty() {
            text.push_str(";f=");
            text.push_str(&self.finished.encode());
        }
        text
    }

    /// A committed offset and its metadata.
    pub(crate) fn read(offset: i64, metadata: &str) -> Self {
        let bare = Self { offset, ..Self::default() };
        let mut parts = metadata.split(';');
        if parts.next() != Some(VERSION) {
            return bare;
        }
        let mut point = bare.clone();
        for part in parts {
            let read = match part.split_once('=') {
                Some(("t", time)) => time.parse().map(|time| point.stream_time = time).ok(),
                Some(("f", bits)) => FinishedAhead::decode(bits).map(|f| point.finished = f),
                _ => None,
            };
            if read.is_none() {
                return bare;
            }
        }
        point
    }

    /// Whether the record at `offset` is finished.
    pub(crate) fn covers(&self, offset: i64) -> bool {
        offset < self.offset || self.finished.contains(self.offset, offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CommitPoint, FINISHED_AHEAD_MAX, FinishedAhead};

    #[test]
    fn metadata_of_somebody_else_counts_as_none() {
        for foreign in ["", "v2;t=1", "v1;t=x", "v1;f=!!", "v1;x=1", "AgAAAXcSx6P0", "v1;t"] {
            let read = CommitPoint::read(7, foreign);
            assert_eq!(read, CommitPoint { offset: 7, ..CommitPoint::default() }, "{foreign}");
        }
    }

    #[test]
    fn metadata_fits_the_broker_at_the_cap() {
        let all = (0..i64::try_from(FINISHED_AHEAD_MAX).unwrap() + 100).map(|i| i + 5);
        let point =
            CommitPoint { offset: 5, finished: FinishedAhead::of(5, all), stream_time: i64::MIN };
        assert!(point.metadata().len() <= 2_800, "{}", point.metadata().len());
        let oversized = "A".repeat(2_800);
        assert_eq!(FinishedAhead::decode(&oversized), None, "more than the cap is refused");
    }

    proptest! {
        #[test]
        fn point_survives_its_metadata(
            offset in 0_i64..1_000_000,
            ahead in proptest::collection::btree_set(0_i64..16_384, 0..50),
            stream_time in any::<i64>(),
        ) {
            let finished = FinishedAhead::of(offset, ahead.iter().map(|a| a + offset));
            let point = CommitPoint { offset, finished, stream_time };
            let read = CommitPoint::read(offset, &point.metadata());
            prop_assert_eq!(&read, &point);
            for a in 0..16_384 {
                prop_assert_eq!(read.covers(offset + a), ahead.contains(&a));
            }
        }
    }
}
