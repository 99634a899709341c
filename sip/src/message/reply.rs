//! What a response takes over from its request (RFC 3261 §8.2.6.2, §18.2), and where it goes.

use super::build::{BuildError, Builder};
use super::error::ParseError;
use super::head::Head;
use super::method::Method;
use super::name::HeaderName;
use super::scan::CommaList;
use super::via::Via;
use bytes::{Bytes, BytesMut};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Where the response to a request from `source` goes (RFC 3261 §18.2.2, RFC 3581 §4): always to the address the
/// request came from, to the port it came from if the client asked for that by `rport`. `maddr` is not followed.
pub fn reply_address(top: &Via<'_>, source: SocketAddr) -> SocketAddr {
    if top.wants_rport() { source } else { SocketAddr::new(source.ip(), top.port.unwrap_or(5060)) }
}

/// Longer answers to what could not be parsed are not given: they would throw the request's own bulk back.
const LONGEST: usize = 4_096;

/// The stateless answer to a request that could not be parsed and where to send it; `None` if it is better not
/// answered: a response, an ACK, too little was readable, or too much would have to be repeated.
pub fn reject_unparsed(
    out: &mut BytesMut,
    error: &ParseError,
    to_tag: &str,
    source: SocketAddr,
) -> Option<(SocketAddr, Bytes)> {
    let salvage = error.salvage.as_ref().filter(|s| s.method != Method::Ack)?;
    let (status, reason) = error.kind.status()?;
    let to = reply_address(&salvage.head.top_via().ok()?, source);
    let bytes =
        Builder::reply(out, &salvage.head, status, reason, Some(to_tag), source).finish().ok()?;
    (bytes.len() <= LONGEST).then_some((to, bytes))
}

pub(crate) fn copy_headers(
    b: &mut Builder<'_>,
    request: &Head,
    to_tag: Option<&str>,
    source: SocketAddr,
) {
    let mut vias = request.values(HeaderName::Via);
    let Some(first) = vias.next() else {
        b.fault.get_or_insert(BuildError::Unanswerable);
        return;
    };
    top_via(b, request, first, source);
    for value in vias {
        line(b, HeaderName::Via, value);
    }
    for name in [HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        match request.value(name) {
            Some(value) => line(b, name, value),
            None => {
                b.fault.get_or_insert(BuildError::Unanswerable);
            }
        }
    }
    let Some(to) = request.value(HeaderName::To) else {
        b.fault.get_or_insert(BuildError::Unanswerable);
        return;
    };
    b.name(HeaderName::To);
    b.put(to);
    if let (Some(tag), Ok(parsed)) = (to_tag, request.to())
        && parsed.params.get("tag").is_none()
    {
        b.tag(tag);
    }
    b.put(b"\r\n");
}

fn line(b: &mut Builder<'_>, name: HeaderName, value: &[u8]) {
    b.name(name);
    b.put(value);
    b.put(b"\r\n");
}

/// Writes the first Via line; its first value gets `received` and `rport`, claims to either in it are dropped.
fn top_via(b: &mut Builder<'_>, request: &Head, value: &[u8], source: SocketAddr) {
    b.name(HeaderName::Via);
    let mut list = CommaList::new(value);
    let top = list.next().unwrap_or(value);
    match request.top_via() {
        Err(_) => b.put(top),
        Ok(via) => {
            b.put(via.head);
            let rport = via.wants_rport();
            for p in via.params.iter() {
                if p.name.eq_ignore_ascii_case("received") || p.name.eq_ignore_ascii_case("rport") {
                    continue;
                }
                b.put(b";");
                b.put(p.name.as_bytes());
                if let Some(value) = p.value {
                    b.put(b"=");
                    b.put(value);
                }
            }
            if rport
                || via.host.ip().map(|ip| ip.to_canonical()) != Some(source.ip().to_canonical())
            {
                b.put(b";received=");
                put_ip(b, source.ip());
            }
            if rport {
                b.put(b";rport=");
                put_number(b, source.port());
            }
        }
    }
    for other in list {
        b.put(b", ");
        b.put(other);
    }
    b.put(b"\r\n");
}

fn put_ip(b: &mut Builder<'_>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                b.put(if index == 0 { b"" } else { b"." });
                put_number(b, u16::from(octet));
            }
        }
        // IPv6 without brackets is what most implementations send and all read (RFC 5118 §4.5).
        // Writing to a buffer cannot fail.
        IpAddr::V6(ip) => drop(write!(b.out, "{ip}")),
    }
}

/// In decimal; every answer has five of these, and formatting them costs more than the rest of the line.
fn put_number(b: &mut Builder<'_>, number: u16) {
    let mut digits = [0; 5];
    let (mut at, mut rest) = (5, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return b.put(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_and_ports_are_written_as_the_standard_library_writes_them(v4: [u8; 4], v6: [u16; 8], port: u16) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                let mut out = BytesMut::new();
                let mut b = Builder::response(&mut out, 200, "OK");
                let before = b.out.len();
                put_ip(&mut b, ip);
                b.put(b" ");
                put_number(&mut b, port);
                let written = std::str::from_utf8(&b.out[before..]).unwrap();
                prop_assert_eq!(written, format!("{} {port}", ip.to_canonical()));
            }
        }
    }
}
