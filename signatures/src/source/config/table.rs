//! The tables as they are written, before anything in them is judged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::scheme::FreeScheme;
use crate::source::event::TimeForm;
use crate::source::preset::Preset;

#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) sources: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) preset: Preset,
    pub(super) path: String,
    #[serde(default)]
    pub(super) secrets: Vec<SecretTable>,
    pub(super) jwks_url: Option<String>,
    pub(super) jwks_token: Option<SiteTable>,
    pub(super) key_request: Option<KeyRequestTable>,
    pub(super) certificates: Option<CertificatesTable>,
    pub(super) user_agent: Option<String>,
    pub(super) tolerance: Option<String>,
    pub(super) dedupe_window: Option<String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    pub(super) scheme: Option<FreeScheme>,
    pub(super) event: Option<EventTable>,
    pub(super) success_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    pub(super) time: Option<String>,
    #[serde(default)]
    pub(super) time_form: TimeForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretTable {
    pub(super) id: String,
    pub(super) env: Option<String>,
    pub(super) file: Option<PathBuf>,
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) not_before: Option<String>,
    pub(super) not_after: Option<String>,
}

/// The place of one text, such as a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteTable {
    pub(super) env: Option<String>,
    pub(super) file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequestTable {
    pub(super) url: String,
    pub(super) client_id: SiteTable,
    pub(super) secret: SiteTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificatesTable {
    pub(super) hosts: Option<Vec<String>>,
    pub(super) name: Option<String>,
    pub(super) roots: Option<PathBuf>,
}
