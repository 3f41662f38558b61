//! The Java that runs the servers.
use std::process::Command;

use super::Error;

/// Kafka 4 needs 17.
const JAVA_VERSION_MIN: u32 = 17;

/// Checks that `java` can be run and is new enough.
pub(super) fn check() -> Result<(), Error> {
    let output = Command::new("java").arg("-version").output().map_err(|_| Error::JavaMissing)?;
    // It has always answered on standard error.
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    match major_version(&answer) {
        Some(found) if found >= JAVA_VERSION_MIN => Ok(()),
        Some(found) => Err(Error::JavaTooOld { found }),
        None => Err(Error::JavaMissing),
    }
}

/// The major version in the answer of `java -version`: 17 for "17.0.15", 8 for an answer of "1.8".
fn major_version(answer: &str) -> Option<u32> {
    let version = answer.split('"').nth(1)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn the_major_version_is_read_from_every_vendor_s_answer() {
        let check = |answer: &str, expect: Option<u32>| {
            assert_eq!(major_version(answer), expect, "{answer}");
        };
        check("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17));
        check("openjdk version \"21\" 2023-09-19 LTS", Some(21));
        check("java version \"1.8.0_402\"", Some(8));
        check("openjdk version \"22-ea\" 2024-03-19", Some(22));
        check("Error: could not find libjava.so", None);
        check("", None);
    }
}
