//! Shows the requests that the ingress rejected and kept, and judges one of them again.
mod entry;
mod topic;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use self::entry::Entry;
use super::verify;
use crate::cli::Shared;
use crate::output;

/// A file that the ingress wrote is smaller; anything larger is another one.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The command line.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("place").required(true).args(["file", "topic"])))]
pub(super) struct Args {
    /// The ingress's capture file (`INGRESS_CAPTURE_FILE`).
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The newest thousand on the ingress's topic instead (`INGRESS_CAPTURE_TOPIC`).
    #[arg(long)]
    topic: bool,
    /// Judge this one again, by its number in the list, and explain: exit code 1 rejected, 0 accepted
    /// (with the secrets of now). Needs `INGRESS_CAPTURE_CONTENT=whole`.
    #[arg(long, value_name = "N")]
    explain: Option<i64>,
    /// With --explain: judge it with this declared source [default: the one that rejected it].
    #[arg(long, requires = "explain")]
    source: Option<String>,
    /// With --explain: judge it with the secret in this variable instead, such as one that the provider
    /// may have rotated to; several times for several.
    #[arg(long, value_name = "VAR", requires = "explain")]
    secret_env: Vec<String>,
    /// With --explain: as of now, not of the time it came.
    #[arg(long, requires = "explain")]
    now: bool,
    /// With --explain: file with the bytes that the body should have.
    #[arg(long, value_name = "FILE", requires = "explain")]
    known_good: Option<PathBuf>,
    /// Write the body of --explain's request to this file, byte for byte.
    #[arg(long, value_name = "FILE", requires = "explain")]
    body_to: Option<PathBuf>,
}

/// `webhook verify`'s own command line, so that both say the same.
#[derive(Debug, Parser)]
struct Verify {
    #[command(flatten)]
    args: verify::Args,
}

pub(super) async fn run(args: &Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let entries = match &args.file {
        Some(file) => lines(file)?,
        None => topic::entries(shared).await?,
    };
    let Some(number) = args.explain else { return list(&entries, shared.json) };
    let entry = entries.iter().find(|entry| entry.number == number).with_context(|| {
        format!(
            "--explain {number}: expected a number of the list, of which there are {}",
            entries.len()
        )
    })?;
    explain(entry, args, shared)
}

fn lines(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let shown = file.display();
    let length = std::fs::metadata(file)
        .with_context(|| {
            format!("reading {shown}; the ingress writes it when INGRESS_CAPTURE_FILE names it")
        })?
        .len();
    anyhow::ensure!(length <= FILE_BYTES_MAX, "{shown} is no capture file: {length} bytes");
    let mut text = std::fs::read(file).with_context(|| format!("reading {shown}"))?;
    // what stands behind the last line break is being written
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    text.truncate(whole);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (1..)
        .zip(lines)
        .map(|(number, line)| {
            let kept = serde_json::from_slice(line);
            let kept =
                kept.with_context(|| format!("{shown}: line {number} is not of the ingress"))?;
            Ok(Entry { number, kept })
        })
        .collect()
}

fn list(entries: &[Entry], json: bool) -> anyhow::Result<ExitCode> {
    for entry in entries {
        if json {
            output::json(&entry.summary())?;
        } else {
            output::line(&entry.line())?;
        }
    }
    if entries.is_empty() {
        output::progress("nothing is kept: nothing was rejected since this was begun");
    } else if !json {
        output::line(&entry::totals(entries))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(entry: &Entry, args: &Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let body = entry.body()?;
    // readable by nobody else, and gone with this command
    let mut kept = tempfile::NamedTempFile::new().context("making a file for the body")?;
    kept.write_all(&body).context("writing the body")?;
    if let Some(path) = &args.body_to {
        std::fs::write(path, &body)
            .with_context(|| format!("writing the body to {}", path.display()))?;
    }
    let source = args.source.as_deref().unwrap_or(&entry.kept.source);
    let mut words: Vec<OsString> = vec!["verify".into(), "--source".into(), source.into()];
    for variable in &args.secret_env {
        words.extend(["--secret-env".into(), variable.into()]);
    }
    for header in &entry.kept.headers {
        if let Some(value) = entry::value(header)? {
            let line = [header.name.as_bytes(), b": ", &value].concat();
            words.extend(["--header".into(), OsString::from_vec(line)]);
        }
    }
    words.extend(["--body".into(), kept.path().into()]);
    if !args.now {
        words.extend(["--at".into(), entry.time()?.to_string().into()]);
    }
    if let Some(path) = &args.known_good {
        words.extend(["--known-good".into(), path.into()]);
    }
    let verify = Verify::try_parse_from(words).context("preparing the judgement")?;
    if !shared.json {
        output::line(&entry.line())?;
        output::line(&entry.head())?;
    }
    Ok(verify::run(&verify.args, shared))
}

#[cfg(test)]
mod tests;
