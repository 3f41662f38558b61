//! What the ingress counts about requests, read from its `/metrics`.
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// It answers from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests so far, by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Recorded on the raw topic.
    pub accepted: u64,
    /// Answered as repetitions of a recorded event.
    pub duplicates: u64,
    /// Refused, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Received {
    pub(super) async fn ask(url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        Ok(Self::parse(&text))
    }

    /// All refused requests.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    fn parse(metrics: &str) -> Self {
        let mut received = Self::default();
        for line in metrics.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<u64>() else { continue };
            if series.starts_with("webhook_requests_total{") {
                match label(series, "result") {
                    Some("accepted") => received.accepted += value,
                    Some("duplicate") => received.duplicates += value,
                    _ => {}
                }
            } else if series.starts_with("webhook_rejected_total{")
                && value > 0
                && let Some(reason) = label(series, "reason")
            {
                *received.rejected.entry(reason.to_owned()).or_default() += value;
            }
        }
        received
    }
}

/// The value of one label of a series such as `name{source="up",result="accepted"}`.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = series.split_once(&format!("{name}=\""))?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_sources() {
        let metrics = "# TYPE webhook_requests_total counter\n\
            webhook_requests_total{result=\"accepted\",source=\"up\"} 12\n\
            webhook_requests_total{result=\"accepted\",source=\"stripe\"} 3\n\
            webhook_requests_total{result=\"duplicate\",source=\"up\"} 2\n\
            webhook_rejected_total{reason=\"signature-mismatch\",source=\"up\"} 4\n\
            webhook_rejected_total{reason=\"replayed\",source=\"up\"} 0\n\
            webhook_verify_seconds_sum{source=\"up\"} 0.25\n";
        let received = Received::parse(metrics);
        assert_eq!((received.accepted, received.duplicates, received.rejected_total()), (15, 2, 4));
        assert_eq!(received.rejected.keys().collect::<Vec<_>>(), ["signature-mismatch"]);
    }
}
