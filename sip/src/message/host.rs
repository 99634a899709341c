//! Hosts in URIs and Via: names, IPv4, IPv6 references (RFC 3261 §25.1, RFC 5118 §4.10).

use super::scan::{class, run};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host. Names compare without regard to case.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// An IPv4 address
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets
    V6(Ipv6Addr),
    /// A domain name
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads a whole host, an IPv6 address in brackets.
    pub fn parse(s: &'a str) -> Option<Host<'a>> {
        let (host, rest) = Host::begins(s)?;
        rest.is_empty().then_some(host)
    }

    /// The host that `s` begins with, and what follows.
    pub(crate) fn begins(s: &'a str) -> Option<(Host<'a>, &'a str)> {
        if let Some(inner) = s.strip_prefix('[') {
            let (inner, rest) = inner.split_once(']')?;
            return Some((Host::V6(ipv6(inner)?), rest));
        }
        let n = run(s.as_bytes(), class::HOST);
        if n == 0 || n > 255 {
            return None;
        }
        let (name, rest) = s.split_at_checked(n)?;
        Some((ipv4(name.as_bytes()).map_or(Host::Name(name), Host::V4), rest))
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::V4(a) => Some(IpAddr::V4(*a)),
            Host::V6(a) => Some(IpAddr::V6(*a)),
            Host::Name(_) => None,
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Host::V4(a), Host::V4(b)) => a == b,
            (Host::V6(a), Host::V6(b)) => a == b,
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::V4(a) => a.fmt(f),
            Host::V6(a) => write!(f, "[{a}]"),
            Host::Name(n) => f.write_str(n),
        }
    }
}

/// Splits `host[:port]`; the whole input must be used.
pub(crate) fn host_port(s: &str) -> Option<(Host<'_>, Option<u16>)> {
    let (host, rest) = Host::begins(s)?;
    if rest.is_empty() {
        return Some((host, None));
    }
    Some((host, Some(port(rest.strip_prefix(':')?.as_bytes())?)))
}

pub(crate) fn port(s: &[u8]) -> Option<u16> {
    u16::try_from(super::scan::digits(s)?).ok()
}

/// Four numbers up to 255 without leading zeros; read here since each message names a dozen hosts.
fn ipv4(s: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut rest = s;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (mut number, mut digits) = (0_u16, 0);
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            number = number * 10 + u16::from(digit - b'0');
            (digits, rest) = (digits + 1, after);
            if digits > 3 || (digits > 1 && number < 10) {
                return None;
            }
        }
        *octet = u8::try_from(number).ok().filter(|_| digits > 0)?;
    }
    rest.is_empty().then(|| Ipv4Addr::from(octets))
}

/// The grammar of RFC 3261 wrote three colons before an embedded IPv4 address; RFC 5118 §4.10 asks to bear with it.
fn ipv6(s: &str) -> Option<Ipv6Addr> {
    if let Ok(a) = s.parse() {
        return Some(a);
    }
    let at = s.find(":::")?;
    let mut fixed = [0u8; 48];
    let s = s.as_bytes();
    let (head, tail) = (&s[..at + 2], &s[at + 3..]);
    let n = head.len() + tail.len();
    fixed.get_mut(..head.len())?.copy_from_slice(head);
    fixed.get_mut(head.len()..n)?.copy_from_slice(tail);
    std::str::from_utf8(&fixed[..n]).ok()?.parse().ok()
}

/// An address in a Via parameter or SDP: IPv6 with or without brackets (RFC 5118 §4.5).
pub(crate) fn bare_ip(s: &str) -> Option<IpAddr> {
    let inner = s.strip_prefix('[').and_then(|s| s.strip_suffix(']')).unwrap_or(s);
    inner.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The standard library reads the same addresses.
        #[test]
        fn ipv4_addresses_are_those_of_the_standard_library(
            s in prop_oneof!["[0-9]{0,4}(\\.[0-9]{0,4}){2,4}", any::<[u8; 4]>().prop_map(|a| Ipv4Addr::from(a).to_string())],
        ) {
            prop_assert_eq!(ipv4(s.as_bytes()), s.parse().ok());
        }
    }
}
