//! The hashes of RFC 7616 §3.4.1–3.4.3.

use md5::Md5;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroize;

/// A hash algorithm. The `-sess` variants are not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, what every phone knows
    Md5,
    /// SHA-256 (RFC 8760)
    Sha256,
}

impl Algorithm {
    /// The token in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// Reads the token, whatever its case; an absent one means MD5 (RFC 7616 §3.3).
    pub fn parse(token: &[u8]) -> Option<Algorithm> {
        if token.eq_ignore_ascii_case(b"MD5") {
            Some(Algorithm::Md5)
        } else if token.eq_ignore_ascii_case(b"SHA-256") {
            Some(Algorithm::Sha256)
        } else {
            None
        }
    }

    /// `H(part:part:…)`
    fn joined(self, parts: &[&[u8]]) -> Hex {
        match self {
            Algorithm::Md5 => Hex::of(&join::<Md5>(parts)),
            Algorithm::Sha256 => Hex::of(&join::<Sha256>(parts)),
        }
    }
}

fn join<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut hash = D::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize()
}

/// A hash in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex {
    bytes: [u8; 64],
    len: u8,
}

impl Hex {
    fn of(digest: &[u8]) -> Hex {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 64];
        for (i, b) in digest.iter().take(32).enumerate() {
            bytes[2 * i] = HEX[usize::from(b >> 4)];
            bytes[2 * i + 1] = HEX[usize::from(b & 15)];
        }
        Hex { bytes, len: (digest.len().min(32) * 2) as u8 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

/// `H(user:realm:password)`: as good as the password within its realm, so it is never printed, and wiped when dropped.
#[derive(Clone)]
pub struct Ha1 {
    algorithm: Algorithm,
    hex: Hex,
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({}, ***)", self.algorithm.as_str())
    }
}

impl Drop for Ha1 {
    fn drop(&mut self) {
        self.hex.bytes.zeroize();
    }
}

impl Ha1 {
    /// Computes it from the password.
    pub fn compute(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Ha1 {
        let hex = algorithm.joined(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        Ha1 { algorithm, hex }
    }

    /// Takes a stored one: 32 hex digits for MD5, 64 for SHA-256.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Ha1> {
        let length = match algorithm {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 => 64,
        };
        if hex.len() != length || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(hex.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        Some(Ha1 { algorithm, hex: Hex { bytes, len: length as u8 } })
    }

    /// The hex digits, to be stored where secrets are.
    pub fn expose_hex(&self) -> &str {
        self.hex.as_str()
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The response for `qop=auth` in hex: `H(HA1:nonce:nc:cnonce:auth:H(method:uri))` (RFC 7616 §3.4.1).
pub fn response(
    ha1: &Ha1,
    nonce: &[u8],
    nc: &[u8],
    cnonce: &[u8],
    method: &str,
    uri: &[u8],
) -> String {
    response_hex(ha1, nonce, nc, cnonce, method, uri).as_str().to_owned()
}

pub(crate) fn response_hex(
    ha1: &Ha1,
    nonce: &[u8],
    nc: &[u8],
    cnonce: &[u8],
    method: &str,
    uri: &[u8],
) -> Hex {
    let ha2 = ha1.algorithm.joined(&[method.as_bytes(), uri]);
    ha1.algorithm.joined(&[ha1.hex.as_bytes(), nonce, nc, cnonce, b"auth", ha2.as_bytes()])
}

/// The response of RFC 2617 without qop, for the client side only: some old trunks offer nothing else.
pub(crate) fn legacy_response_hex(ha1: &Ha1, nonce: &[u8], method: &str, uri: &[u8]) -> Hex {
    let ha2 = ha1.algorithm.joined(&[method.as_bytes(), uri]);
    ha1.algorithm.joined(&[ha1.hex.as_bytes(), nonce, ha2.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8] = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &[u8] = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn vector(algorithm: Algorithm) -> String {
        let ha1 = Ha1::compute(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        response(&ha1, NONCE, b"00000001", CNONCE, "GET", b"/dir/index.html")
    }

    #[test]
    fn vectors_of_rfc_7616_3_9_1() {
        assert_eq!(vector(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            vector(Algorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn ha1_is_never_printed() {
        let ha1 = Ha1::compute(Algorithm::Md5, "a", "b", "c");
        assert_eq!(format!("{ha1:?}"), "Ha1(MD5, ***)");
        assert_eq!(
            Ha1::from_hex(Algorithm::Md5, ha1.expose_hex()).unwrap().expose_hex(),
            ha1.expose_hex()
        );
        assert!(Ha1::from_hex(Algorithm::Sha256, ha1.expose_hex()).is_none());
    }
}
