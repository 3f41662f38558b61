//! Judges a request offline and explains the verdict.
mod difference;
mod guess;
mod request;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use signatures::source::SecretStore as _;
use signatures::{Explanation, KeyEncoding, Reason, Scheme, Secret, Verifier, explain};
use streams::{Clock as _, SystemClock};

use self::difference::Difference;
use self::guess::Rejected;
use crate::cli::Shared;
use crate::config::Environment;
use crate::{declaration, output};

/// Wrong usage, as clap has it.
const USAGE: u8 = 2;

/// The command line.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("by").required(true).args(["source", "scheme"])))]
pub(super) struct Args {
    /// A declared source: its scheme, its secrets (or the keys that are given), and where its events
    /// have their id.
    #[arg(long)]
    source: Option<String>,
    /// A scheme by name, with keys from --secret-env, --public-key and --jwks.
    #[arg(long, value_parser = Scheme::NAMES)]
    scheme: Option<String>,
    /// A variable with an active secret; several times for several.
    #[arg(long, value_name = "VAR")]
    secret_env: Vec<String>,
    /// File with a public key: PEM, a PEM certificate chain, a JWK or `whpk_...`; several times for
    /// several.
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// File with a set of public keys (JWKS); several times for several.
    #[arg(long, value_name = "FILE")]
    jwks: Vec<PathBuf>,
    /// A parameter of the scheme, such as `mode=advanced` (convoy) or `webhook_id=...` (paypal).
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "source")]
    params: Vec<String>,
    /// The request's method: webhooks are posted.
    #[arg(long, default_value = "POST", value_parser = ["POST"])]
    method: String,
    /// The path that was posted to, where the scheme signs it (truelayer).
    #[arg(long, conflicts_with = "source")]
    path: Option<String>,
    /// File with the bytes that the body should have: tells where the first difference is.
    #[arg(long, value_name = "FILE")]
    known_good: Option<PathBuf>,
    /// A header of the request; once for each.
    #[arg(long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<OsString>,
    /// File with the body's exact bytes; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// When the request came in [default: now].
    #[arg(long, value_name = "RFC3339")]
    at: Option<jiff::Timestamp>,
}

/// What there is to say.
struct Judged {
    explanation: Explanation,
    guesses: Vec<String>,
    difference: Option<Difference>,
}

