//! A set of 128-bit ids that are random already.
//!
//! Open addressing with one byte of each id beside it, in 256 shards that grow by a quarter, one at a
//! time. A million ids take 20 to 24 bytes each, and growing takes no more than a shard on top; the
//! standard library's set takes 20 to 39, and half as much again while it grows
//! (`ids_take_less_than_25_bytes_each_also_while_they_grow`).

/// Shards of a set: so many that one that grows, or is written to a snapshot, is a small piece.
pub(super) const SHARDS: usize = 256;
/// Tags that are compared at once; a shard has a multiple of as many slots.
const EIGHT: usize = 8;
/// Slots in use at most, in eighths: probing stays short.
const EIGHTHS_USED: usize = 7;

/// The tag of a slot that was never used.
const EMPTY: u8 = 0;
/// The tag of a slot whose id was removed.
const REMOVED: u8 = 1;

/// A set of ids.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    shards: Vec<Shard>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// [`EMPTY`], [`REMOVED`], or a byte of the slot's id.
    tags: Vec<u8>,
    ids: Vec<u128>,
    /// Slots that are not [`EMPTY`].
    used: usize,
    /// Slots that hold an id.
    count: usize,
}

/// The bits of an id that choose its shard, its tag and its slot have nothing in common.
fn bytes_of(id: u128) -> (usize, u8, u64) {
    let [shard, tag, ..] = id.to_le_bytes();
    (usize::from(shard), tag.max(REMOVED + 1), u64::try_from(id >> 64).unwrap_or(0))
}

/// The upper bit of every byte that is zero. A byte above the first such one may be marked wrongly.
fn zero_bytes(bytes: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; EIGHT]);
    bytes.wrapping_sub(ONES) & !bytes & (ONES << 7)
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], count: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn contains(&self, id: u128) -> bool {
        let (shard, tag, place) = bytes_of(id);
        self.shards.get(shard).is_some_and(|shard| shard.find(id, tag, place).is_some())
    }

    /// Adds an id; false when it is there already.
    pub(super) fn insert(&mut self, id: u128) -> bool {
        let (shard, tag, place) = bytes_of(id);
        let Some(shard) = self.shards.get_mut(shard) else { return false };
        if shard.find(id, tag, place).is_some() {
            return false;
        }
        shard.make_room();
        shard.put(id, tag, place);
        self.count = self.count.saturating_add(1);
        true
    }

    /// Removes an id; false when it is not there.
    pub(super) fn remove(&mut self, id: u128) -> bool {
        let (shard, tag, place) = bytes_of(id);
        let Some(shard) = self.shards.get_mut(shard) else { return false };
        let Some(slot) = shard.find(id, tag, place) else { return false };
        shard.tags[slot] = REMOVED;
        shard.count = shard.count.saturating_sub(1);
        self.count = self.count.saturating_sub(1);
        true
    }

    /// The ids of one shard.
    pub(super) fn shard(&self, shard: usize) -> impl Iterator<Item = u128> + '_ {
        self.shards.get(shard).into_iter().flat_map(Shard::iter)
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.tags.capacity()).sum();
        slots * 17 + self.shards.capacity() * size_of::<Shard>()
    }
}

impl Shard {
    fn iter(&self) -> impl Iterator<Item = u128> + '_ {
        self.tags.iter().zip(&self.ids).filter(|(tag, _)| **tag > REMOVED).map(|(_, id)| *id)
    }

    /// Where the search for an id begins: its leading bits, scaled to the number of eights.
    fn first_slot(&self, place: u64) -> usize {
        let eights = u128::try_from(self.tags.len() / EIGHT).unwrap_or(u128::MAX);
        usize::try_from((u128::from(place) * eights) >> 64).unwrap_or(0) * EIGHT
    }

    /// Looks at eight tags at once, up to the first slot that was never used.
    fn find(&self, id: u128, tag: u8, place: u64) -> Option<usize> {
        let first = self.first_slot(place);
        let (before, after) = self.tags.split_at_checked(first)?;
        let wanted = u64::from_le_bytes([tag; EIGHT]);
        for (part, offset) in [(after, first), (before, 0)] {
            for (index, tags) in part.as_chunks().0.iter().enumerate() {
                let tags = u64::from_le_bytes(*tags);
                let empty = zero_bytes(tags);
                // Those below the first empty one, or all.
                let below = empty.wrapping_sub(1) & !empty;
                let mut found = zero_bytes(tags ^ wanted) & below;
                while found != 0 {
                    let byte = usize::try_from(found.trailing_zeros() / u8::BITS).unwrap_or(0);
                    let slot = offset + index * EIGHT + byte;
                    if self.ids.get(slot) == Some(&id) {
                        return Some(slot);
                    }
                    found &= found - 1;
                }
                if empty != 0 {
                    return None;
                }
            }
        }
        None
    }

    /// Puts an id that is not there into the first slot that has none.
    fn put(&mut self, id: u128, tag: u8, place: u64) {
        let first = self.first_slot(place);
        let free = |tags: &[u8]| tags.iter().position(|tag| *tag <= REMOVED);
        let slot = self
            .tags
            .get(first..)
            .and_then(free)
            .map(|index| first + index)
            .or_else(|| free(&self.tags));
        let Some(slot) = slot else { return };
        self.used += usize::from(self.tags[slot] == EMPTY);
        self.count += 1;
        self.tags[slot] = tag;
        self.ids[slot] = id;
    }

    /// Sees to it that a slot is free and that a search ends soon.
    fn make_room(&mut self) {
        let slots = self.tags.len();
        if (self.used + 1) * 8 <= slots * EIGHTHS_USED {
            return;
        }
        // Where removed ids are what fills it, the same size will do.
        let grown = if self.count * 2 > self.used { slots + slots / 4 } else { slots };
        let grown = grown.next_multiple_of(EIGHT).max(EIGHT);
        let mut larger = Self { tags: vec![EMPTY; grown], ids: vec![0; grown], used: 0, count: 0 };
        for id in self.iter() {
            let (_, tag, place) = bytes_of(id);
            larger.put(id, tag, place);
        }
        *self = larger;
    }
}
