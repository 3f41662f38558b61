//! Posts signed test events, as the provider would.
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use signatures::source::{Preset, SourceConfig};
use signatures::{Carrier, Header, Part, Secret, Signer};
use streams::{Clock as _, SystemClock};

use crate::cli::Shared;
use crate::config::Environment;
use crate::{declaration, output};

/// Answers are a line of JSON; more is not shown.
const ANSWER_BYTES_MAX: usize = 4096;
/// As long as the most patient provider waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The declared source whose scheme and secret are used.
    #[arg(long)]
    source: String,
    /// How often the same event is posted.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Where to post [default: the source's path on `http://127.0.0.1:8080`].
    #[arg(long)]
    url: Option<String>,
    /// The event's type [default: PING for up, `payment_intent.succeeded` for stripe].
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Id of the transaction or object it is about [default: none for up, a new one for stripe].
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Post the bytes of this file instead of a made-up event.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "subject"])]
    body: Option<PathBuf>,
    /// File with the sender's private key (PEM, or `whsk_...`), where the source has public keys.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Id of the key, where the scheme sends one (tokens).
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
}

/// What became of one attempt.
#[derive(Debug, Serialize)]
struct Attempt {
    #[serde(rename = "attempt")]
    number: u32,
    status: u16,
    body: Value,
}

pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let source = declaration::source(shared, &args.source)?;
    let signer = signer(&source, &args)?;
    let url = args.url.clone().unwrap_or_else(|| format!("http://127.0.0.1:8080{}", source.path));
    let body = match &args.body {
        Some(file) => std::fs::read(file)
            .with_context(|| format!("reading the body in {}", file.display()))?,
        None => event(&source, &args)?.to_string().into_bytes(),
    };
    let sender = Sender::new(client()?, url, source, signer, body)?;
    let mut all_taken = true;
    for number in 1..=args.repeat {
        let attempt = sender.post(number).await?;
        all_taken &= (200..300).contains(&attempt.status);
        if shared.json {
            output::json(&attempt)?;
        } else {
            output::line(&format!("{}: {} {}", attempt.number, attempt.status, attempt.body))?;
        }
    }
    Ok(if all_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT)
        .build()
        .context("making an HTTP client")
}

struct Sender {
    client: reqwest::Client,
    url: String,
    source: SourceConfig,
    signer: Signer,
    /// Headers that are signed beside the time, such as an id: the same in every attempt.
    fields: Vec<Header>,
    body: Vec<u8>,
}

/// Makes the scheme's signatures, with the key of a sender.
fn signer(source: &SourceConfig, args: &Args) -> anyhow::Result<Signer> {
    let secret = if let Some(file) = &args.private_key {
        let text = std::fs::read(file)
            .with_context(|| format!("reading the private key in {}", file.display()))?;
        Secret::new(text).with_context(|| format!("reading {}", file.display()))?
    } else {
        let loaded = source.load_secrets(&Environment)?.into_iter().next();
        loaded.context("choosing a secret: give the sender's key with --private-key FILE")?.1
    };
    let signer = Signer::new(source.scheme.clone(), &secret).with_context(|| {
        format!(
            "making a signer of source `{}`; a source with public keys needs --private-key FILE",
            source.name
        )
    })?;
    Ok(match &args.kid {
        Some(kid) => signer.named(kid),
        None => signer,
    })
}

impl Sender {
    fn new(
        client: reqwest::Client,
        url: String,
        source: SourceConfig,
        signer: Signer,
        body: Vec<u8>,
    ) -> anyhow::Result<Self> {
        let body = match source.scheme.carrier {
            Carrier::Items => signer.sign_items(&body).context("signing the body's items")?,
            _ => body,
        };
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        let fields = source.scheme.signed.iter().filter_map(|part| match part {
            Part::Header(name) => Some(Header { name: name.clone(), value: id.clone() }),
            _ => None,
        });
        let fields = fields.collect();
        Ok(Self { client, url, source, signer, fields, body })
    }

    /// The headers of one attempt, signed now.
    fn headers(&self, now: i64) -> anyhow::Result<Vec<Header>> {
        match self.source.scheme.carrier {
            Carrier::Items => Ok(Vec::new()),
            _ => self.signer.sign(&self.fields, &self.body, now).context("signing the request"),
        }
    }

    async fn post(&self, number: u32) -> anyhow::Result<Attempt> {
        let now = SystemClock.now();
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        for header in self.headers(now)? {
            request = request.header(header.name, header.value);
        }
        if let Some(agent) = &self.source.user_agent {
            request = request.header("user-agent", agent);
        }
        let response = request.body(self.body.clone()).send().await;
        let mut response = response
            .with_context(|| format!("posting to {}; is the ingress running there?", self.url))?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.context("reading the answer")? {
            answer.extend_from_slice(&chunk);
            if answer.len() >= ANSWER_BYTES_MAX {
                answer.truncate(ANSWER_BYTES_MAX);
                break;
            }
        }
        let body = serde_json::from_slice(&answer)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer).into_owned()));
        Ok(Attempt { number, status: response.status().as_u16(), body })
    }
}

