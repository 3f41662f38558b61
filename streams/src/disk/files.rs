//! The files of a directory, by name.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The log of a generation.
pub(super) fn log(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:020}.log"))
}

/// The finished snapshot that a generation begins with.
pub(super) fn snapshot(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:020}.snapshot"))
}

/// The same while it is written.
pub(super) fn unfinished(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:020}.unfinished"))
}

/// Generations that have a file, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) logs: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
    pub(super) unfinished: Vec<u64>,
}

/// Looks what is there. Names that are not ours are left alone.
pub(super) fn find(dir: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some((stem, extension)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let Some(generation) = stem.parse().ok().filter(|_| stem.len() == 20) else { continue };
        match extension {
            "log" => found.logs.push(generation),
            "snapshot" => found.snapshots.push(generation),
            "unfinished" => found.unfinished.push(generation),
            _ => {}
        }
    }
    found.logs.sort_unstable();
    found.snapshots.sort_unstable();
    Ok(found)
}

/// Removes what is older than a finished snapshot of this generation.
pub(super) fn remove_older(dir: &Path, generation: u64) -> io::Result<()> {
    let found = find(dir)?;
    for old in found.logs.into_iter().filter(|old| *old < generation) {
        remove(&log(dir, old))?;
    }
    for old in found.snapshots.into_iter().filter(|old| *old < generation) {
        remove(&snapshot(dir, old))?;
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the directory's list of files survive a power cut.
pub(super) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
