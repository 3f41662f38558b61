//! What a server's log says about why it ended.
use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The end of a log that is read; causes stand in its last lines, stack traces included.
const LOG_TAIL_BYTES: u64 = 256 * 1024;

/// Why a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Another program has its port.
    PortOccupied,
    /// No space left for its data.
    DiskFull,
    /// The machine or its heap is too small.
    OutOfMemory,
    /// Another process works in the same data folder.
    DataInUse,
    /// The data belong to another cluster or were damaged.
    DataUnusable,
    /// A newer version of it has written the data.
    DataOfNewer,
    /// The Java found is too old for the jars.
    JavaTooOld,
    /// Nothing known; its last words.
    Unknown(String),
}

/// Words in a log that tell the cause, the more certain first: a full disk also leaves files damaged.
const SIGNS: [(&str, Cause); 12] = [
    ("No space left on device", Cause::DiskFull),
    ("There is not enough space", Cause::DiskFull),
    ("OutOfMemoryError", Cause::OutOfMemory),
    ("insufficient memory for the Java Runtime", Cause::OutOfMemory),
    ("UnsupportedClassVersionError", Cause::JavaTooOld),
    ("Address already in use", Cause::PortOccupied),
    ("seems to be in use by another process", Cause::PortOccupied),
    ("The file is locked", Cause::DataInUse),
    ("Failed to acquire lock on file", Cause::DataInUse),
    ("UnsupportedVersionException: Can't read version", Cause::DataOfNewer),
    ("InconsistentClusterIdException", Cause::DataUnusable),
    ("File corrupted while reading", Cause::DataUnusable),
];

impl Cause {
    /// Reads the cause out of the end of a log file.
    pub(crate) fn from_log(path: &Path) -> Self {
        match tail(path) {
            Ok(text) => Self::from_text(&text),
            Err(error) => Self::Unknown(format!("its log cannot be read: {error}")),
        }
    }

    fn from_text(log: &str) -> Self {
        let known = SIGNS.iter().find(|(sign, _)| log.contains(sign));
        known.map_or_else(|| Self::Unknown(last_words(log)), |(_, cause)| cause.clone())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortOccupied => {
                "another program uses its port; end that program or choose another port"
            }
            Self::DiskFull => "the disk is full; free some space and start again",
            Self::OutOfMemory => "there is not enough memory; the platform needs about 1 GB free",
            Self::DataInUse => {
                "another process works in its data folder; run `bankstream platform stop`"
            }
            Self::DataUnusable => "its data cannot be used; `./run clean` removes them",
            Self::DataOfNewer => {
                "its data were written by a newer version of it; run that version, or remove the data \
                 with `./run clean`"
            }
            Self::JavaTooOld => "the Java found is too old; install Java 17 or newer",
            Self::Unknown(last_words) => last_words,
        })
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line that is not a line of a stack trace.
fn last_words(log: &str) -> String {
    let is_trace = |line: &str| line.starts_with("at ") || line.starts_with("... ");
    let mut spoken = log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_trace(line));
    spoken.next_back().unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_recognised_in_what_the_servers_write() {
        let check = |log: &str, expect: Cause| assert_eq!(Cause::from_text(log), expect, "{log}");
        check(
            "[main] ERROR kafka.Kafka$ - Exiting Kafka due to fatal exception\n\
             org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.\n\
             \tat kafka.network.Acceptor.openServerSocket(SocketServer.scala:709)\n",
            Cause::PortOccupied,
        );
        check(
            "ERROR [io.quarkus.runtime.Application] Port 8081 seems to be in use by another process.",
            Cause::PortOccupied,
        );
        check(
            "java.io.IOException: No space left on device\n\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)\n\
             File corrupted while reading record",
            Cause::DiskFull,
        );
        check("java.lang.OutOfMemoryError: Java heap space", Cause::OutOfMemory);
        check(
            "Caused by: org.apache.kafka.common.errors.UnsupportedVersionException: Can't read version 4 \
             of BrokerEndpoint",
            Cause::DataOfNewer,
        );
        check(
            "# There is insufficient memory for the Java Runtime Environment to continue.",
            Cause::OutOfMemory,
        );
        check(
            "Caused by: org.h2.mvstore.MVStoreException: The file is locked: /d/registry.mv.db [2.3.230/7]",
            Cause::DataInUse,
        );
        check(
            "org.apache.kafka.common.KafkaException: Failed to acquire lock on file .lock in /d/data.",
            Cause::DataInUse,
        );
        check(
            "Error: LinkageError occurred while loading main class kafka.Kafka\n\
             java.lang.UnsupportedClassVersionError: kafka/Kafka has been compiled by a more recent version",
            Cause::JavaTooOld,
        );
    }

    #[test]
    fn an_unknown_cause_is_the_log_s_last_words_without_the_trace() {
        let log = "starting\njava.lang.IllegalStateException: boom\n\tat a.B.c(B.java:1)\n\t... 18 more\n\n";
        assert_eq!(Cause::from_text(log).to_string(), "java.lang.IllegalStateException: boom");
        assert_eq!(Cause::from_text("\n").to_string(), "it said nothing");
    }

    #[test]
    fn a_missing_log_is_said_to_be_missing() {
        let cause = Cause::from_log(Path::new("/nowhere/kafka.log")).to_string();
        assert!(cause.starts_with("its log cannot be read: "), "{cause}");
    }
}
