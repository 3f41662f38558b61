//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Limits;
use crate::address::{Network, party};
use crate::metrics::ConnectionMetrics;

/// The open connections. Holds one entry for each address that has one.
#[derive(Debug)]
pub(super) struct Crowd {
    in_all: usize,
    per_address: usize,
    /// Proxies: one address of theirs is many senders.
    proxies: Vec<Network>,
    metrics: ConnectionMetrics,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub(super) fn new(limits: &Limits, proxies: Vec<Network>, metrics: ConnectionMetrics) -> Self {
        let (in_all, per_address) = (limits.connections_max, limits.connections_per_address_max);
        Self { in_all, per_address, proxies, metrics, open: Mutex::default() }
    }

    /// A place for a connection from `address`, if there is one.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = party(peer);
        let is_proxy = address.is_loopback() || self.proxies.iter().any(|it| it.has(peer));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if open.in_all >= self.in_all || (here >= self.per_address && !is_proxy) {
            self.metrics.refused.inc();
            return None;
        }
        open.in_all = open.in_all.saturating_add(1);
        open.by_address.insert(address, here.saturating_add(1));
        drop(open);
        self.metrics.open.inc();
        Some(Place { crowd: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.in_all = open.in_all.saturating_sub(1);
        match open.by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here = here.saturating_sub(1),
            _ => {
                open.by_address.remove(&self.address);
            }
        }
        drop(open);
        self.crowd.metrics.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let limits = crate::testing::limits();
        let limits = Limits { connections_max: 3, connections_per_address_max: 2, ..limits };
        let metrics = Metrics::new().unwrap().connections;
        let crowd =
            Arc::new(Crowd::new(&limits, vec!["192.0.2.9".parse().unwrap()], metrics.clone()));
        let enter = |last: u8| crowd.enter(IpAddr::from([192, 0, 2, last]));
        let (a, b) = (enter(1).unwrap(), enter(1).unwrap());
        assert!(enter(1).is_none(), "a third of one address");
        let c = enter(2).unwrap();
        assert!(enter(3).is_none(), "a fourth in all");
        assert_eq!((metrics.open.get(), metrics.refused.get()), (3, 2));
        drop((a, b, c));
        assert_eq!(metrics.open.get(), 0);
        assert!(crowd.open.lock().unwrap().by_address.is_empty());
        let _many = [enter(9).unwrap(), enter(9).unwrap(), enter(9).unwrap()];
    }
}
