//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2.3), which seals personal values, and the nonces for it. The cipher under it
//! is ring's ChaCha20-Poly1305, which is written for short texts on every processor: a phone that registers waits for it.

use chacha20::cipher::consts::U10;
use chacha20::hchacha;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 24;
/// Bytes of a tag.
const TAG: usize = 16;

/// Nonce, then ciphertext with its tag. `None`: the text is too long for the cipher (256 GiB).
pub(super) fn seal(
    key: &[u8; 32],
    nonce: [u8; NONCE],
    aad: &[u8],
    clear: &[u8],
) -> Option<Vec<u8>> {
    let (key, inner) = of_nonce(key, &nonce)?;
    let mut out = Vec::with_capacity(NONCE + clear.len() + TAG);
    out.extend(nonce);
    out.extend(clear);
    let text = out.get_mut(NONCE..)?;
    let tag = key.seal_in_place_separate_tag(inner, Aad::from(aad), text).ok()?;
    out.extend(tag.as_ref());
    Some(out)
}

/// The reverse. `None`: it was not sealed under this key with this associated data.
pub(super) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk()?;
    let (key, inner) = of_nonce(key, nonce)?;
    let mut text = sealed.to_vec();
    let clear = key.open_in_place(inner, Aad::from(aad), &mut text).ok()?.len();
    text.truncate(clear);
    Some(text)
}

/// The key that the first sixteen bytes of a nonce give, and the nonce that the rest of it is.
fn of_nonce(key: &[u8; 32], nonce: &[u8; NONCE]) -> Option<(LessSafeKey, Nonce)> {
    let (first, rest) = nonce.split_first_chunk::<16>()?;
    let subkey = Zeroizing::new(<[u8; 32]>::from(hchacha::<U10>(key.into(), first.into())));
    let mut inner = [0; 12];
    inner[4..].copy_from_slice(rest);
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*subkey).ok()?);
    Some((key, Nonce::assume_unique_for_key(inner)))
}

/// Makes nonces: a hash of a secret, of a count, and of what is to be sealed. The secret and the count alone make them
/// unpredictable and different; but a machine that was stopped and is resumed twice has both twice, and there the text makes the difference: the
/// same nonce comes twice for the same text only, which then is the same sealed bytes and tells nothing more.
#[derive(Default)]
pub(super) struct Nonces {
    secret: OnceLock<Zeroizing<[u8; 32]>>,
    count: AtomicU64,
}

impl Nonces {
    /// A nonce for this text under the key of this name. Fails when the system gives no random bytes for the secret.
    pub(super) fn next(&self, aad: &[u8], clear: &[u8]) -> Result<[u8; NONCE], getrandom::Error> {
        let secret = match self.secret.get() {
            Some(secret) => secret,
            None => {
                let mut fresh = Zeroizing::new([0; 32]);
                getrandom::fill(&mut *fresh)?;
                self.secret.get_or_init(|| fresh)
            }
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let hash = Sha256::new()
            .chain_update(**secret)
            .chain_update(count.to_le_bytes())
            .chain_update((aad.len() as u64).to_le_bytes())
            .chain_update(aad)
            .chain_update(clear)
            .finalize();
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&hash[..NONCE]);
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use chacha20poly1305::{XChaCha20Poly1305, XNonce};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    /// draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn the_vector_of_the_draft_comes_out() {
        let key = std::array::from_fn(|n| 0x80 + n as u8);
        let nonce = std::array::from_fn(|n| 0x40 + n as u8);
        let aad: [u8; 12] = bytes("50515253c0c1c2c3c4c5c6c7");
        let clear = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = seal(&key, nonce, &aad, clear).unwrap();
        assert_eq!(sealed[..24], nonce);
        assert_eq!(sealed[24..40], bytes::<16>("bd6d179d3e83d43b9576579493c0e939"));
        let tag = bytes::<16>("c0875924c1c7987947deafd8780acf49");
        assert_eq!(sealed[24 + clear.len()..], tag);
        assert_eq!(open(&key, &aad, &sealed).unwrap(), clear);
    }

    proptest! {
        /// Against another implementation of the same cipher.
        #[test]
        fn what_one_seals_the_other_opens(
            key: [u8; 32], nonce: [u8; NONCE], aad: Vec<u8>, clear: Vec<u8>,
        ) {
            let other = XChaCha20Poly1305::new(&key.into());
            let payload = Payload { msg: &clear, aad: &aad };
            let expected = other.encrypt(XNonce::from_slice(&nonce), payload).unwrap();
            let sealed = seal(&key, nonce, &aad, &clear).unwrap();
            prop_assert_eq!(&sealed[NONCE..], &expected);
            prop_assert_eq!(open(&key, &aad, &sealed).unwrap(), clear);
        }

        #[test]
        fn nothing_that_was_touched_opens(
            key: [u8; 32], clear in proptest::collection::vec(any::<u8>(), 0..40), at: usize, bit in 0..8_u32,
        ) {
            let mut sealed = seal(&key, [7; NONCE], b"of a book", &clear).unwrap();
            prop_assert_eq!(open(&key, b"of another", &sealed), None);
            let at = at % sealed.len();
            prop_assert_eq!(open(&key, b"of a book", &sealed[..at]), None);
            sealed[at] ^= 1_u8 << bit;
            prop_assert_eq!(open(&key, b"of a book", &sealed), None);
        }
    }

    #[test]
    fn no_nonce_comes_twice_and_none_of_a_resumed_twin_for_another_text() {
        let nonces = Nonces::default();
        let mut seen = HashSet::new();
        for n in 0..1000_u32 {
            let text = (n % 3).to_string();
            assert!(seen.insert(nonces.next(b"key", text.as_bytes()).unwrap()));
        }
        let twin = |text: &[u8], aad: &[u8]| {
            let secret = OnceLock::from(Zeroizing::new([9; 32]));
            Nonces { secret, count: AtomicU64::new(5) }.next(aad, text).unwrap()
        };
        assert_eq!(
            twin(b"one", b"key"),
            twin(b"one", b"key"),
            "the same text: the same sealed bytes"
        );
        assert_ne!(twin(b"one", b"key"), twin(b"two", b"key"));
        assert_ne!(twin(b"one", b"key"), twin(b"one", b"another"));
        assert_ne!(twin(b"one", b"key"), twin(b"yone", b"ke"), "and lengths are told apart");
    }
}
