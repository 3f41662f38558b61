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
    #[arg(long, value_name = "HOST:PORT")]
    url: String,
}

/// Tells the application, and the person what it said.
pub async fn run(args: Args, path: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let url = address(&args.url, path);
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
    if as_json {
        output::json(&serde_json::json!({ "url": url, "answer": said.trim_end() }))?;
    } else {
        output::line(&said)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The address as logs have it, or a URL.
fn address(given: &str, path: &str) -> String {
    let scheme = if given.contains("://") { "" } else { "http://" };
    format!("{scheme}{}/{path}", given.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_taken_as_the_log_has_it_and_as_a_url() {
        assert_eq!(address("127.0.0.1:9100", "pause"), "http://127.0.0.1:9100/pause");
        assert_eq!(address("http://127.0.0.1:9100/", "resume"), "http://127.0.0.1:9100/resume");
        assert_eq!(address("https://[::1]:9100", "pause"), "https://[::1]:9100/pause");
    }
}
