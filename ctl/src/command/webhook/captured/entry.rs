//! A rejected request, as the ingress keeps it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::{RejectedHeader, WebhookRejected};
use serde::Serialize;

use crate::output::escaped;

/// Senders that the totals name; an attack has thousands.
const SENDERS_SHOWN: usize = 5;

/// A rejected request, and its number: the line of a file, the offset on the topic and one.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: i64,
    pub(super) kept: WebhookRejected,
}

/// The list's line as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    number: i64,
    received_at: i64,
    source: &'a str,
    reason: &'a str,
    from: &'a str,
    /// What the request itself says, or a proxy that the ingress does not trust.
    claimed: Option<&'a str>,
    body_bytes: Option<i64>,
    content_type: Option<&'a str>,
    user_agent: Option<&'a str>,
}

impl Entry {
    pub(super) fn summary(&self) -> Summary<'_> {
        Summary {
            number: self.number,
            received_at: self.kept.received_at,
            source: &self.kept.source,
            reason: &self.kept.reason,
            from: self.sender(),
            claimed: self.claimed(),
            body_bytes: self.kept.body_bytes,
            content_type: self.header("content-type"),
            user_agent: self.header("user-agent"),
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let WebhookRejected { received_at, source, reason, body_bytes, .. } = &self.kept;
        let time = self.time().map_or_else(|_| received_at.to_string(), |at| at.to_string());
        let body = body_bytes.map_or_else(|| "body not read".to_owned(), |n| format!("{n} bytes"));
        let agent = self.header("user-agent").map_or_else(|| "no user agent".to_owned(), escaped);
        let [source, reason, sender] = [source, reason, self.sender()].map(escaped);
        format!("{:>4}  {time}  {source}  {reason}  from {sender}  {body}  {agent}", self.number)
    }

    /// What came with it, and what a verdict alone would not say.
    pub(super) fn head(&self) -> String {
        let names: Vec<_> = self.kept.headers.iter().map(|header| header.name.as_str()).collect();
        let mut lines = vec![format!("headers   {}", escaped(&names.join(", ")))];
        if let Some(claimed) = self.claimed() {
            let told = "by x-forwarded-for, which anybody can write";
            lines.push(format!("claims    to come from {} ({told})", escaped(claimed)));
        }
        if self.kept.reason == "replayed" {
            let told = "genuine, but another body came under the same id or nonce before";
            lines.push(format!("replayed  {told}: what follows judges the signature only"));
        }
        if self.kept.body_bytes == Some(0) {
            lines.push("empty     no webhook has an empty body: a proxy dropped it".to_owned());
        }
        lines.join("\n")
    }

    /// When it came.
    pub(super) fn time(&self) -> anyhow::Result<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(self.kept.received_at)
            .context("reading the request's time")
    }

    /// Its exact body.
    pub(super) fn body(&self) -> anyhow::Result<Vec<u8>> {
        let Some(text) = &self.kept.body_base64 else {
            anyhow::bail!(
                "the body was not kept: set INGRESS_CAPTURE_CONTENT=whole, and wait for the next \
                 rejection (a body over the ingress's own limit is not read at all)"
            );
        };
        anyhow::ensure!(
            self.kept.body_cut != Some(true),
            "only the body's begin was kept: raise INGRESS_CAPTURE_BODY_LIMIT to at least {}",
            self.kept.body_bytes.unwrap_or_default()
        );
        STANDARD.decode(text).context("decoding the kept body")
    }

    /// Who sent it, as the ingress judged; the proxy in front where nobody that it trusts says more.
    fn sender(&self) -> &str {
        self.kept.client.as_ref().unwrap_or(&self.kept.peer)
    }

    /// Who sent it by its own word, where that is another: for reading, not for trusting.
    fn claimed(&self) -> Option<&str> {
        self.header("x-forwarded-for").filter(|claimed| *claimed != self.sender())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.kept.headers.iter().find(|header| header.name == name)?.value.as_deref()
    }
}

/// Of all entries, how many by source and reason, and by sender: many senders are not one provider.
pub(super) fn totals(entries: &[Entry]) -> String {
    let mut reasons = BTreeMap::<_, usize>::new();
    let mut senders = BTreeMap::<_, usize>::new();
    for entry in entries {
        *reasons.entry((entry.kept.source.as_str(), entry.kept.reason.as_str())).or_default() += 1;
        *senders.entry(entry.sender()).or_default() += 1;
    }
    let reasons = reasons
        .iter()
        .map(|((source, reason), n)| format!("{} {} {n}", escaped(source), escaped(reason)));
    let mut senders: Vec<_> = senders.into_iter().collect();
    senders.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let shown =
        senders.iter().take(SENDERS_SHOWN).map(|(sender, n)| format!("{} {n}", escaped(sender)));
    let more = match senders.len().saturating_sub(SENDERS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (reasons, shown) = (reasons.collect::<Vec<_>>(), shown.collect::<Vec<_>>());
    format!("\nreasons   {}\nsenders   {}{more}", reasons.join(", "), shown.join(", "))
}

/// A header's value; `None` where it was redacted.
pub(super) fn value(header: &RejectedHeader) -> anyhow::Result<Option<Vec<u8>>> {
    match (&header.value, &header.value_base64) {
        (Some(text), _) => Ok(Some(text.clone().into_bytes())),
        (None, Some(text)) => {
            let value = STANDARD.decode(text);
            value.map(Some).with_context(|| format!("decoding header `{}`", header.name))
        }
        (None, None) => Ok(None),
    }
}
