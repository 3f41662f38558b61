//! The declaration as the tool needs it: `streams` reads topics, apps and profiles, `signatures` the
//! sources; here they meet and are checked against each other.
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use schemas::topics;
use signatures::source::{Place, SourceConfig};
use signatures::{Integrity, Part};
use streams::topology_file::{
    Error, Finding, Findings, Profile, RECORD_OVERHEAD_BYTES, Retention, Severity, TopologyFile,
    format_duration,
};

use crate::cli::Shared;

/// The ingress's default body limit, in bytes: its flag `--body-limit`.
const BODY_BYTES_MAX: i32 = 1024 * 1024;

/// Reads the declaration and the profile in use.
pub fn load(shared: &Shared) -> anyhow::Result<(TopologyFile, Profile)> {
    let file = TopologyFile::load(&shared.topology_file)?;
    let profile = file.profile(&shared.profile)?.clone();
    Ok((file, profile))
}

/// The declared source called `name`.
pub fn source(shared: &Shared, name: &str) -> anyhow::Result<SourceConfig> {
    let file = TopologyFile::load(&shared.topology_file)?;
    let shown = file.path().display().to_string();
    let table = file.sources().get(name).with_context(|| {
        let known: Vec<String> = file.sources().keys().map(|known| format!("`{known}`")).collect();
        format!("{shown}: sources: no source `{name}`; declared are {}", known.join(", "))
    })?;
    let mut source = SourceConfig::from_table(&shown, name, table.clone())?;
    // as the ingress does: files of secrets are relative to the declaration
    if file.folder() != Path::new(".") {
        source.anchor_files(file.folder());
    }
    Ok(source)
}

/// Everything that can be found wrong without a cluster or a registry.
pub fn check(shared: &Shared) -> anyhow::Result<Findings> {
    let file = match TopologyFile::load(&shared.topology_file) {
        Ok(file) => file,
        Err(Error::Invalid { findings }) => return Ok(findings),
        Err(error) => return Err(error.into()),
    };
    file.profile(&shared.profile)?;
    let mut findings = file.warnings();
    findings.extend(check_body_limit(&file));
    findings.extend(check_sources(&file));
    findings.extend(file.check_schemas());
    Ok(findings)
}

/// The largest body the ingress takes must fit on the raw topic, or its 200 could not be kept.
fn check_body_limit(file: &TopologyFile) -> Vec<Finding> {
    let least = BODY_BYTES_MAX.saturating_add(RECORD_OVERHEAD_BYTES);
    let small = file.profiles().iter().filter(|(_, profile)| profile.max_message_bytes < least);
    small
        .map(|(name, profile)| {
            let message = format!(
                "expected at least {least}: the ingress's body limit of {BODY_BYTES_MAX} and \
                 {RECORD_OVERHEAD_BYTES} for the rest of the record, found {}",
                profile.max_message_bytes
            );
            let key = format!("profiles.{name}.max_message_bytes");
            file.finding(Severity::Error, &key, message)
        })
        .collect()
}

fn check_sources(file: &TopologyFile) -> Vec<Finding> {
    let shown = file.path().display().to_string();
    let mut findings = Vec::new();
    let mut sources: Vec<SourceConfig> = Vec::new();
    for (name, table) in file.sources() {
        let key = format!("sources.{name}");
        let wrong = |message: String| file.finding(Severity::Error, &key, message);
        match SourceConfig::from_table(&shown, name, table.clone()) {
            Ok(source) => {
                if let Some(other) = sources.iter().find(|other| other.path == source.path) {
                    let message = format!("path `{}` is that of `{}` too", source.path, other.name);
                    findings.push(wrong(message));
                }
                sources.push(source);
            }
            Err(error) => {
                let message = error.to_string();
                let prefix = format!("{shown}: ");
                findings.push(wrong(message.strip_prefix(&prefix).unwrap_or(&message).to_owned()));
            }
        }
    }
    findings.extend(sources.iter().filter_map(|source| check_replay(file, source)));
    findings.extend(sources.iter().filter_map(|source| check_window(file, source)));
    findings.extend(check_raw_retention(file, &sources));
    findings
}

