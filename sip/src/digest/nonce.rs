//! Nonces that the server need not remember: time, salt, and a signature over both, the realm and the source (RFC 7616 §5.4).

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

const TIME: usize = 6;
const SALT: usize = 6;
const MAC: usize = 12;
const RAW: usize = TIME + SALT + MAC;
const TEXT: usize = RAW / 3 * 4;

/// Why a nonce is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceError {
    /// Not one of ours for this realm
    Foreign,
    /// Ours, but past its time
    Expired,
}

/// Makes and checks nonces. `now` is time since any fixed moment, the same for all calls with one key; a Unix time
/// lets nonces survive a restart.
#[derive(Clone)]
pub struct Nonces {
    mac: Hmac<Sha256>,
    lifetime: Duration,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Nonces {
    /// Nonces signed with `key`, which must be secret and random.
    pub fn new(key: [u8; 32], lifetime: Duration) -> Nonces {
        // A block is 64 bytes long: padding here makes the key's length exactly that, which cannot fail.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        Nonces { mac: Hmac::new((&block).into()), lifetime }
    }

    /// How long a nonce lives.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A new nonce for the requests of one source; `salt` sets nonces of one moment apart.
    pub fn issue(&self, now: Duration, source: Option<IpAddr>, realm: &str, salt: u64) -> String {
        let mut raw = [0; RAW];
        raw[..TIME].copy_from_slice(&millis(now).to_be_bytes()[2..]);
        raw[TIME..TIME + SALT].copy_from_slice(&salt.to_be_bytes()[2..]);
        let mac = self.sign(&raw[..TIME + SALT], source, realm);
        raw[TIME + SALT..].copy_from_slice(&mac);
        encode(&raw)
    }

    /// Checks origin, source, realm and age; gives the moment the nonce expires.
    pub fn check(
        &self,
        now: Duration,
        source: Option<IpAddr>,
        realm: &str,
        nonce: &[u8],
    ) -> Result<Duration, NonceError> {
        let raw = decode(nonce).ok_or(NonceError::Foreign)?;
        let mac = self.sign(&raw[..TIME + SALT], source, realm);
        if !bool::from(mac.ct_eq(&raw[TIME + SALT..])) {
            return Err(NonceError::Foreign);
        }
        let mut time = [0; 8];
        time[2..].copy_from_slice(&raw[..TIME]);
        let expires = Duration::from_millis(u64::from_be_bytes(time)).saturating_add(self.lifetime);
        // A nonce from the future was issued before the clock was set back: it is renewed, too.
        let future = Duration::from_millis(u64::from_be_bytes(time)) > now + Duration::from_secs(5);
        if expires <= now || future { Err(NonceError::Expired) } else { Ok(expires) }
    }

    fn sign(&self, head: &[u8], source: Option<IpAddr>, realm: &str) -> [u8; MAC] {
        let mut mac = self.mac.clone();
        mac.update(head);
        match source.map(|ip| ip.to_canonical()) {
            None => mac.update(&[0]),
            Some(IpAddr::V4(ip)) => {
                mac.update(&[4]);
                mac.update(&ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                mac.update(&[6]);
                mac.update(&ip.octets());
            }
        }
        mac.update(realm.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut out = [0; MAC];
        out.copy_from_slice(&full[..MAC]);
        out
    }
}

fn millis(now: Duration) -> u64 {
    now.as_millis() as u64 & ((1 << 48) - 1)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(raw: &[u8; RAW]) -> String {
    let mut out = String::with_capacity(TEXT);
    for c in raw.chunks_exact(3) {
        let n = u32::from(c[0]) << 16 | u32::from(c[1]) << 8 | u32::from(c[2]);
        for shift in [18, 12, 6, 0] {
            out.push(char::from(ALPHABET[(n >> shift) as usize & 63]));
        }
    }
    out
}

/// Time and salt of what has the form of a nonce of ours.
pub(super) fn name(nonce: &[u8]) -> Option<[u8; TIME + SALT]> {
    decode(nonce)?.first_chunk().copied()
}

fn decode(text: &[u8]) -> Option<[u8; RAW]> {
    if text.len() != TEXT {
        return None;
    }
    let mut raw = [0; RAW];
    for (to, from) in raw.chunks_exact_mut(3).zip(text.chunks_exact(4)) {
        let mut n = 0u32;
        for b in from {
            let six = match b {
                b'A'..=b'Z' => b - b'A',
                b'a'..=b'z' => b - b'a' + 26,
                b'0'..=b'9' => b - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            n = n << 6 | u32::from(six);
        }
        to.copy_from_slice(&n.to_be_bytes()[1..]);
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_bound_to_key_realm_and_time() {
        let at = Duration::from_secs(1_800_000_000);
        let nonces = Nonces::new([1; 32], Duration::from_secs(60));
        let nonce = nonces.issue(at, None, "r", 42);
        assert_eq!(nonce.len(), TEXT);
        assert_eq!(nonces.check(at, None, "r", nonce.as_bytes()), Ok(at + Duration::from_secs(60)));
        assert_eq!(nonces.check(at, None, "q", nonce.as_bytes()), Err(NonceError::Foreign));
        assert_eq!(
            nonces.check(at + Duration::from_secs(60), None, "r", nonce.as_bytes()),
            Err(NonceError::Expired)
        );
        assert_eq!(
            nonces.check(at - Duration::from_secs(60), None, "r", nonce.as_bytes()),
            Err(NonceError::Expired)
        );
        let other = Nonces::new([2; 32], Duration::from_secs(60));
        assert_eq!(other.check(at, None, "r", nonce.as_bytes()), Err(NonceError::Foreign));
        for i in 0..nonce.len() {
            let mut forged = nonce.clone().into_bytes();
            forged[i] = if forged[i] == b'A' { b'B' } else { b'A' };
            assert_eq!(nonces.check(at, None, "r", &forged), Err(NonceError::Foreign));
        }
        assert_ne!(nonce, nonces.issue(at, None, "r", 43));
    }
}
