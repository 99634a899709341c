//! Names of transactions, and the keyed hashes that find them (RFC 3261 §17.1.3, §17.2.3).

use crate::message::{Head, HeaderName, Method, Request, ValueError, Via};
use std::hash::{DefaultHasher, Hasher};

/// The name of a transaction; never reused within four billion transactions of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Hashes under a secret, so that nobody outside can aim for a collision.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    secret: [u8; 16],
}

impl Matcher {
    pub(crate) fn new(secret: [u8; 16]) -> Matcher {
        Matcher { secret }
    }

    fn hasher(&self, domain: u8) -> DefaultHasher {
        let mut h = DefaultHasher::new();
        h.write(&self.secret);
        h.write_u8(domain);
        h
    }

    /// The server transaction a request belongs to. ACK and CANCEL are looked for under INVITE.
    pub(crate) fn server(&self, request: &Request, via: &Via<'_>) -> Result<u64, ValueError> {
        let token = match request.method() {
            Method::Ack | Method::Cancel => "INVITE",
            _ => request.method_token(),
        };
        if let Some(branch) = via.unique_branch() {
            let mut h = self.hasher(1);
            put(&mut h, branch.as_bytes());
            put_lower(&mut h, via.sent_by.as_bytes());
            put(&mut h, token.as_bytes());
            return Ok(h.finish());
        }
        // RFC 2543: everything that stays the same between an INVITE, its ACK and its CANCEL (§17.2.3).
        let mut h = self.hasher(2);
        put(&mut h, request.uri_raw().as_bytes());
        put(&mut h, request.from()?.tag().unwrap_or("").as_bytes());
        put(&mut h, request.call_id()?.as_bytes());
        h.write_u32(request.cseq()?.seq);
        put(&mut h, request.list(HeaderName::Via).next().unwrap_or_default());
        put(&mut h, token.as_bytes());
        Ok(h.finish())
    }

    /// The client transaction: branch and method of CSeq (§17.1.3).
    pub(crate) fn client(&self, branch: &str, method: &str) -> u64 {
        let mut h = self.hasher(3);
        put(&mut h, branch.as_bytes());
        put(&mut h, method.as_bytes());
        h.finish()
    }

    /// The To tag of stateless answers: the same for every retransmission, and known again in the ACK (§8.2.7).
    pub(crate) fn stateless_tag(&self, request: &Head) -> String {
        let mut h = self.hasher(4);
        put(&mut h, request.list(HeaderName::Via).next().unwrap_or_default());
        put(&mut h, request.value(HeaderName::CallId).unwrap_or_default());
        let from = request.from().ok().and_then(|f| f.tag()).unwrap_or("");
        put(&mut h, from.as_bytes());
        hex(h.finish())
    }

    /// One request that came by two ways: same From tag, Call-ID and CSeq, other branch (§8.2.2.2).
    pub(crate) fn merged(&self, request: &Request) -> Option<u64> {
        let mut h = self.hasher(5);
        put(&mut h, request.from().ok()?.tag()?.as_bytes());
        put(&mut h, request.call_id().ok()?.as_bytes());
        put(&mut h, request.value(HeaderName::CSeq)?);
        put(&mut h, request.uri_raw().as_bytes());
        Some(h.finish())
    }
}

/// Sixteen digits; formatting them costs more than the hash does.
fn hex(number: u64) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift| char::from(DIGITS[(number >> shift) as usize & 15]);
    let mut out = String::with_capacity(16);
    out.extend((0..16).rev().map(|place| digit(place * 4)));
    out
}

fn put(h: &mut DefaultHasher, bytes: &[u8]) {
    h.write_usize(bytes.len());
    h.write(bytes);
}

fn put_lower(h: &mut DefaultHasher, bytes: &[u8]) {
    h.write_usize(bytes.len());
    for chunk in bytes.chunks(32) {
        let mut lower = [0; 32];
        lower[..chunk.len()].copy_from_slice(chunk);
        lower.make_ascii_lowercase();
        h.write(&lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tags_are_written_as_the_standard_library_writes_numbers(number: u64) {
            prop_assert_eq!(hex(number), format!("{number:016x}"));
        }
    }
}