/// A repeated request is known by its event's id, and refused by its time: one of both must be signed.
/// Where the body is not protected, its time does not help: within the tolerance each forged body would
/// be an event of its own.
fn check_replay(file: &TopologyFile, source: &SourceConfig) -> Option<Finding> {
    let scheme = &source.scheme;
    let again = "whoever has a copy of a request can send it again under another id";
    let message = match &source.event.id {
        Place::Header(id) | Place::HeaderSha256(id) => {
            let is_signed = |part: &Part| {
                matches!(part, Part::Header(name) if *name == **id) || *part == Part::SignedHeaders
            };
            if scheme.freshness.is_some() || scheme.signed.iter().any(is_signed) {
                return None;
            }
            format!(
                "events are known by the header `{id}`, which is not signed, and neither is a time: \
                 {again}; take the id from the body if it has one"
            )
        }
        Place::Pointer(_) | Place::PointerOr(..) | Place::BodySha256
            if scheme.integrity == Integrity::Partial =>
        {
            format!(
                "events are known by `{}`, and scheme `{}` does not protect the body: {again}; leave \
                 the `event` table out, the preset takes the id from what is signed",
                source.event.id, scheme.name
            )
        }
        _ => return None,
    };
    Some(file.finding(Severity::Warning, &format!("sources.{}", source.name), message))
}

/// A request must be remembered for as long as it is taken: the ingress does not start otherwise.
fn check_window(file: &TopologyFile, source: &SourceConfig) -> Option<Finding> {
    let tolerance = format_duration(source.tolerance_beyond_window()?);
    let window = format_duration(source.dedupe_window);
    let message = format!(
        "takes what was signed up to {tolerance} ago, but remembers event ids for {window} only: who has \
         seen a request could send it again; expected a `dedupe_window` of at least {tolerance}"
    );
    Some(file.finding(Severity::Error, &format!("sources.{}", source.name), message))
}

