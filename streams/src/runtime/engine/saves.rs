//! The state directories of tasks.
//!
//! A directory follows its task's commits and never overtakes them: a frame is written after the
//! commit it describes. It says from which offset of each changelog a restart has to read on. That
//! offset is asked of the broker now and then; it counts from the first frame written after the
//! answer, which holds everything that lies below it.

use std::path::PathBuf;

use super::{Engine, Owner, Running};
use crate::{
    disk::{self, Disk, Entry, Identity, OpenError, Opened, Reason, Reflects, Snapshot, Visit},
    record::Timestamp,
    task::{Frame, Saved, Task, snapshot::Cursor},
};

/// Entries of a snapshot that are written after one commit: some milliseconds.
const SNAPSHOT_PIECE: usize = 20_000;

/// How old a frame may be for its changelogs to hold every deletion since: a day below what
/// changelogs are made with (`delete.retention.ms`, seven days).
const TRUSTED_FOR_MS: i64 = 6 * 24 * 60 * 60 * 1_000;

/// Where the directories are.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct StateDirectory {
    pub(in crate::runtime) path: PathBuf,
    pub(in crate::runtime) cluster_id: String,
    /// Application, with the run where it is a replay.
    pub(in crate::runtime) application: String,
}

/// The open directory of a task.
pub(super) struct Kept {
    disk: Disk,
    snapshot: Option<(Snapshot, Cursor)>,
    /// What the last frame says.
    reflects: Reflects,
    /// Ends of the changelogs that the next frame may name.
    positions: Option<Vec<i64>>,
}

/// What a task begins from.
#[derive(Clone, Debug, Default)]
pub(in crate::runtime) struct Beginning {
    /// Offsets the state on disk reflects, by input; none without one.
    pub(in crate::runtime) sources: Option<Vec<Option<i64>>>,
    /// Where a restore begins to read, by store; from the changelog's beginning without one.
    pub(in crate::runtime) positions: Vec<Option<i64>>,
    /// Whether deletions may be gone from the changelogs since.
    pub(in crate::runtime) is_old: bool,
}

impl Engine {
    /// Opens the directory of a task and loads what is there.
    pub(in crate::runtime) fn open_directory(
        &mut self,
        owner: Owner,
    ) -> Result<Beginning, OpenError> {
        let now = self.now();
        let Some((path, identity)) = self.directory_of(owner) else {
            return Ok(Beginning::default());
        };
        let Some(running) = self.task(owner) else { return Ok(Beginning::default()) };
        if running.kept.is_some() {
            // An earlier try did not come to its end.
            running.kept = None;
            running.task.forget();
        }
        let task = &mut running.task;
        let opened = disk::open(&path, &identity, now, &mut |visit| load(task, &visit))?;
        let inputs = task.input_topics().count();
        let (disk, reflects, beginning) = match opened {
            Opened::Loaded(disk, reflects) => {
                let beginning = Beginning {
                    sources: Some(reflects.sources.clone()),
                    positions: reflects.positions.clone(),
                    is_old: now.saturating_sub(reflects.written_at) > TRUSTED_FOR_MS,
                };
                (disk, reflects, beginning)
            }
            Opened::Fresh(disk) => {
                let reflects = Reflects {
                    sources: vec![None; inputs],
                    positions: vec![None; identity.stores.len()],
                    stream_time: 0,
                    written_at: now,
                };
                (disk, reflects, Beginning::default())
            }
        };
        running.kept = Some(Kept { disk, snapshot: None, reflects, positions: None });
        Ok(beginning)
    }

    /// What is in the directory does not fit the changelogs: begins with an empty one.
    pub(in crate::runtime) fn renew_directory(&mut self, owner: Owner) {
        let now = self.now();
        let Some(running) = self.task(owner) else { return };
        running.task.forget();
        if let Some(kept) = running.kept.take() {
            set_aside(kept.disk, now);
        }
    }

    fn directory_of(&self, owner: Owner) -> Option<(PathBuf, Identity)> {
        let directory = self.equipment.directory.as_ref()?;
        let sub = self.topology.subs.get(owner.sub)?;
        let running = self.tasks.get(&(owner.sub, owner.partition))?;
        if sub.stores.is_empty() {
            return None;
        }
        let task = format!("{}_{}", sub.name, owner.partition);
        let identity = Identity {
            cluster_id: directory.cluster_id.clone(),
            application: directory.application.clone(),
            task: task.clone(),
            stores: running.task.changelogs().map(|(_, topic, _)| topic.to_string()).collect(),
        };
        Some((directory.path.join(&directory.application).join(task), identity))
    }

