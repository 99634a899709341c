//! Secrets on their way in: a clear password or PIN becomes an entry of the vault before the Desk sees the command.
//!
//! Commands carry [`NewSecret`], which shows itself to nobody and is wiped when dropped. Events name the entry only.

use crate::refusal::{Refusal, RefusalCode};
use crate::wire::DeviceRef;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use md5::Md5;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::fmt;
use switchbook_core::id::UserId;
use switchbook_core::user::SecretRef;
use zeroize::Zeroizing;

/// Shortest password (U-2).
pub const PASSWORD_MIN: usize = 8;
/// Shortest PIN (U-2).
pub const PIN_MIN: usize = 4;

/// What a secret is for: decides its form rules and how it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretFor {
    /// A user's password: argon2id.
    UserPassword,
    /// A user's PIN: argon2id.
    UserPin,
    /// The password of a device that registers under this name: digest hashes.
    NewDevice(String),
    /// The password of a device that exists: digest hashes.
    Device(DeviceRef),
}

/// Sees each secret of a command and what it is for.
pub type SecretVisitor<'v> = &'v mut dyn FnMut(&mut NewSecret, SecretFor);

/// A password or PIN in a command: clear until the Desk's front has put it into the vault.
#[derive(Clone)]
pub enum NewSecret {
    /// As it was typed.
    Clear(Zeroizing<String>),
    /// In the vault.
    Stored(SecretRef),
}

impl NewSecret {
    /// As it was typed.
    #[must_use]
    pub fn clear(text: &str) -> Self {
        Self::Clear(Zeroizing::new(text.into()))
    }

    /// Where it is kept.
    ///
    /// # Errors
    /// `SECRETS_UNAVAILABLE` when it never came by the vault.
    pub fn stored(&self) -> Result<SecretRef, Refusal> {
        match self {
            Self::Stored(secret) => Ok(*secret),
            Self::Clear(_) => Err(Refusal::new(RefusalCode::SecretsUnavailable)),
        }
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(_) => f.write_str("NewSecret(…)"),
            Self::Stored(secret) => write!(f, "NewSecret({}/{})", secret.id, secret.version),
        }
    }
}

/// From outside a secret is always clear: nobody can name a vault entry of his choice.
impl<'de> Deserialize<'de> for NewSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::Clear(Zeroizing::new(text)))
    }
}

/// The PIN typed at a phone, and what the check said of it (RO-12).
#[derive(Clone)]
pub enum PinEntry {
    /// Not checked yet.
    Clear(Zeroizing<String>),
    /// It is this user's, and the extension was his when it was checked.
    Right(UserId),
    /// It is not, or there is no such extension, or no PIN: nobody is told which.
    Wrong,
    /// Not looked at: too many failed before.
    Locked {
        /// Whole seconds until the next try counts.
        seconds: u32,
    },
}

impl PinEntry {
    /// As it was typed.
    #[must_use]
    pub fn clear(text: &str) -> Self {
        Self::Clear(Zeroizing::new(text.into()))
    }
}

impl fmt::Debug for PinEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "PinEntry(…)",
            Self::Right(_) => "PinEntry(right)",
            Self::Wrong => "PinEntry(wrong)",
            Self::Locked { .. } => "PinEntry(locked)",
        })
    }
}

impl<'de> Deserialize<'de> for PinEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::Clear(Zeroizing::new(text)))
    }
}

/// U-2: the form rules, checked before anything is hashed.
///
/// # Errors
/// `PASSWORD_TOO_SHORT`, `PIN_TOO_SHORT`, `PIN_NOT_NUMERIC`.
pub fn check_form(clear: &str, usage: &SecretFor) -> Result<(), Refusal> {
    let refuse = |code| Err(Refusal::new(code));
    match usage {
        SecretFor::UserPin if !clear.bytes().all(|b| b.is_ascii_digit()) => {
            refuse(RefusalCode::PinNotNumeric)
        }
        SecretFor::UserPin if clear.len() < PIN_MIN => refuse(RefusalCode::PinTooShort),
        SecretFor::UserPassword | SecretFor::NewDevice(_) | SecretFor::Device(_)
            if clear.chars().count() < PASSWORD_MIN =>
        {
            refuse(RefusalCode::PasswordTooShort)
        }
        _ => Ok(()),
    }
}

