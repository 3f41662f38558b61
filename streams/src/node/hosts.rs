//! How many calls one host gets at the same time, over all tasks of a process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts that are remembered without a call under way before the idle ones are forgotten: names may
/// come from records, and a list of them must not grow without end.
const HOSTS_MAX: usize = 1_024;

/// A limit per host, shared by the nodes of one processor.
#[derive(Debug)]
pub(crate) struct Hosts {
    calls_max: usize,
    by_name: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Hosts {
    pub(crate) fn new(calls_max: usize) -> Self {
        Self { calls_max, by_name: Mutex::default() }
    }

    /// Waits until the host has room; the room is taken until the permit is dropped.
    pub(crate) async fn enter(&self, host: &str) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so there is always a permit in the end.
        self.of(host).acquire_owned().await.ok()
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_name.get(host) {
            return Arc::clone(known);
        }
        if by_name.len() >= HOSTS_MAX {
            by_name.retain(|_, host| host.available_permits() < self.calls_max);
        }
        let room = Arc::new(Semaphore::new(self.calls_max));
        by_name.insert(host.to_owned(), Arc::clone(&room));
        room
    }
}

#[cfg(test)]
mod tests {
    use super::{HOSTS_MAX, Hosts};

    #[tokio::test]
    async fn one_host_waits_for_itself_and_not_for_another() {
        let hosts = Hosts::new(1);
        let first = hosts.enter("a").await;
        assert!(hosts.of("a").try_acquire_owned().is_err(), "its room is taken");
        assert!(hosts.of("b").try_acquire_owned().is_ok(), "another's is not");
        drop(first);
        assert!(hosts.of("a").try_acquire_owned().is_ok());
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten_and_busy_ones_are_not() {
        let hosts = Hosts::new(1);
        let busy = hosts.enter("busy").await;
        for name in 0..HOSTS_MAX * 2 {
            drop(hosts.enter(&name.to_string()).await);
        }
        assert!(hosts.by_name.lock().unwrap().len() <= HOSTS_MAX + 1);
        assert!(hosts.of("busy").try_acquire_owned().is_err());
        drop(busy);
    }
}
