//! State that cannot be used is moved away, not deleted: somebody may want to know why.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Directories kept per task. Each may be as large as the state; two show whether the second fault
/// is the first one again.
pub(super) const KEPT: usize = 2;
/// Names tried, one per millisecond, when one is taken.
const NAMES: i64 = 100;

/// Why state cannot be used; becomes part of the directory's new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Damaged.
    Corrupt,
    /// Of another cluster, application, task, set of stores, or version of the format.
    Foreign,
    /// Does not fit its changelog: too old, or of a topic that was made anew.
    Stale,
}

impl Reason {
    const ALL: [Self; 3] = [Self::Corrupt, Self::Foreign, Self::Stale];

    fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::Foreign => "foreign",
            Self::Stale => "stale",
        }
    }
}

/// Renames the directory to `<dir>.<reason>-<now>` and removes the oldest of those beyond [`KEPT`].
/// Gives the new name.
pub(super) fn set_aside(dir: &Path, reason: Reason, now: i64) -> io::Result<PathBuf> {
    for at in now..now.saturating_add(NAMES) {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".{}-{at}", reason.name()));
        let to = PathBuf::from(name);
        if fs::exists(&to)? {
            continue;
        }
        fs::rename(dir, &to)?;
        remove_oldest(dir)?;
        return Ok(to);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name to set it aside under is taken"))
}

fn remove_oldest(dir: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let mut kept: Vec<(i64, OsString)> = Vec::new();
    for entry in fs::read_dir(parent)? {
        let found = entry?.file_name();
        if let Some(at) = found.to_str().and_then(|found| aside_of(found, name)) {
            kept.push((at, found));
        }
    }
    kept.sort_unstable();
    let surplus = kept.len().saturating_sub(KEPT);
    for (_, name) in kept.into_iter().take(surplus) {
        fs::remove_dir_all(parent.join(name))?;
    }
    Ok(())
}

/// When this directory was set aside, if it is one of that name.
fn aside_of(found: &str, name: &str) -> Option<i64> {
    let (reason, at) = found.strip_prefix(name)?.strip_prefix('.')?.split_once('-')?;
    Reason::ALL.iter().find(|known| known.name() == reason)?;
    at.parse().ok()
}
