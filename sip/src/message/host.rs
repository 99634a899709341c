//! Hosts in URIs and Via: names, IPv4, IPv6 references (RFC 3261 §25.1, RFC 5118 §4.10).

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
        if let Some(inner) = s.strip_prefix('[') {
            return ipv6(inner.strip_suffix(']')?).map(Host::V6);
        }
        let b = s.as_bytes();
        if b.is_empty() || b.len() > 255 {
            return None;
        }
        if !b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_')) {
            return None;
        }
        if b[b.len() - 1].is_ascii_digit()
            && b[0].is_ascii_digit()
            && let Ok(v4) = s.parse()
        {
            return Some(Host::V4(v4));
        }
        Some(Host::Name(s))
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
    let end = if s.starts_with('[') { s.find(']')? + 1 } else { s.find(':').unwrap_or(s.len()) };
    let host = Host::parse(&s[..end])?;
    let rest = &s[end..];
    if rest.is_empty() {
        return Some((host, None));
    }
    Some((host, Some(port(rest.strip_prefix(':')?.as_bytes())?)))
}

pub(crate) fn port(s: &[u8]) -> Option<u16> {
    u16::try_from(super::scan::digits(s)?).ok()
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
