//! A task's state on the disk: a log of commits, and snapshots so that the log stays short.
//!
//! The state itself lives in memory, and its changelog topics are the copy that survives the machine.
//! What is here makes a restart quick: [`open`] reads it back, and the changelogs are read only from
//! where it ends. So no commit waits for the disk:
//!
//! - what [`Disk::append`] answered `Ok` for is there after the process was killed
//!   (`kill_nine_keeps_every_acknowledged_commit`);
//! - after a power cut the last commits may be missing, and what is there is a state that once was
//!   (`log_cut_at_any_byte_is_the_state_before_the_cut`);
//! - what cannot be believed is set aside and said, and the changelogs are read from their beginning
//!   (`no_flipped_byte_yields_a_state_that_never_was`);
//! - what a restore had written when it was cut off is deleted, and the restore begins again
//!   (`restore_that_was_cut_off_leaves_nothing_behind`).
//!
//! # Files
//!
//! ```text
//! LOCK                            the process that has the directory
//! 00000000000000000007.snapshot   the state at the beginning of generation 7, or a little later
//! 00000000000000000007.log        the commits since then
//! 00000000000000000008.log        and further ones, while snapshot 8 is written
//! 00000000000000000008.unfinished snapshot 8 until it is whole
//! ```
//!
//! Every file begins with `STRMSTAT`, the version of the format as `u32`, and a frame that says whose
//! it is (`title.rs`); frames follow (`frame.rs`), with entries in them (`coding.rs`).
//!
//! A snapshot is written while the state changes. It may hold a change that came after its beginning,
//! and lack another; the log since its beginning has them all, later ones win, and deletions are in
//! it, so the two together are the state at the log's end. Its last frame says how long the log was
//! when it was finished, and a shorter log makes it invalid.

#![cfg_attr(
    not(any(test, feature = "testing")),
    expect(unreachable_pub, reason = "seen from outside by what measures it: `testing::disk`")
)]

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    thread::{self, JoinHandle},
};

mod aside;
mod coding;
mod files;
mod frame;
mod load;
mod lock;
mod snapshot;
#[cfg(test)]
mod tests;
mod title;

pub use aside::Reason;
pub use snapshot::Snapshot;

use load::Trouble;
use lock::{Lock, NoLock};
use title::Title;

/// Bytes of log below which no snapshot is worth its writing: they are read back in a tenth of a
/// second.
const LOG_MIN: u64 = 32 << 20;
/// A snapshot is due when the log is this many times as large as the last one: what is read at a
/// start stays below three times the state, and what is written below 1.5 times the changes.
const LOG_PER_SNAPSHOT: u64 = 2;
/// Bytes the buffer of a commit keeps between commits; an unusually large one is given back.
const BUFFER_KEPT: usize = 4 << 20;

/// Whose state it is. Another one's is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's own id: offsets mean nothing on another one.
    pub cluster_id: String,
    /// Application, with the run where it is a replay.
    pub application: String,
    /// `<sub-topology>_<partition>`.
    pub task: String,
    /// The changelog topic of each store, in the order of [`Entry::store`].
    pub stores: Vec<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster_id, application, task, stores } = self;
        write!(f, "task {task} of {application} on cluster {cluster_id} with {stores:?}")
    }
}

/// What a commit, and so the state after it, reflects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflects {
    /// Per input: the next offset to read.
    pub sources: Vec<Option<i64>>,
    /// Per store: the offset of its changelog from which a restore has to read on.
    pub positions: Vec<Option<i64>>,
    /// Largest timestamp of the records so far, in milliseconds.
    pub stream_time: i64,
    /// When it was written, in milliseconds since the Unix epoch: tells whether deletions may have
    /// left the changelog since.
    pub written_at: i64,
}

impl Reflects {
    /// Whether this is a state. What a restore has written so far is none: it names no offset of any
    /// input before it has come to its end.
    fn is_whole(&self) -> bool {
        self.sources.iter().any(Option::is_some)
    }
}

/// One entry of a store, or a change of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Index into [`Identity::stores`].
    pub store: u32,
    /// Key.
    pub key: &'a [u8],
    /// Value; `None` deletes.
    pub value: Option<&'a [u8]>,
}

/// What [`open`] hands over, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit<'a> {
    /// Apply this: later ones win.
    Entry(Entry<'a>),
    /// Forget everything so far: it is damaged or not whole, and [`Opened::Fresh`] follows.
    Reset,
}

/// What was found.
#[derive(Debug)]
pub enum Opened {
    /// Nothing that can be used: restore from the changelogs' beginnings. A visitor that was handed
    /// something has been told to forget it.
    Fresh(Disk),
    /// A state, which was handed to the visitor, and what it reflects.
    Loaded(Disk, Reflects),
}

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// One process per directory.
    #[error(
        "state directory {dir} is in use by {}: stop it, or give this one a directory of its own",
        .pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it, where it has said so yet.
        pid: Option<u32>,
    },
    /// The file system refuses.
    #[error("cannot {doing} state directory {dir}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Opens the state in a directory and reads it back.
