//! The file with a webhook's secret, which the bank shows once.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why the secret cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// There is one already.
    #[error(
        "{path} holds the secret of another webhook; delete that webhook and the file, or replace it \
         with --replace, or name another file with --secret-file"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot keep the webhook's secret in {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A place for a secret, made before there is one: when it cannot be kept, the bank is not asked.
///
/// Readable by its owner alone from its first byte on. The secret appears in one step, by a rename: a
/// reader sees the old one, none, or the whole new one.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl SecretFile {
    /// Makes the place. A file that is there already stays, unless it is to be replaced.
    pub fn prepare(path: &Path, replace: bool) -> Result<Self, SecretFileError> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(SecretFileError::Exists { path: path.to_owned() });
        }
        let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
        let folder = path.parent().filter(|parent| *parent != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        let draft = folder.join(format!(".{name}.{:016x}", fastrand::u64(..)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        Ok(Self { path: path.to_owned(), draft, file: file.map_err(failed)? })
    }

    /// Puts the secret in its place and on the disk.
    pub fn keep(mut self, secret: &str) -> Result<PathBuf, SecretFileError> {
        let kept = self
            .file
            .write_all(secret.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.draft, &self.path));
        match kept {
            Ok(()) => Ok(self.path.clone()),
            Err(source) => Err(SecretFileError::Write { path: self.path.clone(), source }),
        }
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // after a rename it is not there any more, which is fine
        drop(fs::remove_file(&self.draft));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{SecretFile, SecretFileError};

    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/up");
        SecretFile::prepare(&path, false).unwrap().keep("hush").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let parent = path.parent().unwrap();
        assert_eq!(parent.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(parent.read_dir().unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn a_secret_that_is_there_stays_until_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up");
        SecretFile::prepare(&path, false).unwrap().keep("old").unwrap();
        let refused = SecretFile::prepare(&path, false).unwrap_err();
        assert!(matches!(refused, SecretFileError::Exists { .. }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\n");
        SecretFile::prepare(&path, true).unwrap().keep("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
    }

    #[test]
    fn a_place_that_was_not_used_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(SecretFile::prepare(&folder.path().join("up"), false).unwrap());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocker = folder.path().join("file");
        std::fs::write(&blocker, "").unwrap();
        let error = SecretFile::prepare(&blocker.join("up"), false).unwrap_err().to_string();
        assert!(error.starts_with("cannot keep the webhook's secret in "), "{error}");
    }
}
