//! Room for the servers' data.
use std::path::Path;

use super::Error;

/// Free space below which the platform does not start: Kafka stops for good when its disk fills, and
/// a day of the demo with its segments and indexes takes some hundred megabytes.
const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;

/// Checks that the disk under `dir` has room.
pub(super) fn check(dir: &Path) -> Result<(), Error> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|errno| Error::io("reading the free space of", dir, errno.into()))?;
    enough(dir, stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn enough(dir: &Path, free_bytes: u64) -> Result<(), Error> {
    if free_bytes >= FREE_BYTES_MIN {
        return Ok(());
    }
    let mega = |bytes: u64| bytes / (1024 * 1024);
    Err(Error::DiskFull {
        dir: dir.to_path_buf(),
        free_mb: mega(free_bytes),
        needed_mb: mega(FREE_BYTES_MIN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_full_disk_is_refused_with_numbers() {
        let error = enough(Path::new("/data"), 300 * 1024 * 1024).unwrap_err().to_string();
        assert_eq!(
            error,
            "the disk of /data has 300 MB free, the local platform needs 1024 MB: free some space"
        );
    }

    #[test]
    fn the_disk_of_a_missing_folder_is_an_error() {
        assert!(check(Path::new("/nowhere/at/all")).is_err());
    }
}
