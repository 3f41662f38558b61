//! The servers' jars, fetched once by Maven.
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Error, Progress};

/// What is fetched: a change of this file fetches anew.
const POM: &str = include_str!("../../../docker/platform/pom.xml");

/// One line of progress for every so many files.
const FILES_PER_LINE: usize = 40;

/// A folder with the servers' jars.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    dir: PathBuf,
}

impl Jars {
    /// Gives the jars in `dir`, fetching them first when they are not there or of other versions.
    ///
    /// Blocks, up to minutes on a slow line. Two processes that ask at once fetch once.
    pub(super) fn ensure(dir: &Path, progress: Progress) -> Result<Self, Error> {
        let jars = Self { dir: dir.to_path_buf() };
        if jars.are_complete() {
            return Ok(jars);
        }
        std::fs::create_dir_all(dir).map_err(|source| Error::io("creating", dir, source))?;
        let lock = dir.join(".lock");
        let file = File::create(&lock).map_err(|source| Error::io("creating", &lock, source))?;
        file.lock().map_err(|source| Error::io("locking", &lock, source))?;
        if !jars.are_complete() {
            jars.fetch(progress)?;
        }
        Ok(jars)
    }

    /// The broker's class path.
    pub(super) fn kafka_class_path(&self) -> PathBuf {
        self.dir.join("kafka").join("*")
    }

    /// The registry's folder, in which it is to be started.
    pub(super) fn registry_dir(&self) -> PathBuf {
        self.dir.join("registry")
    }

    /// The name of the registry's runner jar in its folder.
    pub(super) fn registry_runner(&self) -> Result<PathBuf, Error> {
        let dir = self.registry_dir();
        let entries =
            std::fs::read_dir(&dir).map_err(|source| Error::io("reading", &dir, source))?;
        entries
            .flatten()
            .map(|entry| PathBuf::from(entry.file_name()))
            .find(|name| name.to_string_lossy().ends_with("-runner.jar"))
            .ok_or(Error::JarMissing { dir })
    }

    fn marker(&self) -> PathBuf {
        self.dir.join("complete.pom.xml")
    }

    fn are_complete(&self) -> bool {
        std::fs::read_to_string(self.marker()).is_ok_and(|fetched| fetched == POM)
    }

    /// Removes what an earlier fetch left. Maven's own notes in `build` too: by them it would take
    /// the registry for unpacked and leave its folder empty.
    fn clear(&self) -> Result<(), Error> {
        for part in ["kafka", "registry", "build"] {
            let dir = self.dir.join(part);
            if dir.exists() {
                std::fs::remove_dir_all(&dir)
                    .map_err(|source| Error::io("removing", &dir, source))?;
            }
        }
        Ok(())
    }

    fn fetch(&self, progress: Progress) -> Result<(), Error> {
        self.clear()?;
        let pom = self.dir.join("pom.xml");
        std::fs::write(&pom, POM).map_err(|source| Error::io("writing", &pom, source))?;
        progress("fetching Kafka and the schema registry by Maven (190 MB, once)");
        self.run_maven(&pom, progress)?;
        self.registry_runner()?;
        let marker = self.marker();
        std::fs::write(&marker, POM).map_err(|source| Error::io("writing", &marker, source))
    }

    fn run_maven(&self, pom: &Path, progress: Progress) -> Result<(), Error> {
        let mut lib = std::ffi::OsString::from("-Dlib=");
        lib.push(
            std::path::absolute(&self.dir)
                .map_err(|source| Error::io("resolving", &self.dir, source))?,
        );
        let log = self.dir.join("maven.log");
        let mut file = File::create(&log).map_err(|source| Error::io("creating", &log, source))?;
        let complaints = file.try_clone().map_err(|source| Error::io("writing", &log, source))?;
        let mut maven = Command::new("mvn")
            .args(["--batch-mode", "--file"])
            .arg(pom)
            .arg(lib)
            .arg("package")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .map_err(|_| Error::MavenMissing)?;
        let mut files = 0;
        let mut reason = None;
        // Taken always: it was piped above.
        for line in maven.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line =
                line.map_err(|source| Error::io("reading the output of mvn for", pom, source))?;
            writeln!(file, "{line}").map_err(|source| Error::io("writing", &log, source))?;
            if line.contains("Downloaded from") {
                files += 1;
                if files % FILES_PER_LINE == 0 {
                    progress(&format!("fetched {files} files"));
                }
            } else if line.contains("[ERROR]") && reason.is_none() {
                reason = line.split_once("[ERROR]").map(|(_, said)| said.trim().to_owned());
            }
        }
        let status = maven.wait().map_err(|source| Error::io("running mvn on", pom, source))?;
        if status.success() {
            return Ok(());
        }
        let reason = reason.unwrap_or_else(|| format!("mvn ended with {status}"));
        Err(Error::MavenFailed { reason, log })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_jars_of_this_version_are_not_fetched_again() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("complete.pom.xml"), POM).unwrap();
        let jars = Jars::ensure(dir.path(), |line| panic!("fetched: {line}")).unwrap();
        assert!(matches!(jars.registry_runner(), Err(Error::Io { .. })));
    }

    #[test]
    fn nothing_of_an_earlier_fetch_is_left_to_mislead_maven() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["kafka", "registry", "build/dependency-maven-plugin-markers"] {
            std::fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        Jars { dir: dir.path().to_path_buf() }.clear().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn jars_of_other_versions_are_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("complete.pom.xml"), "<project/>").unwrap();
        assert!(!Jars { dir: dir.path().to_path_buf() }.are_complete());
    }
}
