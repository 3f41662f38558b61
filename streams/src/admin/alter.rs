//! Changing settings of topics.

use super::{Admin, AdminError, REQUEST_TIMEOUT};
use crate::native;

impl Admin {
    /// Sets these settings of a topic, which must exist, and leaves every other as it is; with
    /// `validate_only` nothing is changed, only said whether the broker would.
    pub async fn alter_settings(
        &self,
        topic: &str,
        settings: &[(&str, &str)],
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let this = self.clone();
        let topic = topic.to_owned();
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings: Vec<(String, String)> = settings.iter().map(owned).collect();
        let asked = tokio::task::spawn_blocking(move || {
            let settings: Vec<(&str, &str)> =
                settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let client = this.client.inner();
            native::alter_topic_settings(client, &topic, &settings, validate_only, REQUEST_TIMEOUT)
                .map_err(|error| this.not_altered(topic, error))
        });
        asked.await?
    }

    fn not_altered(&self, topic: String, error: native::AlterError) -> AdminError {
        if super::is_away(error.code) {
            return AdminError::Unreachable { servers: self.servers.clone() };
        }
        AdminError::NotAltered { topic, code: error.code, reason: error.message }
    }
}
