//! The two questions of Kafka's protocol that librdkafka does not have, as bytes: `DescribeProducers` (61,
//! version 0) and `WriteTxnMarkers` (27, version 1), both in the compact encoding of KIP-482. Brokers
//! have both since 2.8.

use super::{OpenTransaction, Outcome};

/// Keys and versions of the protocol.
pub(super) const DESCRIBE_PRODUCERS: (i16, i16) = (61, 0);
pub(super) const WRITE_TXN_MARKERS: (i16, i16) = (27, 1);

/// What a broker sees as this client's name.
const CLIENT_ID: &str = "bankstream";

/// Bytes that end early, or say what they cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(&'static str);

/// Bytes of a request.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A request's beginning: what is asked for, in which version.
    fn request((key, version): (i16, i16)) -> Self {
        let mut writer = Self::default();
        writer.0.extend(key.to_be_bytes());
        writer.0.extend(version.to_be_bytes());
        // one request per connection
        writer.0.extend(1_i32.to_be_bytes());
        let length = i16::try_from(CLIENT_ID.len()).unwrap_or(i16::MAX);
        writer.0.extend(length.to_be_bytes());
        writer.0.extend(CLIENT_ID.as_bytes());
        writer.tags();
        writer
    }

    fn tags(&mut self) {
        self.0.push(0);
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }

    fn string(&mut self, text: &str) {
        self.varint(text.len().saturating_add(1));
        self.0.extend(text.as_bytes());
    }

    fn array<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.varint(items.len().saturating_add(1));
        for item in items {
            write(self, item);
        }
    }

    fn partitions(&mut self, partitions: &[i32]) {
        self.array(partitions, |writer, partition| writer.0.extend(partition.to_be_bytes()));
    }
}

/// Bytes of an answer, or of a record of Kafka's own.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("it ends early"))
    }

    pub(super) fn i8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    fn varint(&mut self) -> Result<usize, Malformed> {
        let mut value = 0_usize;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than five bytes"))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// A text with its length in two bytes.
    pub(super) fn classic_string(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::try_from(self.i16()?).map_err(|_| Malformed("a text has no length"))?;
        self.text(length)
    }

    pub(super) fn string(&mut self) -> Result<Option<&'a str>, Malformed> {
        self.varint()?.checked_sub(1).map(|length| self.text(length)).transpose()
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Malformed> {
        self.string()?.ok_or(Malformed("a name is missing"))
    }

    /// Length of an array; none for one that is not there. Every item has a byte at least, so what an
    /// answer claims is never more than what it has.
    pub(super) fn length(&mut self) -> Result<Option<usize>, Malformed> {
        self.varint()?.checked_sub(1).map(|length| self.possible(length)).transpose()
    }

    /// Length of an array in four bytes; none for one that is not there.
    pub(super) fn classic_length(&mut self) -> Result<Option<usize>, Malformed> {
        let length = self.i32()?;
        usize::try_from(length).ok().map(|length| self.possible(length)).transpose()
    }

    fn possible(&self, length: usize) -> Result<usize, Malformed> {
        if length > self.0.len() {
            return Err(Malformed("a list is longer than the bytes it is in"));
        }
        Ok(length)
    }

    fn items(&mut self) -> Result<usize, Malformed> {
        self.length()?.ok_or(Malformed("a list is missing"))
    }

    pub(super) fn tags(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Ok(())
    }

    /// The beginning of an answer; what it answers is the one request of its connection.
    fn answer(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Self(bytes);
        reader.i32()?;
        reader.tags()?;
        Ok(reader)
    }
}

/// Asks a leader who has an open transaction in these partitions of its own, by topic.
pub(super) fn describe_producers(topics: &[(String, Vec<i32>)]) -> Vec<u8> {
    let mut writer = Writer::request(DESCRIBE_PRODUCERS);
    writer.array(topics, |writer, (topic, partitions)| {
        writer.string(topic);
        writer.partitions(partitions);
        writer.tags();
    });
    writer.tags();
    writer.0
}

/// What a leader said of one of its partitions: an error of the protocol, or who has a transaction open.
pub(super) type Described = (String, i32, Result<Vec<OpenTransaction>, i16>);

/// Reads the answer to [`describe_producers`].
pub(super) fn described(answer: &[u8]) -> Result<Vec<Described>, Malformed> {
    let mut reader = Reader::answer(answer)?;
    reader.i32()?; // throttled for
    let mut partitions = Vec::new();
    for _ in 0..reader.items()? {
        let topic = reader.name()?.to_owned();
        for _ in 0..reader.items()? {
            partitions.push(described_partition(&mut reader, &topic)?);
        }
        reader.tags()?;
    }
    Ok(partitions)
}

fn described_partition(reader: &mut Reader<'_>, topic: &str) -> Result<Described, Malformed> {
    let partition = reader.i32()?;
    let code = reader.i16()?;
    reader.string()?; // in words
    let mut open = Vec::new();
    for _ in 0..reader.items()? {
        let producer_id = reader.i64()?;
        let producer_epoch = reader.i32()?;
        reader.i32()?; // last sequence
        reader.i64()?; // time of the last record, by its own clock
        let coordinator_epoch = reader.i32()?;
        let first_offset = reader.i64()?;
        reader.tags()?;
        if first_offset >= 0 {
            let topic = topic.to_owned();
            let producer_epoch =
                i16::try_from(producer_epoch).map_err(|_| Malformed("an epoch has two bytes"))?;
            open.push(OpenTransaction {
                topic,
                partition,
                first_offset,
                producer_id,
                producer_epoch,
                coordinator_epoch,
            });
        }
    }
    reader.tags()?;
    Ok((topic.to_owned(), partition, if code == 0 { Ok(open) } else { Err(code) }))
}

