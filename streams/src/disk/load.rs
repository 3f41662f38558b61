//! Reads a directory back: the newest snapshot, then the logs from it on.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use super::{
    Identity, Reflects, Visit, coding,
    files::{self, Found},
    frame::{Frames, Kind, Next},
    title::{NoTitle, Title},
};

/// What was on the disk.
#[derive(Debug)]
pub(super) struct State {
    /// What the last frame reflects.
    pub(super) reflects: Reflects,
    /// Sequence of the next frame.
    pub(super) sequence: u64,
    /// The last log: appends go on there.
    pub(super) generation: u64,
    pub(super) length: u64,
    /// Bytes of the logs before it.
    pub(super) older: u64,
    /// Bytes of the snapshot, 0 when there is none.
    pub(super) snapshot: u64,
}

/// Why there is no state.
#[derive(Debug)]
pub(super) enum Trouble {
    Corrupt(String),
    Foreign(String),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Hands every entry to the visitor, puts right what a crash left behind, and gives `None` where
/// nothing was ever committed.
pub(super) fn load(
    dir: &Path,
    identity: &Identity,
    visit: &mut dyn FnMut(Visit<'_>),
) -> Result<Option<State>, Trouble> {
    let found = files::find(dir)?;
    for generation in &found.unfinished {
        files::remove(&files::unfinished(dir, *generation))?;
    }
    let mut loading = Loading::new(dir, identity, visit);
    if let Some(newest) = found.snapshots.last() {
        loading.snapshot(*newest)?;
    }
    loading.logs(&found)?;
    let state = loading.state();
    if state.is_some() {
        files::remove_older(dir, loading.first)?;
    }
    Ok(state)
}

struct Loading<'a> {
    dir: &'a Path,
    identity: &'a Identity,
    visit: &'a mut dyn FnMut(Visit<'_>),
    /// Generation that the snapshot, or else the first log, is of.
    first: u64,
    /// Bytes that the first log must have for the snapshot to be complete.
    covers: u64,
    snapshot_bytes: u64,
    reflects: Option<Reflects>,
    sequence: u64,
    /// Generation and good bytes of the last log read.
    last: Option<(u64, u64)>,
    older: u64,
}

/// How a log ended.
#[derive(PartialEq, Eq)]
enum Log {
    Whole,
    /// Its end, or itself, is missing; what comes after it is of no use.
    Cut,
}

