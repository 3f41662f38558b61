//! The whole state in one file, written piece by piece while commits go on.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Disk, Entry, coding, files,
    frame::{self, Kind},
    load::End,
};

/// Bytes of entries in one frame: large enough that its head and checksum cost nothing, small
/// beside the memory of a task.
const PIECE: usize = 256 << 10;

/// A snapshot that is being written. Dropped before [`finish`](Self::finish), it leaves nothing.
///
/// Every entry that existed when it began and was not changed since has to be pushed once; an entry
/// that was changed since may be pushed in any of its versions, or not at all, because a load
/// replays the log from the beginning of the snapshot over it.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    path: Unfinished,
    generation: u64,
    buffer: Vec<u8>,
    piece: usize,
    entries: u64,
    bytes: u64,
    /// While this lives, the disk asks for no other one.
    _running: Arc<()>,
}

/// Removes the file again unless it was kept.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = files::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "unfinished snapshot left behind");
        }
    }
}

/// A finished snapshot that has yet to reach the disk itself.
#[derive(Debug)]
pub(super) struct Settling {
    dir: PathBuf,
    log: File,
    file: File,
    path: Unfinished,
    generation: u64,
    /// Bytes of the snapshot.
    pub(super) bytes: u64,
}

impl Snapshot {
    pub(super) fn create(
        dir: &Path,
        generation: u64,
        title: &[u8],
        running: Arc<()>,
    ) -> io::Result<Self> {
        let path = files::unfinished(dir, generation);
        let mut file = File::create(&path)?;
        let path = Unfinished { path, kept: false };
        file.write_all(title)?;
        let mut buffer = Vec::with_capacity(PIECE);
        let piece = frame::begin(&mut buffer);
        let bytes = u64::try_from(title.len()).unwrap_or(u64::MAX);
        Ok(Self { file, path, generation, buffer, piece, entries: 0, bytes, _running: running })
    }

    /// Adds an entry; mostly it is only copied.
    pub fn push(&mut self, entry: Entry<'_>) -> io::Result<()> {
        coding::put_entry(&mut self.buffer, entry);
        self.entries = self.entries.saturating_add(1);
        if self.buffer.len() >= PIECE {
            self.write(Kind::Piece)?;
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind) -> io::Result<()> {
        frame::seal(&mut self.buffer, self.piece, kind, 0)?;
        self.file.write_all(&self.buffer)?;
        self.bytes =
            self.bytes.saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        self.buffer.clear();
        self.buffer.shrink_to(PIECE);
        self.piece = frame::begin(&mut self.buffer);
        Ok(())
    }

    /// Ends the snapshot and hands it over to a thread that syncs the log and the snapshot, gives it
    /// its name and removes the files it replaces; commits go on meanwhile.
    ///
    /// Refused while the last append has failed: the state in memory, and so the snapshot, is then
    /// ahead of the log that it has to be read with.
    pub fn finish(mut self, disk: &mut Disk) -> io::Result<()> {
        self.write(Kind::Piece)?;
        let (covers, reflects) = disk.covered_by(self.generation)?;
        End { entries: self.entries, covers, reflects }.encode(&mut self.buffer)?;
        self.write(Kind::End)?;
        disk.settle_later(self)
    }

    pub(super) fn settling(self, dir: &Path, log: File) -> Settling {
        let Self { file, path, generation, bytes, .. } = self;
        Settling { dir: dir.to_owned(), log, file, path, generation, bytes }
    }
}

impl Settling {
    /// The order matters: a snapshot with a name is whole, and so is the log it needs.
    pub(super) fn run(mut self) -> io::Result<u64> {
        self.log.sync_data()?;
        self.file.sync_all()?;
        fs::rename(&self.path.path, files::snapshot(&self.dir, self.generation))?;
        self.path.kept = true;
        files::sync_directory(&self.dir)?;
        files::remove_older(&self.dir, self.generation)?;
        Ok(self.bytes)
    }
}