/// Asks the leader of its partition to write a transaction's marker.
pub(super) fn write_marker(open: &OpenTransaction, outcome: Outcome) -> Vec<u8> {
    let mut writer = Writer::request(WRITE_TXN_MARKERS);
    writer.array(&[open], |writer, open| {
        writer.0.extend(open.producer_id.to_be_bytes());
        writer.0.extend(open.producer_epoch.to_be_bytes());
        writer.0.push(u8::from(outcome == Outcome::Commit));
        writer.array(&[open], |writer, open| {
            writer.string(&open.topic);
            writer.partitions(&[open.partition]);
            writer.tags();
        });
        // a partition that has seen no marker yet knows of no coordinator: -1
        writer.0.extend(open.coordinator_epoch.max(0).to_be_bytes());
        writer.tags();
    });
    writer.tags();
    writer.0
}

/// Reads the answer to [`write_marker`]: an error of the protocol, 0 for none.
pub(super) fn written(answer: &[u8]) -> Result<i16, Malformed> {
    let mut reader = Reader::answer(answer)?;
    let mut code = None;
    for _ in 0..reader.items()? {
        reader.i64()?; // producer
        for _ in 0..reader.items()? {
            reader.name()?;
            for _ in 0..reader.items()? {
                reader.i32()?; // partition
                code = Some(reader.i16()?);
                reader.tags()?;
            }
            reader.tags()?;
        }
        reader.tags()?;
    }
    code.ok_or(Malformed("it says nothing of the partition"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Malformed, Reader, Writer, describe_producers, described, write_marker, written};
    use crate::admin::transactions::{OpenTransaction, Outcome};

    /// An answer about partition 2 of `t`: a producer without a transaction, and one with.
    fn answer() -> Vec<u8> {
        let mut writer = Writer::default();
        writer.0.extend(1_i32.to_be_bytes());
        writer.tags();
        writer.0.extend(0_i32.to_be_bytes());
        writer.array(&[()], |writer, ()| {
            writer.string("t");
            writer.array(&[()], |writer, ()| {
                writer.0.extend(2_i32.to_be_bytes());
                writer.0.extend(0_i16.to_be_bytes());
                writer.varint(0);
                writer.array(&[(7_i64, -1_i64), (8, 40)], |writer, (producer, first)| {
                    writer.0.extend(producer.to_be_bytes());
                    writer.0.extend(3_i32.to_be_bytes());
                    writer.0.extend(9_i32.to_be_bytes());
                    writer.0.extend(1_700_000_000_000_i64.to_be_bytes());
                    writer.0.extend(5_i32.to_be_bytes());
                    writer.0.extend(first.to_be_bytes());
                    writer.tags();
                });
                writer.tags();
            });
            writer.tags();
        });
        writer.tags();
        writer.0
    }

    fn open() -> OpenTransaction {
        OpenTransaction {
            topic: "t".to_owned(),
            partition: 2,
            first_offset: 40,
            producer_id: 8,
            producer_epoch: 3,
            coordinator_epoch: 5,
        }
    }

    #[test]
    fn only_producers_with_an_open_transaction_are_told() {
        assert_eq!(described(&answer()), Ok(vec![("t".to_owned(), 2, Ok(vec![open()]))]));
    }

    #[test]
    fn requests_are_the_bytes_of_the_protocol() {
        let asked = describe_producers(&[("t".to_owned(), vec![2])]);
        let header = b"\x00\x3d\x00\x00\x00\x00\x00\x01\x00\x0abankstream\x00";
        assert_eq!(asked, [header.as_slice(), b"\x02\x02t\x02\x00\x00\x00\x02\x00\x00"].concat());
        let asked = write_marker(&open(), Outcome::Commit);
        let header = b"\x00\x1b\x00\x01\x00\x00\x00\x01\x00\x0abankstream\x00";
        let marker =
            b"\x02\x00\x00\x00\x00\x00\x00\x00\x08\x00\x03\x01\x02\x02t\x02\x00\x00\x00\x02\x00\
                       \x00\x00\x00\x05\x00\x00";
        assert_eq!(asked, [header.as_slice(), marker].concat());
    }

    #[test]
    fn an_answer_that_names_no_partition_is_no_success() {
        let expected = Malformed("it says nothing of the partition");
        assert_eq!(written(b"\x00\x00\x00\x01\x00\x01\x00"), Err(expected));
        let refused = b"\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x08\x02\x02t\x02\x00\x00\x00\x02\
                        \x00\x1f\x00\x00\x00\x00";
        assert_eq!(written(refused), Ok(31));
    }

    proptest! {
        #[test]
        fn a_cut_answer_is_malformed(cut in 0_usize..80) {
            let answer = answer();
            prop_assume!(cut < answer.len().saturating_sub(1));
            prop_assert!(described(answer.get(..cut).unwrap()).is_err());
        }

        #[test]
        fn any_answer_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(described(&bytes));
            drop(written(&bytes));
        }

        #[test]
        fn numbers_come_back(value in 0_usize..=0xffff_ffff) {
            let mut writer = Writer::default();
            writer.varint(value);
            prop_assert_eq!(Reader(&writer.0).varint(), Ok(value));
        }
    }
}
