//! Webhooks at the bank, by its API.
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use banks::{DeliveryLog, SystemClock, UpArgs, UpClient, Webhook};
use clap::Args;
use clap::builder::Resettable;
use serde_json::{Value, json};
use signatures::source::{SecretSite, SourceConfig};

use super::secret_file::SecretFile;
use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output};

/// Where the bank is and the token it knows us by.
///
/// The token's flag is not shown: on a command line a token is in every list of processes. The
/// variable goes before a file that is set for other programs.
#[derive(Debug, Args)]
#[command(
    mut_arg("up_api_url", |arg| arg.long("api-url")),
    mut_arg("up_api_token", |arg| arg.hide(true)),
    mut_arg("up_api_token_file", |arg| {
        arg.long("token-file")
            .help("File with the personal access token; the variable `UP_API_TOKEN` goes before it")
            .conflicts_with(Resettable::Reset)
    })
)]
pub(super) struct Connection {
    #[command(flatten)]
    up: UpArgs,
}

/// A new webhook.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Where the bank shall post, such as `https://example.org/webhooks/up`.
    #[arg(long)]
    url: String,
    /// A note for the bank's list, at most 64 characters.
    #[arg(long)]
    description: Option<String>,
    /// The declared source it is for.
    #[arg(long, default_value = "up")]
    source: String,
    /// Where to keep the secret; else the file that the source declares.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Overwrite a secret that is in the file already. What the older webhook posts is refused from then
    /// on; to change without that, give the new one a file of its own (--secret-file, declared as a
    /// second secret), and delete the older webhook after that.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connection: Connection,
}

/// One webhook.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The bank's id of the webhook; `webhook list` shows it.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Delivery attempts of one webhook.
#[derive(Debug, Args)]
pub(super) struct Logs {
    #[command(flatten)]
    one: One,
    /// So many attempts, newest first.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Show the posted bodies too.
    #[arg(long)]
    bodies: bool,
}

impl Connection {
    fn client(&self) -> anyhow::Result<UpClient> {
        let http = UpClient::http_client().context("making an HTTP client")?;
        Ok(UpClient::new(self.up.config()?, http, Arc::new(SystemClock)))
    }
}

pub(super) async fn create(args: Create, shared: &Shared) -> anyhow::Result<ExitCode> {
    let path = match args.secret_file {
        Some(path) => path,
        None => declared_file(&declaration::source(shared, &args.source)?)?,
    };
    let client = args.connection.client()?;
    let place = SecretFile::prepare(&path, args.replace)?;
    let created = client.create_webhook(&args.url, args.description.as_deref()).await?;
    let id = created.webhook.id;
    let kept = match place.keep(created.secret.reveal()) {
        Ok(kept) => kept,
        Err(error) => {
            // a webhook whose secret nobody has would only be rejected
            let undone = client.delete_webhook(&id).await;
            let advice = match undone {
                Ok(()) => "the webhook was deleted again".to_owned(),
                Err(_) => format!("delete it with `bankstream webhook delete {id}`"),
            };
            return Err(anyhow::Error::new(error).context(advice));
        }
    };
    // The webhook is there, whatever the list says now.
    let webhooks = client.webhooks().await.unwrap_or_default();
    let is_other = |other: &Webhook| other.id != id && other.url == args.url;
    let others: Vec<String> = webhooks.into_iter().filter(is_other).map(|other| other.id).collect();
    if shared.json {
        let secret_file = kept.display().to_string();
        output::json(&json!({
            "id": id, "url": args.url, "secret_file": secret_file, "others_of_url": others,
        }))?;
    } else {
        output::line(&format!("webhook {id} posts to {}", args.url))?;
        output::line(&format!("its secret is in {}", kept.display()))?;
        for other in others {
            output::line(&elder(&other, args.replace))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do about a webhook that posts to the same address and signs with a secret of its own.
fn elder(id: &str, is_replaced: bool) -> String {
    let signs = if is_replaced {
        "the secret that was replaced: what it posts is refused from now on"
    } else {
        "its own secret"
    };
    format!(
        "webhook {id} posts there too, every event a second time, and signs with {signs}; delete it: \
         bankstream webhook delete {id}"
    )
}

/// The first secret of the source that is a file.
fn declared_file(source: &SourceConfig) -> anyhow::Result<PathBuf> {
    let file = source.secrets.iter().find_map(|secret| match &secret.site {
        SecretSite::File(path) => Some(path.clone()),
        SecretSite::Env(_) => None,
    });
    file.with_context(|| {
        format!(
            "source `{}` declares no secret in a file; name one with --secret-file and declare it",
            source.name
        )
    })
}

pub(super) async fn list(connection: &Connection, json: bool) -> anyhow::Result<ExitCode> {
    let webhooks = connection.client()?.webhooks().await?;
    if json {
        let webhooks: Vec<Value> = webhooks.iter().map(webhook_json).collect();
        output::json(&json!({ "webhooks": webhooks }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["id", "created", "url", "description"]);
    for Webhook { id, url, description, created_at } in webhooks {
        table.row(&[id, time(created_at), url, description.unwrap_or_default()]);
    }
    output::line(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn ping(args: &One, json: bool) -> anyhow::Result<ExitCode> {
    let event = args.connection.client()?.ping_webhook(&args.id).await?;
    if json {
        output::json(&json!({ "event_id": event }))?;
    } else {
        output::line(&format!("the bank will post PING event {event}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn logs(args: &Logs, json: bool) -> anyhow::Result<ExitCode> {
    let logs = args.one.connection.client()?.webhook_logs(&args.one.id, args.limit).await?;
    if json {
        let logs: Vec<Value> = logs.iter().map(|log| log_json(log, args.bodies)).collect();
        output::json(&json!({ "logs": logs }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["time", "event", "status", "answer"]);
    for log in &logs {
        let answer = log.response_status.map_or("-".to_owned(), |status| status.to_string());
        table.row(&[time(log.created_at), log.event_id.clone(), log.status.clone(), answer]);
        if args.bodies {
            table.row(&["", &log.request_body, "", ""]);
        }
    }
    output::line(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn delete(args: &One, json: bool) -> anyhow::Result<ExitCode> {
    args.connection.client()?.delete_webhook(&args.id).await?;
    if json {
        output::json(&json!({ "deleted": args.id }))?;
    } else {
        output::line(&format!("webhook {} is deleted", args.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn webhook_json(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id,
        "url": webhook.url,
        "description": webhook.description,
        "created_at": time(webhook.created_at),
    })
}

fn log_json(log: &DeliveryLog, body: bool) -> Value {
    json!({
        "id": log.id,
        "event_id": log.event_id,
        "status": log.status,
        "response_status": log.response_status,
        "created_at": time(log.created_at),
        "body": body.then_some(&log.request_body),
    })
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or("-".to_owned(), |time| time.to_string())
}
