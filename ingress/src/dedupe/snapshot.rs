//! The memory of event ids as a file, so that a start need not read the raw topic's whole window.
//!
//! ```text
//! magic (8)  version (4)  length of the header (4)  header (JSON)
//! entries (24 each: key, note)
//! count of entries (8)  SHA-256 of everything before (32)
//! ```
//! Numbers have their most significant byte first. A file is written beside its place and renamed
//! when it is whole and on the disk: what is at the place is never half of one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::table::{ENTRY_BYTES, Entry};
use super::{Dedupe, EventKey, Frame};

const MAGIC: [u8; 8] = *b"bs-ids\r\n";

/// The layout above. Another one is not read.
const VERSION: u32 = 1;

/// Bytes of magic, version and length.
const FIXED_BYTES: usize = 16;

/// Longest header: some hundred bytes a partition; a longer one is not ours.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of count and checksum.
const END_BYTES: usize = 40;

/// Entries read or written at once: 96 KiB.
const ENTRIES_AT_ONCE: usize = 4096;

/// How often a file beside the place may be renamed away by another process before we could lock it.
const LOCK_ATTEMPTS: u32 = 3;

/// A record of the raw topic, by what tells it from any other that could stand in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) offset: i64,
    /// Its time, milliseconds.
    pub(crate) time: i64,
    /// Its event, in hex; `None` when it is none of ours.
    #[serde(with = "event")]
    pub(crate) event: Option<EventKey>,
}

mod event {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::EventKey;

    #[expect(clippy::ref_option, reason = "the derived code calls it so")]
    pub(super) fn serialize<S: Serializer>(
        event: &Option<EventKey>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        event.map(|event| event.to_string()).serialize(out)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<EventKey>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let read = text.map(|text| u128::from_str_radix(&text, 16).map(EventKey)).transpose();
        read.map_err(D::Error::custom)
    }
}

/// How far a partition was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    /// The offset to go on at.
    pub(crate) next: i64,
    /// The last record that was read; `None` when none was.
    pub(crate) last: Option<Mark>,
}

/// What the ids of a file belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The cluster's id.
    pub(crate) cluster: String,
    pub(crate) topic: String,
    /// When it was written, milliseconds.
    pub(crate) written_at: i64,
    /// The time from which on every event of the topic is in it, milliseconds.
    pub(crate) since: i64,
    pub(crate) frame: Frame,
    pub(crate) positions: Vec<Position>,
}

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} {path}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another process is writing {path}", path = path.display())]
    Busy { path: PathBuf },
    #[error("it is no snapshot of event ids")]
    NotOurs,
    #[error("it has version {found}; expected {VERSION}")]
    Version { found: u32 },
    #[error("its header is not readable")]
    Header(#[source] serde_json::Error),
    #[error("it is cut off or damaged: {0}")]
    Damaged(&'static str),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_path_buf();
    move |source| SnapshotError::Io { action, path, source }
}

/// Writes to a file and knows the checksum of what it wrote.
struct Summing {
    file: File,
    sum: Sha256,
}

impl Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }
}

/// Writes the memory to `path` and gives the number of its ids. Requests go on meanwhile: the memory
/// is locked for one 256th of it at a time. What they add is in the file or not; it is on the topic
/// behind the header's positions either way.
pub(crate) fn write(path: &Path, header: &Header, dedupe: &Dedupe) -> Result<u64, SnapshotError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io_error("create the folder", folder))?;
    let beside = beside(path, "new");
    let file = locked(&beside)?;
    let mut out = Summing { file, sum: Sha256::new() };
    let count = write_all(&mut out, header, dedupe).map_err(io_error("write", &beside))?;
    out.file.sync_all().map_err(io_error("write to the disk", &beside))?;
    std::fs::rename(&beside, path).map_err(io_error("rename to", path))?;
    // The new name, too, is to outlast a power cut.
    let folder_file = File::open(folder).map_err(io_error("open the folder", folder))?;
    folder_file.sync_all().map_err(io_error("write to the disk", folder))?;
    Ok(count)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// The file, empty, and ours alone: replicas on one machine may share a place, since what one of