impl<'a> Loading<'a> {
    fn new(dir: &'a Path, identity: &'a Identity, visit: &'a mut dyn FnMut(Visit<'_>)) -> Self {
        Self {
            dir,
            identity,
            visit,
            first: 0,
            covers: 0,
            snapshot_bytes: 0,
            reflects: None,
            sequence: 0,
            last: None,
            older: 0,
        }
    }

    fn state(&self) -> Option<State> {
        let (generation, length) = self.last?;
        Some(State {
            reflects: self.reflects.clone()?,
            sequence: self.sequence,
            generation,
            length,
            older: self.older,
            snapshot: self.snapshot_bytes,
        })
    }

    fn snapshot(&mut self, generation: u64) -> Result<(), Trouble> {
        let path = files::snapshot(self.dir, generation);
        let corrupt = |what: &str| Trouble::Corrupt(format!("{}: {what}", path.display()));
        let mut frames = Frames::new(File::open(&path)?)?;
        let title = match Title::read(&mut frames, self.identity) {
            Ok(title) if title.generation == generation => title,
            Ok(_) => return Err(corrupt("its name is not its generation")),
            Err(NoTitle::Torn) => return Err(corrupt("it ends in its title")),
            Err(no_title) => return Err(refusal(&path, no_title)),
        };
        let mut entries = 0_u64;
        let end = loop {
            match frames.next()? {
                Next::Frame(frame) if frame.kind == Kind::Piece => {
                    let count = self.entries(coding::Cursor(frame.payload));
                    entries = count
                        .map(|count| entries.saturating_add(count))
                        .ok_or_else(|| corrupt("an entry"))?;
                }
                Next::Frame(frame) if frame.kind == Kind::End => {
                    break End::decode(frame.payload).ok_or_else(|| corrupt("its end"))?;
                }
                Next::Frame(_) => return Err(corrupt("a frame that does not belong there")),
                Next::Bad(what) => return Err(corrupt(what)),
                Next::Torn | Next::End => return Err(corrupt("its end is missing")),
            }
        };
        if end.entries != entries || frames.at() != frames.length() {
            return Err(corrupt("it has not as many entries as it says"));
        }
        self.first = generation;
        self.covers = end.covers;
        self.sequence = title.first_sequence;
        self.snapshot_bytes = frames.length();
        self.reflects = Some(end.reflects);
        Ok(())
    }

    fn logs(&mut self, found: &Found) -> Result<(), Trouble> {
        let logs: Vec<u64> = found.logs.iter().copied().filter(|log| *log >= self.first).collect();
        let mut expected = self.first..;
        if logs.iter().any(|log| expected.next() != Some(*log)) {
            return Err(Trouble::Corrupt(format!(
                "{}: the logs are {logs:?}; expected every one from {} on",
                self.dir.display(),
                self.first,
            )));
        }
        let mut kept = logs.len();
        for (index, generation) in logs.iter().enumerate() {
            if self.log(*generation)? == Log::Cut {
                kept = index.saturating_add(1);
                break;
            }
        }
        for useless in logs.iter().skip(kept).rev() {
            files::remove(&files::log(self.dir, *useless))?;
        }
        if self.covers > 0
            && self.last.is_none_or(|(log, good)| log == self.first && good < self.covers)
        {
            return Err(Trouble::Corrupt(format!(
                "{}: shorter than when its snapshot was finished",
                files::log(self.dir, self.first).display(),
            )));
        }
        Ok(())
    }

    fn log(&mut self, generation: u64) -> Result<Log, Trouble> {
        let path = files::log(self.dir, generation);
        let corrupt = |what: &str| Trouble::Corrupt(format!("{}: {what}", path.display()));
        let mut frames = Frames::new(File::open(&path)?)?;
        let title = match Title::read(&mut frames, self.identity) {
            Ok(title) => title,
            Err(NoTitle::Torn) => {
                // Made and not begun; the log before it is the last one.
                files::remove(&path)?;
                return Ok(Log::Cut);
            }
            Err(no_title) => return Err(refusal(&path, no_title)),
        };
        if title.generation != generation {
            return Err(corrupt("its name is not its generation"));
        }
        if let Some((_, before)) = self.last
            && before < title.log_before
        {
            tracing::warn!(log = %path.display(), "the log before this one lost its end: left out");
            files::remove(&path)?;
            return Ok(Log::Cut);
        }
        if title.first_sequence != self.sequence {
            return Err(corrupt("it does not continue what is before it"));
        }
        self.older = self.older.saturating_add(self.last.map_or(0, |(_, length)| length));
        self.commits(generation, &path, frames)
    }

    fn commits(
        &mut self,
        generation: u64,
        path: &Path,
        mut frames: Frames,
    ) -> Result<Log, Trouble> {
        let corrupt = |what: &str| Trouble::Corrupt(format!("{}: {what}", path.display()));
        let end = loop {
            match frames.next()? {
                Next::Frame(frame)
                    if frame.kind == Kind::Commit && frame.sequence == self.sequence =>
                {
                    let mut from = coding::Cursor(frame.payload);
                    let reflects = from.reflects();
                    self.reflects =
                        Some(reflects.ok_or_else(|| corrupt("what a commit reflects"))?);
                    self.entries(from).ok_or_else(|| corrupt("an entry"))?;
                    self.sequence = self.sequence.saturating_add(1);
                }
                Next::Frame(_) => return Err(corrupt("a frame that does not belong there")),
                Next::Bad(what) => return Err(corrupt(what)),
                Next::Torn => break Log::Cut,
                Next::End => break Log::Whole,
            }
        };
        self.last = Some((generation, frames.at()));
        if end == Log::Cut {
            let (good, torn) = (frames.at(), frames.length().saturating_sub(frames.at()));
            tracing::info!(log = %path.display(), good, torn, "the log ends inside a commit: cut off");
            if generation != self.first || good >= self.covers {
                OpenOptions::new().write(true).open(path)?.set_len(good)?;
            }
        }
        Ok(end)
    }

    /// Visits the entries and counts them; `None` where they are not entries.
    fn entries(&mut self, mut from: coding::Cursor<'_>) -> Option<u64> {
        let mut count = 0_u64;
        while !from.is_empty() {
            let entry = from.entry()?;
            self.identity.stores.get(usize::try_from(entry.store).ok()?)?;
            (self.visit)(Visit::Entry(entry));
            count = count.saturating_add(1);
        }
        Some(count)
    }
}

fn refusal(path: &Path, no_title: NoTitle) -> Trouble {
    match no_title {
        NoTitle::Torn => Trouble::Corrupt(format!("{}: it ends in its title", path.display())),
        NoTitle::Corrupt(what) => Trouble::Corrupt(format!("{}: {what}", path.display())),
        NoTitle::Foreign(what) => Trouble::Foreign(format!("{}: {what}", path.display())),
        NoTitle::Io(error) => Trouble::Io(error),
    }
}

/// The last frame of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Entries that were written.
    pub(super) entries: u64,
    /// Bytes of the log that the entries may know of already: the state is whole only with these.
    pub(super) covers: u64,
    pub(super) reflects: Reflects,
}

impl End {
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> io::Result<()> {
        coding::put_varint(out, self.entries);
        coding::put_varint(out, self.covers);
        coding::put_reflects(out, &self.reflects)
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = coding::Cursor(payload);
        let (entries, covers) = (from.varint()?, from.varint()?);
        let end = Self { entries, covers, reflects: from.reflects()? };
        from.is_empty().then_some(end)
    }
}