    /// Restored changes go to the directory as they come: what is read from the changelog once is not
    /// read again.
    pub(in crate::runtime) fn keep_restored(&mut self, owner: Owner, changes: &[Saved]) {
        let now = self.now();
        if let Some(running) = self.task(owner)
            && let Some(kept) = &mut running.kept
        {
            let reflects = Reflects { written_at: now, ..kept.reflects.clone() };
            let is_kept = kept.append(reflects, changes);
            self.drop_unless(owner, is_kept);
        }
    }

    /// The restore has come to its end: the changelogs' ends, and what is committed.
    pub(in crate::runtime) fn keep_beginning(
        &mut self,
        owner: Owner,
        sources: Vec<Option<i64>>,
        positions: &[(usize, i64)],
    ) {
        let now = self.now();
        let Some(running) = self.task(owner) else { return };
        let Some(kept) = &mut running.kept else { return };
        let mut reflects = Reflects { sources, written_at: now, ..kept.reflects.clone() };
        for (store, position) in positions {
            if let Some(place) = reflects.positions.get_mut(*store) {
                *place = Some(*position);
            }
        }
        let is_kept = kept.append(reflects, &[]);
        self.drop_unless(owner, is_kept);
    }

    /// Writes what a task has committed.
    pub(super) fn save(&mut self, owner: Owner, frame: &Frame) {
        let now = self.now();
        let Some(running) = self.task(owner) else { return };
        let Running { task, kept, .. } = running;
        let Some(open) = kept else { return };
        let positions = open.positions.take();
        let positions = positions.map(|ends| ends.into_iter().map(Some).collect());
        let reflects = Reflects {
            sources: frame.sources.iter().map(|point| point.as_ref().map(|p| p.offset)).collect(),
            positions: positions.unwrap_or_else(|| open.reflects.positions.clone()),
            stream_time: frame.stream_time,
            written_at: now,
        };
        let is_kept = open.append(reflects, &frame.changes) && open.advance_snapshot(task);
        self.drop_unless(owner, is_kept);
    }

    /// A directory that cannot be written is left as it is: behind, which is what the next start
    /// expects, and the changelog has the rest. The task goes on.
    fn drop_unless(&mut self, owner: Owner, is_kept: bool) {
        if is_kept {
            return;
        }
        self.environment.metrics.store_write_errors_total.inc();
        if let Some(running) = self.task(owner) {
            running.kept = None;
        }
    }

    /// The changelogs of tasks that have a directory, to ask for their ends.
    pub(in crate::runtime) fn changelogs(&self) -> Vec<(Owner, Vec<std::sync::Arc<str>>)> {
        let open = self.tasks.values().filter(|r| r.is_restored && r.kept.is_some());
        open.map(|r| (r.owner, r.task.changelogs().map(|(_, topic, _)| topic.clone()).collect()))
            .collect()
    }

    /// The ends that were asked for.
    pub(in crate::runtime) fn set_changelog_ends(&mut self, owner: Owner, ends: Vec<i64>) {
        if let Some(running) = self.task(owner)
            && let Some(kept) = &mut running.kept
        {
            kept.positions = Some(ends);
        }
    }

    /// Nothing is on its way any more: what the changelogs hold now is what the directories hold.
    pub(in crate::runtime) fn keep_ends(&mut self) {
        let now = self.now();
        let mut failed = Vec::new();
        for running in self.tasks.values_mut() {
            let Some(kept) = running.kept.as_mut() else { continue };
            let Some(ends) = kept.positions.take() else { continue };
            let positions = ends.into_iter().map(Some).collect();
            let reflects = Reflects { positions, written_at: now, ..kept.reflects.clone() };
            if !kept.append(reflects, &[]) {
                failed.push(running.owner);
            }
        }
        for owner in failed {
            self.drop_unless(owner, false);
        }
    }

    pub(in crate::runtime) fn close_directory(running: Running) {
        if let Some(kept) = running.kept
            && let Err(error) = kept.disk.close()
        {
            tracing::warn!(%error, "closing a state directory");
        }
    }
}