pub(super) fn run(args: &Args, shared: &Shared) -> ExitCode {
    match judge(args, shared).and_then(|judged| {
        say(&judged, shared.json)?;
        Ok(judged.explanation)
    }) {
        Ok(explanation) if explanation.reason.is_none() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

fn judge(args: &Args, shared: &Shared) -> anyhow::Result<Judged> {
    let headers = request::headers(&args.headers)?;
    let body = request::body(&args.body)?;
    let now = args.at.map_or_else(|| SystemClock.now(), jiff::Timestamp::as_millisecond);
    let source = args.source.as_ref().map(|name| declaration::source(shared, name)).transpose()?;
    let (verifier, secrets) = match &source {
        None => with_keys(by_name(args)?, args)?,
        Some(source) if args.gives_keys() => with_keys(source.scheme.clone(), args)?,
        Some(source) => {
            (source.verifier(&Environment)?, source.load_secrets(&Environment).unwrap_or_default())
        }
    };
    let mut explanation = explain(&verifier, &headers, &body, now);
    // genuine and still refused: the ingress needs the event's id
    if let Some(source) = &source
        && explanation.reason.is_none()
        && source.event.read_from(&headers, &body).is_err()
    {
        explanation.reason = Some(Reason::InvalidPayload);
    }
    let (scheme, secrets, headers) = (verifier.scheme(), &secrets[..], &headers[..]);
    let guesses = Rejected { scheme, secrets, headers, body: &body, now }.guesses(&explanation);
    Ok(Judged { explanation, guesses, difference: difference(args, &body)? })
}

impl Args {
    fn gives_keys(&self) -> bool {
        !(self.secret_env.is_empty() && self.public_key.is_empty() && self.jwks.is_empty())
    }
}

fn with_keys(scheme: Scheme, args: &Args) -> anyhow::Result<(Verifier, Vec<(String, Secret)>)> {
    let takes_public =
        matches!(scheme.key_encoding, KeyEncoding::Public | KeyEncoding::StandardWebhooks);
    if let Some(path) = args.public_key.iter().chain(&args.jwks).next() {
        anyhow::ensure!(
            takes_public,
            "{}: scheme `{}` is signed with a shared secret, which a public key cannot stand for: give \
             the webhook's secret with --secret-env",
            path.display(),
            scheme.name
        );
    }
    let secrets = secrets(args)?;
    let verifier = Verifier::new(scheme, secrets.clone()).context("reading the keys")?;
    Ok((verifier, secrets))
}

/// A built-in scheme with its parameters.
fn by_name(args: &Args) -> anyhow::Result<Scheme> {
    let name = args.scheme.as_deref().unwrap_or_default();
    let mut scheme = Scheme::by_name(name).with_context(|| format!("no scheme `{name}`"))?;
    for param in &args.params {
        let (name, value) = param
            .split_once('=')
            .with_context(|| format!("--param `{param}`: expected `name=value`"))?;
        scheme = scheme.with_param(name, value)?;
    }
    if let Some(path) = &args.path
        && scheme.missing_params().any(|name| name == "path")
    {
        scheme = scheme.with_param("path", path)?;
    }
    if let Some(missing) = scheme.missing_params().next() {
        let flag = if missing == "path" { "--path" } else { "--param" };
        let value = if missing == "path" { "/webhooks/..." } else { "webhook_id=..." };
        anyhow::bail!(
            "scheme `{name}` signs a `{missing}` that is not in the request: give {flag} {value}"
        );
    }
    Ok(scheme)
}

fn secrets(args: &Args) -> anyhow::Result<Vec<(String, Secret)>> {
    let mut secrets = Vec::with_capacity(args.secret_env.len());
    for variable in &args.secret_env {
        let text = Environment.env(variable).with_context(|| {
            format!("{variable} is not set: set it to the webhook's secret (--secret-env)")
        })?;
        let secret = Secret::new(text).with_context(|| format!("reading {variable}"))?;
        secrets.push((variable.clone(), secret));
    }
    for path in args.public_key.iter().chain(&args.jwks) {
        let shown = path.display().to_string();
        let text = std::fs::read(path).with_context(|| format!("reading {shown}"))?;
        let key = Secret::new(text).with_context(|| format!("reading {shown}"))?;
        secrets.push((shown, key));
    }
    anyhow::ensure!(
        !secrets.is_empty(),
        "no key is given: name one with --secret-env, --public-key or --jwks"
    );
    Ok(secrets)
}

/// How the body differs from the known good one; `None` when there is no such body, or no difference.
fn difference(args: &Args, body: &[u8]) -> anyhow::Result<Option<Difference>> {
    let Some(known_good) = &args.known_good else { return Ok(None) };
    anyhow::ensure!(
        args.body.as_os_str() != "-" || known_good.as_os_str() != "-",
        "--known-good and --body cannot both be standard input"
    );
    Ok(Difference::between(&request::body(known_good)?, body))
}

fn say(judged: &Judged, json: bool) -> anyhow::Result<()> {
    let Judged { explanation, guesses, difference } = judged;
    if json {
        let mut verdict = verdict(explanation)?;
        verdict["guesses"] = guesses.clone().into();
        if let Some(difference) = difference {
            verdict["first_difference"] = difference.at.into();
        }
        return output::json(&verdict);
    }
    output::line(&words::text(explanation))?;
    for guess in guesses {
        output::line(&format!("hint      {}", output::escaped(guess)))?;
    }
    if let Some(difference) = difference {
        output::line(&format!("differs   {difference}"))?;
    }
    Ok(())
}

/// The explanation with its result in front.
fn verdict(explanation: &Explanation) -> anyhow::Result<serde_json::Value> {
    let result = if explanation.reason.is_none() { "accepted" } else { "rejected" };
    let mut verdict = serde_json::json!({ "result": result, "reason": explanation.reason });
    let explained = serde_json::to_value(explanation).context("writing the explanation")?;
    if let (Some(verdict), serde_json::Value::Object(explained)) =
        (verdict.as_object_mut(), explained)
    {
        verdict.extend(explained);
    }
    Ok(verdict)
}
