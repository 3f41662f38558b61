//! Posts signed requests that are no events through the public door: a smoke test, or one a minute.
mod probe;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use signatures::Signer;
use signatures::source::SourceConfig;
use streams::topology_file::parse_duration;
use streams::{Clock as _, SystemClock};

use self::probe::Probe;
use crate::cli::Shared;
use crate::config::Environment;
use crate::{declaration, output};

/// Answers are a line of JSON; more is not read.
const ANSWER_BYTES_MAX: usize = 4096;

/// The shortest period: a canary is no load test.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The declared source whose door, scheme and secret are used.
    #[arg(long)]
    source: String,
    /// Where the provider posts to: the public address, with the path [default: the source's path on
    /// `http://127.0.0.1:8080`].
    #[arg(long)]
    url: Option<String>,
    /// Post one and end: exit code 0 when it was accepted, 1 when not. Before a deploy, and after it.
    #[arg(long)]
    once: bool,
    /// Time from one to the next.
    #[arg(long, default_value = "1m", value_parser = period, conflicts_with = "once")]
    every: Duration,
    /// End after so many; exit code 1 when one of them failed.
    #[arg(long, value_name = "N", conflicts_with = "once", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn period(text: &str) -> Result<Duration, String> {
    let period = parse_duration(text).filter(|period| *period >= EVERY_MIN);
    period.ok_or_else(|| "expected a span of a second or more, such as `30s` or `5m`".to_owned())
}

/// What became of one.
#[derive(Debug, Serialize)]
struct Outcome {
    id: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    millis: i64,
    detail: String,
}

pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let source = declaration::source(shared, &args.source)?;
    let canary = Canary::new(&source, args.url.as_deref())?;
    let last = if args.once { Some(1) } else { args.count };
    let (mut sent, mut all_well) = (0_u64, true);
    let mut ticks = tokio::time::interval(args.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while last.is_none_or(|last| sent < last) {
        ticks.tick().await;
        let outcome = canary.post().await?;
        sent = sent.saturating_add(1);
        all_well &= outcome.ok;
        if shared.json {
            output::json(&outcome)?;
        } else {
            let verdict = if outcome.ok { "ok    " } else { "FAILED" };
            output::line(&format!("{verdict} {} ms  {}", outcome.millis, outcome.detail))?;
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A source's canary: how it is signed, and where it goes.
struct Canary<'a> {
    source: &'a SourceConfig,
    signer: Signer,
    client: reqwest::Client,
    url: String,
}

impl<'a> Canary<'a> {
    fn new(source: &'a SourceConfig, url: Option<&str>) -> anyhow::Result<Self> {
        let secrets = source.load_secrets(&Environment)?;
        // the first that signs now: during a rotation both are tried at the door
        let (_, secret) = secrets.into_iter().next().context("choosing a secret")?;
        let signer = Signer::new(source.scheme.clone(), &secret).with_context(|| {
            format!(
                "source `{}` cannot have a canary, because its provider's key does not sign here: \
                 declare a source of its own for it, such as `preset = \"standard-webhooks\"`",
                source.name
            )
        })?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(source.ack_deadline)
            .build()
            .context("making an HTTP client")?;
        let url =
            url.map_or_else(|| format!("http://127.0.0.1:8080{}", source.path), str::to_owned);
        Ok(Self { source, signer, client, url })
    }

    /// Posts one. What keeps it from being accepted is an outcome; an error is what keeps us from
    /// making one.
    async fn post(&self) -> anyhow::Result<Outcome> {
        let began = SystemClock.now();
        let probe = Probe::new(self.source, began)?;
        let signed = self
            .signer
            .sign(&probe.headers, &probe.body, began)
            .with_context(|| format!("signing a canary of source `{}`", self.source.name))?;
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        let extra = probe.headers.iter().filter(|header| {
            signed.iter().all(|signed| !signed.name.eq_ignore_ascii_case(&header.name))
        });
        for header in signed.iter().chain(extra) {
            request = request.header(&header.name, &header.value);
        }
        if let Some(agent) = &self.source.user_agent {
            request = request.header("user-agent", agent);
        }
        let (ok, status, detail) = match answer(request.body(probe.body)).await {
            Ok((status, text)) => {
                let (ok, detail) = judge(self.source.success_code, status, &text);
                (ok, Some(status), detail)
            }
            Err(error) => (false, None, format!("no answer from {}: {error:#}", self.url)),
        };
        let millis = SystemClock.now().saturating_sub(began);
        Ok(Outcome { id: probe.id, ok, status, millis, detail })
    }
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, String)> {
    let mut response = request.send().await?;
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.context("reading the answer")? {
        let room = ANSWER_BYTES_MAX.saturating_sub(answer.len());
        answer.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if answer.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok((response.status().as_u16(), String::from_utf8_lossy(&answer).into_owned()))
}

/// Whether the answer is that of an ingress that has accepted a canary as one, and what to say of it.
fn judge(success_code: u16, status: u16, text: &str) -> (bool, String) {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let reason = answer["reason"].as_str().unwrap_or_default();
    let is_canary = answer["canary"] == true;
    match status {
        _ if status == success_code && is_canary => (true, format!("{status} accepted")),
        _ if status == success_code => {
            let said = "but not by an ingress that knows canaries: is something else at that URL?";
            (false, format!("{status}, {said}"))
        }
        401 if !reason.is_empty() => (false, format!("401 {reason}: {}", meaning(reason))),
        404 => (false, "404: the source's path is not served there".to_owned()),
        503 => {
            (false, "503: the ingress waits for something; its /readyz says for what".to_owned())
        }
        _ => (false, format!("{status}; expected {success_code}")),
    }
}

/// What a refused canary tells: it was signed here and now, so one side or the way differs.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "signature-mismatch" | "unknown-key" | "body-hash-mismatch" => {
            "the ingress has another secret than this command, or something on the way changes the body"
        }
        "missing-headers" | "malformed-header" => "something on the way drops or changes headers",
        "clock-skew" | "invalid-timestamp" => {
            "this machine's clock and the ingress's differ, or something on the way holds requests"
        }
        "replayed" => "something on the way sent another body under the same id before",
        _ => "see the ingress's log",
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, period};

    #[test]
    fn only_an_ingress_that_recognised_the_canary_passes() {
        #[track_caller]
        fn check(success_code: u16, status: u16, text: &str, expect: (bool, &str)) {
            let (ok, detail) = judge(success_code, status, text);
            assert_eq!(ok, expect.0, "{detail}");
            assert!(detail.contains(expect.1), "{detail}");
        }
        let accepted = r#"{"status":"received","canary":true}"#;
        check(200, 200, accepted, (true, "200 accepted"));
        check(204, 204, accepted, (true, "204 accepted"));
        check(204, 200, accepted, (false, "200; expected 204"));
        check(200, 200, r#"{"status":"received"}"#, (false, "not by an ingress"));
        check(200, 200, "<html>welcome</html>", (false, "not by an ingress"));
        check(
            200,
            401,
            r#"{"error":"rejected","reason":"clock-skew"}"#,
            (false, "clock and the ingress"),
        );
        let mismatch = r#"{"error":"rejected","reason":"signature-mismatch"}"#;
        check(200, 401, mismatch, (false, "another secret"));
        check(200, 404, "", (false, "path"));
        check(200, 503, "", (false, "/readyz"));
        check(200, 302, "", (false, "302; expected 200"));
    }

    #[test]
    fn a_period_is_a_second_or_more() {
        assert_eq!(period("1s").map(|it| it.as_secs()), Ok(1));
        assert!(period("500ms").is_err() && period("soon").is_err());
    }
}
