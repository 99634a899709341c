//! Where secrets are kept, as the Desk's front sees it.

use crate::secret::DigestHashes;
use switchbook_core::user::SecretRef;
use switchbook_journal::Vault;
use zeroize::Zeroizing;

/// A secret that is to be kept: its name and the bytes of its hashes.
pub type Entry = (SecretRef, Zeroizing<Vec<u8>>);

/// Keeps hashes of passwords and PINs. Entries are on disk before an event names them.
pub trait Secrets: Send + Sync {
    /// Keeps all of them, durably.
    ///
    /// # Errors
    /// Why not, for the log.
    fn keep(&self, entries: &[Entry]) -> Result<(), String>;

    /// What is kept under a name.
    fn find(&self, secret: SecretRef) -> Option<Zeroizing<Vec<u8>>>;

    /// The digest hashes of a device.
    fn digest(&self, secret: SecretRef) -> Option<DigestHashes> {
        DigestHashes::from_bytes(&self.find(secret)?)
    }
}

impl Secrets for Vault {
    fn keep(&self, entries: &[Entry]) -> Result<(), String> {
        let borrowed: Vec<(SecretRef, &[u8])> =
            entries.iter().map(|(secret, bytes)| (*secret, bytes.as_slice())).collect();
        self.put_secrets(&borrowed).map_err(|error| error.to_string())
    }

    fn find(&self, secret: SecretRef) -> Option<Zeroizing<Vec<u8>>> {
        self.secret(secret)
    }
}