/// An event such as the provider posts, with an id of its own.
fn event(source: &SourceConfig, args: &Args) -> anyhow::Result<Value> {
    let now = SystemClock.now();
    let created = jiff::Timestamp::from_millisecond(now).context("reading the clock")?;
    let id = uuid::Uuid::new_v4();
    Ok(match source.preset {
        Preset::Up => {
            let kind = args.kind.as_deref().unwrap_or("PING");
            let mut event = json!({ "data": {
                "type": "webhook-events",
                "id": id.to_string(),
                "attributes": { "eventType": kind, "createdAt": created.to_string() },
                "relationships": {
                    "webhook": { "data": { "type": "webhooks", "id": "bankstream-webhook-send" } },
                },
            } });
            if let Some(subject) = &args.subject {
                let transaction = json!({ "data": { "type": "transactions", "id": subject } });
                event["data"]["relationships"]["transaction"] = transaction;
            }
            event
        }
        Preset::Stripe => {
            let subject = args.subject.clone().unwrap_or_else(|| format!("pi_{}", id.simple()));
            json!({
                "id": format!("evt_{}", id.simple()),
                "object": "event",
                "created": created.as_second(),
                "type": args.kind.as_deref().unwrap_or("payment_intent.succeeded"),
                "livemode": false,
                "data": { "object": { "id": subject, "object": "payment_intent" } },
            })
        }
        _ => anyhow::bail!(
            "no event of source `{}` can be made up: give its bytes with --body FILE",
            source.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use signatures::source::SourceConfig;

    use signatures::{Secret, Signer};

    use super::{Args, Sender, client, event};

    fn source(preset: &str) -> SourceConfig {
        let table = format!(
            "preset = \"{preset}\"\npath = \"/webhooks/{preset}\"\n\
             secrets = [{{ id = \"env\", env = \"X\" }}]"
        );
        let table: toml::Table = table.parse().unwrap();
        SourceConfig::from_table("topology.toml", preset, table.into()).unwrap()
    }

    #[test]
    fn a_made_up_event_is_one_that_the_ingress_reads() {
        fn check(preset: &str, kind: Option<&str>, subject: Option<&str>, expect: (&str, bool)) {
            let source = source(preset);
            let args = Args {
                source: preset.to_owned(),
                repeat: 1,
                url: None,
                kind: kind.map(str::to_owned),
                subject: subject.map(str::to_owned),
                body: None,
                private_key: None,
                kid: None,
            };
            let body = event(&source, &args).unwrap().to_string();
            let read = source.event.read(body.as_bytes()).unwrap();
            assert_eq!((read.kind.as_str(), read.subject.is_some()), expect);
        }
        check("up", None, None, ("PING", false));
        check("up", Some("TRANSACTION_CREATED"), Some("t-1"), ("TRANSACTION_CREATED", true));
        check("stripe", None, None, ("payment_intent.succeeded", true));
    }

    #[test]
    fn what_is_sent_is_what_the_ingress_takes_for_schemes_that_sign_more_than_the_body() {
        fn check(preset: &str, key: &str, body: &str) {
            let source = source(preset);
            let secret = || Secret::new(key).unwrap();
            let signer = Signer::new(source.scheme.clone(), &secret()).unwrap();
            let verifier =
                signatures::Verifier::new(source.scheme.clone(), vec![("k".into(), secret())])
                    .unwrap();
            let sender =
                Sender::new(client().unwrap(), String::new(), source, signer, body.into()).unwrap();
            let now = 1_767_323_045_000;
            let headers = sender.headers(now).unwrap();
            let verdict = verifier.verify(&headers, &sender.body, now);
            assert_eq!(verdict.map(|it| it.key_id), Ok("k".to_owned()), "{preset}");
            // an attempt is a repetition: its id is the first one's
            let id = |headers: &[signatures::Header]| {
                headers.iter().find(|it| it.value.starts_with("msg_")).map(|it| it.value.clone())
            };
            assert_eq!(id(&headers), id(&sender.headers(now + 5000).unwrap()));
        }
        check("stripe", "whsec_x", "{}");
        check("demoz", "x", "{}");
        check("svix", "whsec_AAECAw==", "{}");
        check("adyen", "00ff", r#"{"notificationItems":[{"NotificationRequestItem":{}}]}"#);
    }
}