/// A restarted ingress rebuilds what it has seen from the raw topic.
fn check_raw_retention(file: &TopologyFile, sources: &[SourceConfig]) -> Option<Finding> {
    let topic = file.topics().get(topics::WEBHOOKS_RECEIVED)?;
    let Retention::For(retention) = topic.retention else { return None };
    let widest = sources.iter().max_by_key(|source| source.dedupe_window)?;
    let window: Duration = widest.dedupe_window;
    let message = || {
        format!(
            "{} is shorter than the {} for which events of source `{}` are remembered",
            format_duration(retention),
            format_duration(window),
            widest.name
        )
    };
    let key = format!("topics.\"{}\".retention", topics::WEBHOOKS_RECEIVED);
    (retention < window).then(|| file.finding(Severity::Error, &key, message()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use streams::topology_file::TopologyFile;

    use super::{check_body_limit, check_sources};

    const FILE: &str = r#"
[topics."bank.webhooks.received.v1"]
partitions = 6
retention = "30d"
key = "source and subject id"
value = "bank.WebhookReceived"

[sources.up]
preset = "up"
path = "/webhooks/up"
secrets = [{ id = "env", env = "UP_WEBHOOK_SECRET" }]

[apps.ingress]
writes = ["bank.webhooks.received.v1"]

[profiles.testing]
replication = 1
min_insync_replicas = 1
max_message_bytes = 1_114_112
commit_interval = "100ms"
session_timeout = "10s"
"#;

    fn findings(from: &str, to: &str) -> String {
        assert!(FILE.contains(from), "the sound file has no {from}");
        let text = FILE.replacen(from, to, 1);
        let file = TopologyFile::parse(Path::new("topology.toml"), &text).unwrap();
        let found = check_body_limit(&file).into_iter().chain(check_sources(&file));
        found.map(|finding| finding.to_string()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_sound_declaration_has_no_finding() {
        assert_eq!(findings("30d", "30d"), "");
        assert_eq!(findings("\"30d\"", "\"forever\""), "");
    }

    #[test]
    fn a_body_that_would_not_fit_on_the_topic_is_found() {
        assert_eq!(
            findings("1_114_112", "1_114_111"),
            "topology.toml:19: profiles.testing.max_message_bytes: expected at least 1114112: the \
             ingress's body limit of 1048576 and 65536 for the rest of the record, found 1114111"
        );
    }

    #[test]
    fn a_request_that_is_taken_for_longer_than_it_is_remembered_is_found() {
        let demoz = r#"[sources.demoz]
preset = "demoz"
path = "/webhooks/demoz"
secrets = [{ id = "env", env = "DEMOZ_SECRET" }]
tolerance = "90d"

[apps.ingress]"#;
        assert_eq!(
            findings("[apps.ingress]", demoz),
            "topology.toml:13: sources.demoz: takes what was signed up to 90d ago, but remembers event \
             ids for 7d only: who has seen a request could send it again; expected a `dedupe_window` of \
             at least 90d"
        );
    }

    #[test]
    fn a_raw_topic_that_forgets_before_the_dedupe_window_ends_is_found() {
        assert_eq!(
            findings("\"30d\"", "\"6d\""),
            "topology.toml:4: topics.\"bank.webhooks.received.v1\".retention: 6d is shorter than \
             the 7d for which events of source `up` are remembered"
        );
    }

    #[test]
    fn a_source_whose_requests_can_be_sent_again_under_another_id_is_found() {
        let warns = |preset: &str| {
            let preset = format!("preset = \"{preset}\"");
            let found = findings("preset = \"up\"", &preset);
            assert!(
                found.is_empty() || found.contains("which is not signed, and neither is a time")
            );
            !found.is_empty()
        };
        for preset in ["github", "modern-treasury", "wise", "convoy"] {
            assert!(warns(preset), "{preset}");
        }
        for preset in
            ["up", "stripe", "demoz", "standard-webhooks", "gocardless", "starling", "plaid"]
        {
            assert!(!warns(preset), "{preset}");
        }
    }

    #[test]
    fn an_id_from_a_body_that_nobody_protects_is_found() {
        let found = |preset: &str, event: &str| {
            let table = format!("preset = \"{preset}\"\n{event}");
            findings("preset = \"up\"", &table)
        };
        let event = |id: &str| format!("event = {{ id = \"{id}\", kind = \"fixed:a\" }}");
        let paypal = |event: &str| {
            found("paypal", &format!("params = {{ webhook_id = \"WH-1\" }}\n{event}"))
        };
        assert_eq!(paypal(""), "");
        assert_eq!(paypal(&event("header:paypal-transmission-id")), "");
        assert!(paypal(&event("/id")).contains("events are known by `/id`, and scheme `paypal`"));
        assert_eq!(found("adyen", ""), "");
        assert_eq!(found("adyen", &event("items-sha256")), "");
        for id in ["body-sha256", "/notificationItems/0/NotificationRequestItem/pspReference"] {
            let found = found("adyen", &event(id));
            assert!(found.contains("does not protect the body"), "{found}");
        }
        assert_eq!(found("up", &event("/data/id")), "");
    }

    #[test]
    fn a_source_that_cannot_be_used_is_found() {
        assert!(findings("preset = \"up\"", "preset = \"down\"").contains("sources.up"));
        let twin = "[sources.twin]\npreset = \"up\"\npath = \"/webhooks/up\"\n\
                    secrets = [{ id = \"env\", env = \"X\" }]\n[apps.ingress]";
        assert!(findings("[apps.ingress]", twin).contains("path `/webhooks/up` is that of"));
    }
}
