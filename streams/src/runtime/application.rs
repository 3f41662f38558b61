//! An application put together in code: for programs without `topology.toml`, and for tests.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{GroupProtocol, StartError, app, producer::TRANSACTION_TIMEOUT, telemetry};
use crate::{
    metrics::Metrics,
    names::Names,
    task::RetryPolicy,
    topology::{Topology, is_name},
    topology_file::Guarantee,
    wire::Schemas,
};

/// Where schema ids come from.
#[derive(Clone)]
pub(super) enum SchemaSource {
    /// A registry at this address.
    Registry(String),
    /// The program itself.
    Given(Arc<dyn Schemas>),
}

/// How often transactions are committed, and offsets alone, where nothing else is asked for.
const TRANSACTION_INTERVAL: Duration = Duration::from_millis(100);
const OFFSETS_INTERVAL: Duration = Duration::from_secs(1);

/// What an application runs with.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) bootstrap_servers: String,
    pub(super) instance: String,
    pub(super) run_id: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) guarantee: Guarantee,
    /// By the guarantee where it is not set.
    pub(super) commit_interval: Option<Duration>,
    pub(super) transaction_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) http_listen: Option<SocketAddr>,
    pub(super) protocol: GroupProtocol,
    pub(super) schemas: SchemaSource,
    /// Copies of internal topics that are made when they are missing; none makes none.
    pub(super) internal_replication: Option<i32>,
    pub(super) calls_in_flight_max: usize,
    pub(super) retry: RetryPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            instance: "1".to_owned(),
            run_id: None,
            state_dir: None,
            guarantee: Guarantee::AtLeastOnce,
            commit_interval: None,
            transaction_timeout: TRANSACTION_TIMEOUT,
            session_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            http_listen: None,
            protocol: GroupProtocol::Classic,
            schemas: SchemaSource::Registry("http://127.0.0.1:8081/apis/ccompat/v7".to_owned()),
            internal_replication: Some(1),
            calls_in_flight_max: super::CALLS_IN_FLIGHT_MAX,
            retry: RetryPolicy::default(),
        }
    }
}

impl Settings {
    pub(super) fn commit_interval(&self) -> Duration {
        self.commit_interval.unwrap_or(match self.guarantee {
            Guarantee::ExactlyOnce => TRANSACTION_INTERVAL,
            Guarantee::AtLeastOnce => OFFSETS_INTERVAL,
        })
    }

    /// What is wrong with them, if anything, and what was expected.
    pub(super) fn check(&self) -> Result<(), String> {
        let (interval, timeout) = (self.commit_interval(), self.transaction_timeout);
        if self.guarantee == Guarantee::ExactlyOnce && interval >= timeout {
            return Err(format!(
                "the commit interval is {interval:?} and the transaction timeout {timeout:?}: the broker \
                 would abort every transaction before its commit; expected an interval below the timeout"
            ));
        }
        if !is_name(&self.instance) {
            return Err(format!(
                "instance `{}`: expected 1 to 100 letters, digits, `.`, `_` and `-`",
                self.instance
            ));
        }
        Ok(())
    }

    pub(super) fn names(&self, topology: &Topology) -> Names {
        let sinks = topology.subs.iter().flat_map(|sub| &sub.sinks);
        Names::new(self.run_id.clone(), sinks.map(|sink| sink.topic.clone()).collect())
    }
}

/// A topology with everything it needs to run, set in code.
///
/// [`main`](crate::main) is this with a command line and `topology.toml`. Internal topics that are
/// missing are made (`<app>-<store>-changelog`, `<app>-dlq`); sources and sinks have to be there.
///
/// ```no_run
/// use streams::{Application, Guarantee};
///
/// # fn run(topology: streams::Topology) -> Result<(), streams::StartError> {
/// Application::new(topology)
///     .bootstrap_servers("127.0.0.1:9092")
///     .guarantee(Guarantee::ExactlyOnce)
///     .state_dir("/var/lib/summer")
///     .run()
/// # }
/// ```
pub struct Application {
    topology: Topology,
    settings: Settings,
}

impl Application {
    /// An application with a broker and a registry on this machine, at least once, state in memory.
    pub fn new(topology: Topology) -> Self {
        Self { topology, settings: Settings::default() }
    }