impl Kept {
    fn append(&mut self, reflects: Reflects, changes: &[Saved]) -> bool {
        let entries = &mut changes.iter().map(entry);
        match self.disk.append(&reflects, entries) {
            Ok(()) => {
                self.reflects = reflects;
                true
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "a state directory cannot be written (is the disk full?); state goes on in \
                     memory and in its changelog, and the next start reads that"
                );
                false
            }
        }
    }

    /// Writes the next piece of a snapshot that is under way, or begins one that is due.
    fn advance_snapshot(&mut self, task: &Task) -> bool {
        let advanced = self.write_piece(task);
        if let Err(error) = &advanced {
            tracing::warn!(%error, "a snapshot cannot be written; the log goes on growing");
            self.snapshot = None;
        }
        // The log alone is enough; the next snapshot may do better.
        true
    }

    fn write_piece(&mut self, task: &Task) -> std::io::Result<()> {
        let (mut snapshot, mut cursor) = match self.snapshot.take() {
            Some(under_way) => under_way,
            None if self.disk.wants_snapshot() => (self.disk.begin_snapshot()?, Cursor::default()),
            None => return Ok(()),
        };
        let mut written = Ok(());
        let has_more = task.snapshot(&mut cursor, SNAPSHOT_PIECE, &mut |saved| {
            if written.is_ok() {
                written = snapshot.push(entry(&saved));
            }
        });
        written?;
        if has_more {
            self.snapshot = Some((snapshot, cursor));
            return Ok(());
        }
        snapshot.finish(&mut self.disk)
    }
}

fn set_aside(disk: Disk, now: Timestamp) {
    match disk.set_aside(Reason::Stale, now) {
        Ok(to) => tracing::warn!(to = %to.display(), "a state directory was set aside"),
        Err(error) => tracing::warn!(%error, "setting a state directory aside"),
    }
}

fn load(task: &mut Task, visit: &Visit<'_>) {
    match visit {
        Visit::Entry(Entry { store, key, value }) => {
            let store = usize::try_from(*store).unwrap_or(usize::MAX);
            let copy = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
            task.restore(store, copy(key), value.map(copy));
        }
        Visit::Reset => task.forget(),
    }
}

fn entry(saved: &Saved) -> Entry<'_> {
    Entry {
        store: u32::try_from(saved.store).unwrap_or(u32::MAX),
        key: &saved.key,
        value: saved.value.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use bytes::Bytes;

    use super::{Beginning, Engine, StateDirectory};
    use crate::{
        Context, Fault, Processor, Record, Store,
        runtime::engine::Equipment,
        task::{Environment, Saved},
        topology::{Effects, Topology},
    };

    struct Keeps;

    impl Processor for Keeps {
        type Key = String;
        type Value = i64;
        type Error = Fault;

        fn process(&mut self, _: &mut Context<'_>, _: &Record<String, i64>) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn engine(handle: tokio::runtime::Handle, path: &Path) -> Engine {
        let mut builder = Topology::builder("app");
        let mut sub = builder.sub_topology("keep", Effects::None);
        let source = sub.source("in", "in");
        let kept: Store<String, i64> = sub.store("kept");
        sub.processor("keep", &source, || Keeps).stores([kept.id()]);
        let directory = StateDirectory {
            path: path.to_owned(),
            cluster_id: "cluster".to_owned(),
            application: "app".to_owned(),
        };
        let equipment = Equipment { directory: Some(directory), ..Equipment::for_tests(handle) };
        let environment = Environment { is_durable: true, ..Environment::for_tests("app") };
        Engine::new(Arc::new(builder.build().unwrap()), environment, equipment)
    }

    /// The next start reads the changelog from there on: what was restored and not written would be
    /// lost with the second crash.
    #[test]
    fn a_directory_reaches_as_far_as_a_restore_only_with_what_was_restored() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let restored = |store| Saved {
            store,
            key: Bytes::from_static(b"k"),
            value: Some(Bytes::from_static(b"7")),
        };
        let mut life = engine(runtime.handle().clone(), dir.path());
        let owner = life.add_task(0, 0).unwrap();
        let Beginning { positions, .. } = life.open_directory(owner).unwrap();
        assert!(positions.is_empty(), "nothing is there");
        life.keep_restored(owner, &[restored(0)]);
        life.keep_beginning(owner, vec![Some(5)], &[(0, 9)]);
        // as a kill does: nothing is closed
        drop(life);

        let mut next = engine(runtime.handle().clone(), dir.path());
        let owner = next.add_task(0, 0).unwrap();
        let Beginning { positions, sources, .. } = next.open_directory(owner).unwrap();
        assert_eq!((positions, sources), (vec![Some(9)], Some(vec![Some(5)])));
        let state = next.task(owner).unwrap().task.state(0).unwrap();
        let value = state.key_value().and_then(|entries| entries.get(b"k"));
        assert_eq!(value.map(|value| value.to_vec()), Some(b"7".to_vec()));
    }
}
