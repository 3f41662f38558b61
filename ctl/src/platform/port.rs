//! Ports of the local servers.
use std::net::{Ipv4Addr, TcpListener};

use super::Error;

/// Below the range from which the system takes ports for outgoing connections (32768 and up on Linux):
/// a stopped server's port is not taken by a client's socket before the server is back, and a client
/// cannot connect to itself.
const FREE_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Tries at finding a free port; far more than a machine with a thousand servers would need.
const FREE_PORT_ATTEMPTS_MAX: usize = 200;

/// Which port a local server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one, or the start is refused.
    Fixed(u16),
    /// This one when it is free, else any.
    Preferred(u16),
    /// Any free one.
    Free,
}

impl Port {
    /// Finds the port for `name`; fails when it is occupied, or none is free.
    pub fn choose(self, name: &'static str) -> Result<u16, Error> {
        match self {
            Self::Fixed(port) | Self::Preferred(port) if is_free(port) => Ok(port),
            Self::Fixed(port) => Err(Error::PortOccupied { name, port }),
            Self::Preferred(_) | Self::Free => (0..FREE_PORT_ATTEMPTS_MAX)
                .map(|_| fastrand::u16(FREE_PORTS))
                .find(|port| is_free(*port))
                .ok_or(Error::NoPortFree { name }),
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occupied() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn an_occupied_fixed_port_is_refused_by_name() {
        let (_listener, port) = occupied();
        let error = Port::Fixed(port).choose("kafka").unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "port {port} for kafka is used by another program: end that program or choose another port"
            )
        );
    }

    #[test]
    fn an_occupied_preferred_port_is_replaced_by_a_free_one() {
        let (_listener, occupied) = occupied();
        let chosen = Port::Preferred(occupied).choose("kafka").unwrap();
        assert_ne!(chosen, occupied);
        assert!(FREE_PORTS.contains(&chosen));
    }
}