    /// Kafka's bootstrap servers: `host:port`, separated by commas.
    #[must_use]
    pub fn bootstrap_servers(mut self, servers: &str) -> Self {
        servers.clone_into(&mut self.settings.bootstrap_servers);
        self
    }

    /// Stable name of this instance within its group: static membership and the transactional id are
    /// made of it, so two running instances need two names. `"1"` unless set.
    #[must_use]
    pub fn instance(mut self, name: &str) -> Self {
        name.clone_into(&mut self.settings.instance);
        self
    }

    /// Keeps state in a directory: a restart reads it back and takes the rest from the changelogs.
    /// Without one, every start reads the changelogs from their beginning.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.state_dir = Some(path.into());
        self
    }

    /// What a commit promises; at least once unless set.
    #[must_use]
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.settings.guarantee = guarantee;
        self
    }

    /// The longest time from one commit of offsets, or of a transaction, to the next. Unless set: 100 ms
    /// exactly once, as nobody sees an output before; 1 s at least once, as outputs do not wait and
    /// each commit holds the thread for some milliseconds. A transaction is committed earlier when the
    /// thread has time for it, at most four times in an interval
    /// (`docs/adr/0012-commit-at-leisure.md`).
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = Some(interval);
        self
    }

    /// How long a transaction may stay open before the broker aborts it, 30 s unless set: what a
    /// process that hangs may hold its readers up for. Longer than the commit interval, and at most
    /// what the broker allows (`transaction.max.timeout.ms`).
    #[must_use]
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.settings.transaction_timeout = timeout;
        self
    }

    /// After which silence the group gives this instance's partitions to others; 10 s unless set.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.session_timeout = timeout;
        self
    }

    /// How long work under way may take to finish at a stop or when partitions move; 10 s unless set.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// Serves `/livez`, `/readyz`, `/metrics` and the stores there; port 0 takes a free one.
    #[must_use]
    pub fn http_listen(mut self, address: SocketAddr) -> Self {
        self.settings.http_listen = Some(address);
        self
    }

    /// How the group agrees on who reads what; classic unless set.
    #[must_use]
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.settings.protocol = protocol;
        self
    }

    /// Takes schema ids from a registry at this address (Confluent's interface).
    #[must_use]
    pub fn schema_registry(mut self, url: &str) -> Self {
        self.settings.schemas = SchemaSource::Registry(url.to_owned());
        self
    }

    /// Takes schema ids from the program instead of a registry.
    #[must_use]
    pub fn schemas(mut self, schemas: impl Schemas) -> Self {
        self.settings.schemas = SchemaSource::Given(Arc::new(schemas));
        self
    }

    /// Copies of the internal topics that are made when they are missing; 1 unless set. `None` makes
    /// none: a missing one is an error then.
    #[must_use]
    pub fn internal_replication(mut self, copies: Option<i32>) -> Self {
        self.settings.internal_replication = copies;
        self
    }

    /// How often and when a record is tried again whose error says `Retry`.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Calls of asynchronous processors at the same time, over all tasks of the process; 1 024 unless
    /// set.
    #[must_use]
    pub fn calls_in_flight(mut self, calls: usize) -> Self {
        self.settings.calls_in_flight_max = calls.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// Runs until SIGTERM or SIGINT, or until it halts. Logs go to stderr unless the program has set
    /// up `tracing` itself.
    pub fn run(self) -> Result<(), StartError> {
        telemetry::init();
        let metrics = Metrics::new(self.topology.application_id())?;
        app::block_on(app::run(self.settings, self.topology, metrics))
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("application_id", &self.topology.application_id())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Guarantee, Settings};

    #[test]
    fn settings_that_cannot_work_are_refused_before_anything_starts() {
        let sound = Settings { guarantee: Guarantee::ExactlyOnce, ..Settings::default() };
        assert_eq!(sound.check(), Ok(()));
        let interval = Some(Duration::from_secs(30));
        let slow = Settings { commit_interval: interval, ..sound.clone() };
        assert!(slow.check().is_err_and(|wrong| wrong.contains("expected an interval below")));
        let plain = Settings { guarantee: Guarantee::AtLeastOnce, ..slow };
        assert_eq!(plain.check(), Ok(()), "no transaction is open meanwhile");
        for instance in ["", "a b", "a/b"] {
            let named = Settings { instance: instance.to_owned(), ..sound.clone() };
            assert!(named.check().is_err_and(|wrong| wrong.contains("expected 1 to 100")));
        }
    }
}