/// The digest hashes of a device: HA1 of RFC 7616 §3.4.2 over `name:realm:password`, for both algorithms.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestHashes {
    /// MD5, sixteen bytes.
    pub md5: [u8; 16],
    /// SHA-256, thirty-two bytes.
    pub sha256: [u8; 32],
}

impl DigestHashes {
    const VERSION: u8 = 1;
    /// Length of the byte form.
    pub const LENGTH: usize = 1 + 16 + 32;

    /// The hashes of a clear password.
    #[must_use]
    pub fn of(name: &str, realm: &str, password: &str) -> Self {
        let text = Zeroizing::new(format!("{name}:{realm}:{password}"));
        Self {
            md5: Md5::digest(text.as_bytes()).into(),
            sha256: Sha256::digest(text.as_bytes()).into(),
        }
    }

    /// The byte form in the vault: version 1, MD5 (16 bytes), SHA-256 (32 bytes).
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LENGTH));
        bytes.push(Self::VERSION);
        bytes.extend_from_slice(&self.md5);
        bytes.extend_from_slice(&self.sha256);
        bytes
    }

    /// Reads the byte form; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (md5, sha256) = rest.split_at_checked(16)?;
        (*version == Self::VERSION).then_some(())?;
        Some(Self { md5: md5.try_into().ok()?, sha256: sha256.try_into().ok()? })
    }
}

impl fmt::Debug for DigestHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestHashes(…)")
    }
}

/// Hashes a password or PIN with argon2id, as a PHC string. Slow on purpose: never on a task that serves others.
/// `None` when the machine has no randomness to give.
#[must_use]
pub fn hash(clear: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    let salt = SaltString::encode_b64(&bytes).ok()?;
    let hash = Argon2::default().hash_password(clear.as_bytes(), &salt).ok()?;
    Some(Zeroizing::new(hash.to_string().into_bytes()))
}

/// Does the clear text belong to the stored hash? As slow as [`hash`].
#[must_use]
pub fn verify(clear: &str, stored: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(stored) else { return false };
    let Ok(hash) = PasswordHash::new(text) else { return false };
    Argon2::default().verify_password(clear.as_bytes(), &hash).is_ok()
}

/// A hash nobody's PIN has: checked against when there is nothing to check against, so that both cost alike (RO-12).
pub const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3dpdGNoYm9vay1ub2JvZHk$\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_hashes_are_those_of_the_rfc() {
        // RFC 7616 §3.9.1: user Mufasa, realm http-auth@example.org, password "Circle of Life".
        let hashes = DigestHashes::of("Mufasa", "http-auth@example.org", "Circle of Life");
        let hex: String = hashes.md5.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(DigestHashes::from_bytes(&hashes.to_bytes()), Some(hashes.clone()));
        assert_eq!(DigestHashes::from_bytes(&hashes.to_bytes()[1..]), None);
        assert_eq!(DigestHashes::from_bytes(&[]), None);
    }

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        let secret: NewSecret = serde_json::from_str("\"correct horse\"").unwrap();
        let pin: PinEntry = serde_json::from_str("\"4711\"").unwrap();
        assert!(!format!("{secret:?} {pin:?}").contains("horse"));
        assert!(!format!("{secret:?} {pin:?}").contains("4711"));
        assert!(secret.stored().is_err());
    }

    #[test]
    fn form_rules_of_u2() {
        let code = |text, usage| check_form(text, &usage).err().map(|refusal| refusal.code);
        assert_eq!(code("1234567", SecretFor::UserPassword), Some(RefusalCode::PasswordTooShort));
        assert_eq!(code("12345678", SecretFor::UserPassword), None);
        assert_eq!(code("123", SecretFor::UserPin), Some(RefusalCode::PinTooShort));
        assert_eq!(code("12a45", SecretFor::UserPin), Some(RefusalCode::PinNotNumeric));
        assert_eq!(code("1234", SecretFor::UserPin), None);
    }

    #[test]
    fn a_hash_verifies_its_own_text_only_and_nobodys_hash_none() {
        let stored = hash("4711").unwrap();
        assert!(verify("4711", &stored));
        assert!(!verify("4712", &stored));
        assert!(!verify("4711", NOBODYS_HASH.as_bytes()));
        assert!(PasswordHash::new(NOBODYS_HASH).is_ok(), "it costs as much as a real one");
    }
}
