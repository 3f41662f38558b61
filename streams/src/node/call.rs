//! A call that waits for its room.

use std::{pin::Pin, sync::Arc};

use tokio::sync::Semaphore;

use super::{Hosts, Opaque};
use crate::disposition::Failure;

/// What a call does once it has room.
type Work = Pin<Box<dyn Future<Output = Result<Opaque, Failure>> + Send>>;

/// A call that is wanted.
pub(crate) struct Call {
    host: Option<(Arc<Hosts>, String)>,
    work: Work,
}

impl Call {
    pub(crate) fn new(
        work: impl Future<Output = Result<Opaque, Failure>> + Send + 'static,
    ) -> Self {
        Self { host: None, work: Box::pin(work) }
    }

    /// Takes room of this host, too.
    pub(crate) fn for_host(self, hosts: Arc<Hosts>, name: String) -> Self {
        Self { host: Some((hosts, name)), ..self }
    }

    /// Waits for room and calls. First the host's, then the process's: calls that wait for a slow host
    /// would otherwise hold all of the process's, and those to other hosts stand behind them.
    pub(crate) async fn within(self, process: Arc<Semaphore>) -> Result<Opaque, Failure> {
        let Self { host, work } = self;
        let _host = match &host {
            Some((hosts, name)) => hosts.enter(name).await,
            None => None,
        };
        // Never closed, so there is always room in the end.
        let _process = process.acquire_owned().await.ok();
        work.await
    }
}

/// Without limits: for one call at a time.
impl IntoFuture for Call {
    type Output = Result<Opaque, Failure>;
    type IntoFuture = Work;

    fn into_future(self) -> Work {
        self.work
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::{Arc, Call, Hosts, Opaque, Semaphore};

    /// How long a call may take that nothing holds up.
    const SOON: Duration = Duration::from_secs(5);

    fn call(hosts: &Arc<Hosts>, host: &str, gate: &Arc<Semaphore>) -> Call {
        let gate = Arc::clone(gate);
        let work = async move {
            drop(gate.acquire_owned().await);
            Ok(Box::new(()) as Opaque)
        };
        Call::new(work).for_host(Arc::clone(hosts), host.to_owned())
    }

    #[tokio::test]
    async fn a_slow_host_holds_no_more_of_the_process_than_its_own_room() {
        let (hosts, process) = (Arc::new(Hosts::new(1)), Arc::new(Semaphore::new(2)));
        let (shut, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(1)));
        let mut slow = JoinSet::new();
        for _ in 0..4 {
            slow.spawn(call(&hosts, "slow", &shut).within(Arc::clone(&process)));
        }
        // All of them have gone as far as they can.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let quick = call(&hosts, "quick", &open).within(Arc::clone(&process));
        let answered = tokio::time::timeout(SOON, quick).await;
        assert!(answered.is_ok_and(|answer| answer.is_ok()), "one of two rooms was free");
        shut.add_permits(1);
        while let Some(answer) = slow.join_next().await {
            assert!(answer.unwrap().is_ok(), "they have their turn, one after the other");
        }
    }
}