/// them remembers holds for all.
fn locked(path: &Path) -> Result<File, SnapshotError> {
    for _ in 0..LOCK_ATTEMPTS {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.map_err(io_error("create", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(io_error("lock", path)(source)),
        }
        // While we waited it may have been renamed to its place by who held it.
        let ours = file.metadata().map_err(io_error("look at", path))?.ino();
        if std::fs::metadata(path).is_ok_and(|there| there.ino() == ours) {
            file.set_len(0).map_err(io_error("empty", path))?;
            return Ok(file);
        }
    }
    Err(SnapshotError::Busy { path: path.to_path_buf() })
}

fn write_all(out: &mut Summing, header: &Header, dedupe: &Dedupe) -> io::Result<u64> {
    let text = serde_json::to_vec(header)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    out.write(&MAGIC)?;
    out.write(&VERSION.to_be_bytes())?;
    out.write(&length.to_be_bytes())?;
    out.write(&text)?;
    let (mut entries, mut bytes) = (Vec::new(), Vec::with_capacity(ENTRIES_AT_ONCE * ENTRY_BYTES));
    let (mut shard, mut count) = (0_usize, 0_u64);
    while dedupe.copy_shard(shard, &mut entries) {
        for some in entries.chunks(ENTRIES_AT_ONCE) {
            bytes.clear();
            bytes.extend(some.iter().flat_map(|entry| entry.to_bytes()));
            out.write(&bytes)?;
        }
        count = count.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        entries.clear();
        shard = shard.saturating_add(1);
    }
    out.write(&count.to_be_bytes())?;
    let sum = out.sum.clone().finalize();
    out.file.write_all(&sum)?;
    Ok(count)
}

/// A file whose header was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    file: BufReader<File>,
    sum: Sha256,
    /// Entries that its length has room for.
    entries: u64,
    /// What its ids belong to.
    pub(crate) header: Header,
}

impl Snapshot {
    /// Opens the file at `path` and reads its header; `None` when there is no file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, SnapshotError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", path)(error)),
        };
        let length = file.metadata().map_err(io_error("look at", path))?.len();
        let mut file = BufReader::with_capacity(ENTRIES_AT_ONCE * ENTRY_BYTES, file);
        let mut sum = Sha256::new();
        let mut fixed = [0; FIXED_BYTES];
        read_exact(&mut file, &mut fixed, path)?;
        sum.update(fixed);
        let (header_bytes, rest) = fixed_part(fixed)?;
        let mut text = vec![0; header_bytes];
        read_exact(&mut file, &mut text, path)?;
        sum.update(&text);
        let header = serde_json::from_slice(&text).map_err(SnapshotError::Header)?;
        let unit = u64::try_from(ENTRY_BYTES).unwrap_or(1);
        let around = u64::try_from(rest).unwrap_or(u64::MAX);
        let room = length.checked_sub(around).filter(|room| room % unit == 0);
        let room = room.ok_or(SnapshotError::Damaged("its length fits no number of ids"))?;
        Ok(Some(Self { path: path.to_path_buf(), file, sum, entries: room / unit, header }))
    }

    /// How many ids it holds if it is whole.
    pub(crate) fn ids(&self) -> u64 {
        self.entries
    }

    /// Reads its ids into `dedupe`, which then remembers them and nothing else; unless the file is
    /// damaged, which is known at its end: then nothing changes. `now` in milliseconds.
    pub(crate) fn load(mut self, dedupe: &Dedupe, now: i64) -> Result<(), SnapshotError> {
        let mut refill = dedupe.refill(self.header.frame, now);
        let mut buffer = vec![0; ENTRIES_AT_ONCE * ENTRY_BYTES];
        let mut left = self.entries;
        let order = SnapshotError::Damaged("its ids are not in order");
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(ENTRIES_AT_ONCE);
            let bytes = buffer.get_mut(..some.saturating_mul(ENTRY_BYTES)).unwrap_or_default();
            read_exact(&mut self.file, bytes, &self.path)?;
            self.sum.update(&*bytes);
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            if !entries.iter().all(|bytes| refill.take(Entry::from_bytes(*bytes))) {
                return Err(order);
            }
            left = left.saturating_sub(u64::try_from(some).unwrap_or(u64::MAX));
        }
        let mut end = [0; END_BYTES];
        read_exact(&mut self.file, &mut end, &self.path)?;
        let (count, sum) = end.split_at(8);
        self.sum.update(count);
        if count != self.entries.to_be_bytes() || sum != self.sum.finalize().as_slice() {
            return Err(SnapshotError::Damaged("its checksum is another"));
        }
        if dedupe.replace(refill) { Ok(()) } else { Err(order) }
    }
}

/// The header's length, and the bytes of everything but the entries.
fn fixed_part(fixed: [u8; FIXED_BYTES]) -> Result<(usize, usize), SnapshotError> {
    let (magic, numbers) = fixed.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(SnapshotError::NotOurs);
    }
    let (version, length) = numbers.split_at(4);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    let found = number(version);
    if found != VERSION {
        return Err(SnapshotError::Version { found });
    }
    let length = usize::try_from(number(length)).unwrap_or(usize::MAX);
    if length > HEADER_BYTES_MAX {
        return Err(SnapshotError::Damaged("its header is too long"));
    }
    Ok((length, length.saturating_add(FIXED_BYTES + END_BYTES)))
}

fn read_exact(file: &mut impl Read, into: &mut [u8], path: &Path) -> Result<(), SnapshotError> {
    file.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it ends too early"),
        _ => io_error("read", path)(error),
    })
}

/// Keeps a file that is not used for a look, in the place of an earlier one, and gives its new path.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, SnapshotError> {
    let aside = beside(path, "set-aside");
    std::fs::rename(path, &aside).map_err(io_error("rename to", &aside))?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
