//! A frame: what is written, checked and believed as one.
//!
//! ```text
//! payload length u32 | sequence u64 | kind u8 | CRC-32 of the payload u32 | CRC-32 of these 17 bytes u32 | payload
//! ```
//!
//! The head has a checksum of its own: a damaged length would otherwise look like a frame that the
//! file ends in, which is normal after a crash.

use std::{
    fs::File,
    io::{self, Read},
};

use super::coding::Cursor;

/// Bytes before the payload.
pub(super) const HEAD: usize = 21;
/// Bytes of the head that its own checksum covers.
const HEAD_CHECKED: usize = 17;
/// Largest payload. Far above what one commit changes; a head that says more is damaged.
pub(super) const PAYLOAD_MAX: usize = 1 << 30;
/// Bytes read at once: large enough that the system call costs nothing beside the copy.
const CHUNK: usize = 1 << 20;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What file this is; the first frame of each.
    Title,
    /// One commit: what it reflects, then its changes.
    Commit,
    /// Some entries of a snapshot.
    Piece,
    /// The end of a snapshot.
    End,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Title => 1,
            Self::Commit => 2,
            Self::Piece => 3,
            Self::End => 4,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Title, Self::Commit, Self::Piece, Self::End]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Begins a frame at the end of the buffer; the payload is put behind it, then [`seal`]ed.
pub(super) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start.saturating_add(HEAD), 0);
    start
}

/// Fills in the head of the frame that begins at `start` and ends with the buffer.
pub(super) fn seal(buffer: &mut [u8], start: usize, kind: Kind, sequence: u64) -> io::Result<()> {
    let Some((head, payload)) =
        buffer.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<HEAD>)
    else {
        return Err(io::Error::other("a frame was sealed that was not begun"));
    };
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_MAX)
    else {
        let said = format!(
            "one commit changes {} bytes of state; expected {PAYLOAD_MAX} at most: commit more often",
            payload.len(),
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    };
    head[0..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&sequence.to_le_bytes());
    head[12] = kind.code();
    head[13..HEAD_CHECKED].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let check = crc32fast::hash(&head[..HEAD_CHECKED]);
    head[HEAD_CHECKED..].copy_from_slice(&check.to_le_bytes());
    Ok(())
}

/// A frame that was read and whose checksums hold.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next<'a> {
    Frame(Frame<'a>),
    /// The file ends with its last frame.
    End,
    /// The file ends inside a frame: what a crash in a write leaves behind.
    Torn,
    /// Bytes that no crash of the process explains.
    Bad(&'static str),
}

struct Head {
    payload: usize,
    sequence: u64,
    kind: u8,
    check: u32,
}

/// Reads the frames of a file one after the other, in large pieces.
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    /// Bytes of the file.
    length: u64,
    /// Where in the file the next frame begins.
    at: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet used.
    start: usize,
    end: usize,
}

impl Frames {
    /// From the file's beginning.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length, at: 0, buffer: Vec::new(), start: 0, end: 0 })
    }

    /// Where in the file the next frame begins, which is where the last good one ended.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The next `count` bytes, outside of any frame.
    pub(super) fn raw(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        if !self.fill(count)? {
            return Ok(None);
        }
        let start = self.advance(count);
        Ok(self.buffer.get(start..start.saturating_add(count)))
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        if self.at == self.length {
            return Ok(Next::End);
        }
        if !self.fill(HEAD)? {
            return Ok(Next::Torn);
        }
        let Some(head) = self.head() else {
            return Ok(if self.only_zeros()? { Next::Torn } else { Next::Bad("a frame's head") });
        };
        if head.payload > PAYLOAD_MAX {
            return Ok(Next::Bad("a frame's length"));
        }
        let whole = HEAD.saturating_add(head.payload);
        if !self.fill(whole)? {
            return Ok(Next::Torn);
        }
        let payload = self.start.saturating_add(HEAD)..self.start.saturating_add(whole);
        if crc32fast::hash(self.buffer.get(payload.clone()).unwrap_or_default()) != head.check {
            // The last frame: a power cut may keep a file's length and not its last pages.
            let last =
                self.at.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX)) == self.length;
            return Ok(if last { Next::Torn } else { Next::Bad("a frame's checksum") });
        }
        let Some(kind) = Kind::of(head.kind) else { return Ok(Next::Bad("a frame's kind")) };
        self.advance(whole);
        let payload = self.buffer.get(payload).unwrap_or_default();
        Ok(Next::Frame(Frame { kind, sequence: head.sequence, payload }))
    }

    fn head(&self) -> Option<Head> {
        let (head, _) = self.buffer.get(self.start..self.end)?.split_first_chunk::<HEAD>()?;
        let (checked, check) = head.split_at(HEAD_CHECKED);
        if Cursor(check).u32()? != crc32fast::hash(checked) {
            return None;
        }
        let mut from = Cursor(checked);
        let (payload, sequence) = (usize::try_from(from.u32()?).ok()?, from.u64()?);
        Some(Head { payload, sequence, kind: from.u8()?, check: from.u32()? })
    }

    fn advance(&mut self, count: usize) -> usize {
        let start = self.start;
        self.start = self.start.saturating_add(count);
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        start
    }

    /// Sees to it that `need` bytes are in the buffer; false when the file has fewer.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        let held = self.end.saturating_sub(self.start);
        if held >= need {
            return Ok(true);
        }
        if self.length.saturating_sub(self.at) < u64::try_from(need).unwrap_or(u64::MAX) {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, held);
        let wanted = need.max(CHUNK);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < need {
            match self.file.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end = self.end.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether nothing but zeros follows: a length that grew and pages that were never written.
    /// The reader is of no further use.
    fn only_zeros(&mut self) -> io::Result<bool> {
        let good = self.at;
        let mut zeros = true;
        while zeros && self.at < self.length {
            let rest = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let bytes = self.raw(rest.min(CHUNK))?;
            zeros = bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
        }
        self.at = good;
        Ok(zeros)
    }
}
