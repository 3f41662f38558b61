//! From where a request really comes: proxies that we name may say for whom they speak.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use warp::http::HeaderMap;

use crate::address::Network;

/// Hops looked at, from ours outwards. More is not a chain of proxies but somebody's joke.
const HOPS_MAX: usize = 16;

/// The header in which the named proxies say for whom they speak. Only one, because a proxy that
/// writes the one lets the other through as the sender wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who may speak for others.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The proxies.
    pub proxies: Vec<Network>,
    /// Where they say so.
    pub header: ForwardedHeader,
}

impl Trust {
    /// The address that a request of `peer` comes from: the last one in the chain that is not a
    /// named proxy. `None` when named proxies do not say for whom they speak.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.is_named(peer) {
            return Some(peer);
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let lines = headers.get_all(name).iter().rev();
        for hop in
            lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).take(HOPS_MAX)
        {
            let hop = std::str::from_utf8(hop).ok()?.trim();
            let address = match self.header {
                ForwardedHeader::XForwardedFor => address(hop)?,
                ForwardedHeader::Forwarded => address(forwarded_for(hop)?)?,
            };
            if !self.is_named(address) {
                return Some(address);
            }
        }
        None
    }

    fn is_named(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.has(address))
    }
}

/// The value of `for` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
        name.eq_ignore_ascii_case("for").then_some(value)
    })
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(header: ForwardedHeader) -> Trust {
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|it| it.parse().unwrap()).to_vec();
        Trust { proxies, header }
    }

    #[track_caller]
    fn check(header: ForwardedHeader, peer: &str, lines: &[(&str, &str)], expect: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: warp::http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let client = trust(header).client(peer.parse().unwrap(), &headers);
        assert_eq!(client, expect.map(|it| it.parse().unwrap()), "{peer} {lines:?}");
    }

    #[test]
    fn only_named_proxies_are_believed_and_only_as_far_as_their_own_words_go() {
        #[track_caller]
        fn check(value: &str, expect: Option<&str>) {
            let lines = [("forwarded", value)];
            tests::check(ForwardedHeader::Forwarded, "10.0.0.1", &lines, expect);
        }
        check("for=203.0.113.9", Some("203.0.113.9"));
        check("proto=https; FOR=\"203.0.113.9:47\";by=10.0.0.1", Some("203.0.113.9"));
        check("for=\"[2001:db8:2::1]:47\"", Some("2001:db8:2::1"));
        check("for=\"198.51.100.1, for=203.0.113.9", Some("203.0.113.9"));
        check("for=203.0.113.9, for=10.2.2.2", Some("203.0.113.9"));
        check("for=_hidden", None);
        check("for=203.0.113.9, by=10.0.0.1", None);
    }
}
