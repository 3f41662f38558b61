//! Addresses: whom one stands for, and which networks it lies in.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Bits of an IPv6 address that one customer of a provider cannot choose.
const IPV6_NETWORK_BITS: u32 = 64;

/// Whom an address stands for: an IPv4 address for itself, however it is written; an IPv6 address
/// for its /64, because whoever has one address of it has all.
pub fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address != Ipv6Addr::LOCALHOST => {
            let host_bits = Ipv6Addr::BITS.saturating_sub(IPV6_NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits))
        }
        address => address,
    }
}

/// A network: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; expected such as `192.0.2.0/24`, `2001:db8::/32` or one address")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let error = || NetworkError(text.to_owned());
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| error())?;
        let network = Self { address, bits };
        // Bits beyond the network's are somebody's mistake: which one, we cannot know.
        let is_exact = bits <= most && number(address) == network.mask(address);
        if is_exact { Ok(network) } else { Err(error()) }
    }
}

impl Network {
    /// Whether an address lies in it.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.mask(address) == number(self.address)
    }

    /// The network's part of an address of its kind, from the top of the number.
    fn mask(&self, address: IpAddr) -> u128 {
        let host_bits = u128::BITS.saturating_sub(self.bits);
        let dropped = number(address).checked_shr(host_bits).unwrap_or(0);
        dropped.checked_shl(host_bits).unwrap_or(0)
    }
}

/// An address's bits, the first on top.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_its_party() {
        #[track_caller]
        fn check(given: &str, expect: &str) {
            assert_eq!(party(given.parse().unwrap()).to_string(), expect);
        }
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("::1", "::1");
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        #[track_caller]
        fn check(network: &str, address: &str, expect: bool) {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.has(address.parse().unwrap()), expect, "{network:?} {address}");
        }
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "::ffff:192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db8::1", true);
        check("::1", "::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "a", "192.0.2.0/33", "192.0.2.7/24", "::/129", "192.0.2.0/", "1/8", "/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError(text.to_owned())), "{text}");
        }
    }
}