///
/// Makes the directory where there is none. What is damaged, or another one's, is renamed to
/// `<dir>.corrupt-<now>` or `<dir>.foreign-<now>`, of which two are kept, and is said as a warning;
/// `now` is in milliseconds since the Unix epoch.
pub fn open(
    dir: &Path,
    identity: &Identity,
    now: i64,
    visit: &mut dyn FnMut(Visit<'_>),
) -> Result<Opened, OpenError> {
    let io = |doing| move |source| OpenError::Io { doing, dir: dir.to_owned(), source };
    let lock = lock(dir)?;
    let (reason, what) = match load::load(dir, identity, visit) {
        Ok(Some(state)) if !state.reflects.is_whole() => {
            tracing::info!(dir = %dir.display(), "a restore was cut off here: beginning it again");
            visit(Visit::Reset);
            let disk = Disk::fresh(dir, identity, lock).map_err(io("begin the log of"))?;
            return Ok(Opened::Fresh(disk));
        }
        Ok(Some(state)) => {
            let disk = Disk::loaded(dir, identity, lock, &state).map_err(io("open the log of"))?;
            return Ok(Opened::Loaded(disk, state.reflects));
        }
        Ok(None) => {
            let disk = Disk::fresh(dir, identity, lock).map_err(io("begin the log of"))?;
            return Ok(Opened::Fresh(disk));
        }
        Err(Trouble::Io(source)) => return Err(io("read")(source)),
        Err(Trouble::Corrupt(what)) => (Reason::Corrupt, what),
        Err(Trouble::Foreign(what)) => (Reason::Foreign, what),
    };
    visit(Visit::Reset);
    let moved_to = aside::set_aside(dir, reason, now).map_err(io("set aside"))?;
    tracing::warn!(%what, moved_to = %moved_to.display(), "state set aside: restoring from the changelogs");
    drop(lock);
    let lock = self::lock(dir)?;
    let disk = Disk::fresh(dir, identity, lock).map_err(io("begin the log of"))?;
    Ok(Opened::Fresh(disk))
}

fn lock(dir: &Path) -> Result<Lock, OpenError> {
    Lock::take(dir).map_err(|no_lock| match no_lock {
        NoLock::Held(pid) => OpenError::InUse { dir: dir.to_owned(), pid },
        NoLock::Io(source) => OpenError::Io { doing: "lock", dir: dir.to_owned(), source },
    })
}

/// The state of one task on the disk.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    identity: Identity,
    log: File,
    generation: u64,
    /// Good bytes of the log: the next frame goes here.
    length: u64,
    /// Bytes of the logs before it that no snapshot replaces yet.
    older: u64,
    /// Bytes of the last snapshot.
    snapshot: u64,
    /// Of the next frame.
    sequence: u64,
    /// What the last frame reflects.
    reflects: Option<Reflects>,
    buffer: Vec<u8>,
    /// A failed write left bytes behind the last good frame.
    torn: bool,
    /// The last append failed: its changes are in memory, not here.
    behind: bool,
    /// Bytes of log before which no snapshot is tried again.
    not_before: u64,
    running: Weak<()>,
    settling: Option<JoinHandle<io::Result<u64>>>,
    /// Last, so that it is given back when all else is done.
    _lock: Lock,
}

impl Disk {
    fn fresh(dir: &Path, identity: &Identity, lock: Lock) -> io::Result<Self> {
        for log in files::find(dir)?.logs.into_iter().rev() {
            files::remove(&files::log(dir, log))?;
        }
        let title =
            Title { identity: identity.clone(), generation: 0, first_sequence: 0, log_before: 0 };
        let (log, length) = create_log(dir, &title)?;
        files::sync_directory(dir)?;
        Ok(Self::new(dir, title, log, length, lock))
    }

    fn loaded(
        dir: &Path,
        identity: &Identity,
        lock: Lock,
        state: &load::State,
    ) -> io::Result<Self> {
        let log = OpenOptions::new().write(true).open(files::log(dir, state.generation))?;
        let title = Title {
            identity: identity.clone(),
            generation: state.generation,
            first_sequence: state.sequence,
            log_before: 0,
        };
        let mut disk = Self::new(dir, title, log, state.length, lock);
        (disk.older, disk.snapshot) = (state.older, state.snapshot);
        disk.reflects = Some(state.reflects.clone());
        Ok(disk)
    }

    fn new(dir: &Path, title: Title, log: File, length: u64, lock: Lock) -> Self {
        Self {
            dir: dir.to_owned(),
            identity: title.identity,
            log,
            generation: title.generation,
            length,
            older: 0,
            snapshot: 0,
            sequence: title.first_sequence,
            reflects: None,
            buffer: Vec::new(),
            torn: false,
            behind: false,
            not_before: 0,
            running: Weak::new(),
            settling: None,
            _lock: lock,
        }
    }

