//! One process per directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// The file that is locked; it holds the process id, for people and for the message.
const NAME: &str = "LOCK";
/// Attempts while another process sets the same directory aside; each lasts microseconds.
const ATTEMPTS: u32 = 16;

/// A held lock. The kernel takes it back with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just forked off has a copy of it.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of a state directory is given back with the process");
        }
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Another process has it.
    Held(Option<u32>),
    Io(io::Error),
}

impl From<io::Error> for NoLock {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Lock {
    /// Makes the directory where there is none, and locks it.
    pub(super) fn take(dir: &Path) -> Result<Self, NoLock> {
        let path = dir.join(NAME);
        for _ in 0..ATTEMPTS {
            fs::create_dir_all(dir)?;
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(NoLock::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            if is_at(&file, &path)? {
                file.set_len(0)?;
                file.write_all(std::process::id().to_string().as_bytes())?;
                return Ok(Self { file });
            }
        }
        Err(io::Error::other("the directory is set aside again and again").into())
    }
}

/// The id in the file; none while the holder has not written it yet.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether the path still leads to this file: between opening and locking it, its directory may
/// have been set aside by the process that held the lock.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
