//! `bankstream pause` and `bankstream resume`: an application begins nothing new, or goes on.
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::output;

/// How long the application may take to answer: it only notes the wish.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The command line.
///
/// While paused, an application keeps its partitions, finishes what it has begun, and commits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the application serves its health, as its log says: `listening on 127.0.0.1:PORT`.
    /// It takes this from its own machine only.
    #[arg(long, value_name = "URL")]
    url: String,
}

/// Tells the application, and the person what it said.
pub async fn run(args: Args, path: &str) -> anyhow::Result<ExitCode> {
    let url = format!("{}/{path}", args.url.trim_end_matches('/'));
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("making an HTTP client")?;
    let answer = client
        .post(&url)
        .send()
        .await
        .with_context(|| format!("asking {url}; is the application running there?"))?;
    let (status, said) = (answer.status(), answer.text().await.unwrap_or_default());
    if !status.is_success() {
        bail!("{url} answered {status}: {said}");
    }
    output::line(&said)?;
    Ok(ExitCode::SUCCESS)
}