    /// Writes one commit: what the state reflects with it, and its changes in order.
    ///
    /// All of it is there after a crash, or nothing. After an error nothing of it is there, and the
    /// changes have to be part of the next commit that is appended (or the state is set aside).
    pub fn append(
        &mut self,
        reflects: &Reflects,
        changes: &mut dyn Iterator<Item = Entry<'_>>,
    ) -> io::Result<()> {
        self.reap();
        self.behind = true;
        self.repair()?;
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        coding::put_reflects(&mut self.buffer, reflects)?;
        for change in changes {
            coding::put_entry(&mut self.buffer, change);
        }
        frame::seal(&mut self.buffer, start, frame::Kind::Commit, self.sequence)?;
        if let Err(error) = self.log.write_all_at(&self.buffer, self.length) {
            self.torn = true;
            self.repair()?;
            return Err(error);
        }
        self.length =
            self.length.saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        self.sequence = self.sequence.saturating_add(1);
        self.reflects = Some(reflects.clone());
        self.behind = false;
        self.buffer.shrink_to(BUFFER_KEPT);
        Ok(())
    }

    /// Cuts off what a failed write left.
    fn repair(&mut self) -> io::Result<()> {
        if self.torn {
            self.log.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        self.older.saturating_add(self.length)
    }

    /// Whether the log has grown so long that a snapshot pays. Not while one is being written, and
    /// after one that failed only when as much has been added again as makes the first one due.
    pub fn wants_snapshot(&self) -> bool {
        let due = LOG_MIN.max(self.snapshot.saturating_mul(LOG_PER_SNAPSHOT)).max(self.not_before);
        self.log_bytes() > due
            && self.reflects.is_some()
            && self.settling.is_none()
            && self.running.strong_count() == 0
    }

    /// Begins a snapshot; commits go to a new log from now on.
    pub fn begin_snapshot(&mut self) -> io::Result<Snapshot> {
        self.settle()?;
        if self.running.strong_count() > 0 {
            return Err(io::Error::other("a snapshot is being written already"));
        }
        if self.reflects.is_none() {
            return Err(io::Error::other("a snapshot of a state that nothing was committed to"));
        }
        self.repair()?;
        self.not_before = self.log_bytes().saturating_add(LOG_MIN);
        let title = Title {
            identity: self.identity.clone(),
            generation: self.generation.saturating_add(1),
            first_sequence: self.sequence,
            log_before: self.length,
        };
        let running = Arc::new(());
        self.running = Arc::downgrade(&running);
        let snapshot = Snapshot::create(&self.dir, title.generation, &title.encode()?, running)?;
        let (log, length) = create_log(&self.dir, &title)?;
        self.older = self.older.saturating_add(self.length);
        (self.log, self.length, self.generation) = (log, length, title.generation);
        Ok(snapshot)
    }

    /// Bytes of the log that a snapshot of this generation needs, and what they reflect.
    fn covered_by(&self, generation: u64) -> io::Result<(u64, Reflects)> {
        match &self.reflects {
            Some(reflects) if generation == self.generation && !self.behind => {
                Ok((self.length, reflects.clone()))
            }
            _ if self.behind => {
                Err(io::Error::other("the state is ahead of the log: append first"))
            }
            _ => Err(io::Error::other("the snapshot is not of this log")),
        }
    }

    fn settle_later(&mut self, snapshot: Snapshot) -> io::Result<()> {
        let settling = snapshot.settling(&self.dir, self.log.try_clone()?);
        let thread = thread::Builder::new().name("snapshot".to_owned());
        self.settling = Some(thread.spawn(move || settling.run())?);
        Ok(())
    }

    /// Waits until the last finished snapshot is on the disk, and says whether it got there.
    pub fn settle(&mut self) -> io::Result<()> {
        let Some(thread) = self.settling.take() else { return Ok(()) };
        let panicked = |_| Err(io::Error::other("the thread that syncs the snapshot panicked"));
        self.snapshot = thread.join().unwrap_or_else(panicked)?;
        self.older = 0;
        self.not_before = 0;
        Ok(())
    }

    /// Takes the news of a finished snapshot without waiting. A failure is no more than a longer log.
    fn reap(&mut self) {
        if self.settling.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle_or_warn();
        }
    }

    fn settle_or_warn(&mut self) {
        if let Err(error) = self.settle() {
            tracing::warn!(dir = %self.dir.display(), %error, "snapshot failed: the log grows on");
        }
    }

    /// Moves the whole directory away, as [`open`] does with what is damaged, and gives its new name.
    /// The next [`open`] begins anew. `now` is in milliseconds since the Unix epoch.
    pub fn set_aside(mut self, reason: Reason, now: i64) -> io::Result<PathBuf> {
        self.settle_or_warn();
        aside::set_aside(&self.dir, reason, now)
    }

    /// Ends in order: what was appended survives a power cut as well.
    pub fn close(mut self) -> io::Result<()> {
        self.settle()?;
        self.log.sync_data()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The thread renames and removes files: not after the lock is given back.
        self.settle_or_warn();
    }
}

fn create_log(dir: &Path, title: &Title) -> io::Result<(File, u64)> {
    let path = files::log(dir, title.generation);
    let bytes = title.encode()?;
    let log = File::create(&path)?;
    if let Err(error) = log.write_all_at(&bytes, 0) {
        files::remove(&path)?;
        return Err(error);
    }
    Ok((log, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}
