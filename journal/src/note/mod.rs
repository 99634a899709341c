//! Checkpoints as they leave the machine: signed notes (C2SP signed-note), whose text is a checkpoint (C2SP
//! tlog-checkpoint), signed with Ed25519 and perhaps by witnesses (C2SP tlog-cosignature).

mod chain;

pub use chain::Chain;

use crate::merkle::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What stands before each signature line: U+2014 and a space.
const DASH: &str = "\u{2014} ";

/// What begins the line of a checkpoint that names the key to follow.
const NEXT_KEY: &str = "next-key ";

/// What a key signs, by the number that stands for it in key hashes and verifier keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Ed25519 over the text of the note (signed-note, type 1).
    Log = 1,
    /// Ed25519 over a time and the text of the note (tlog-cosignature, type 4).
    Witness = 4,
}

/// What is wrong with a text that should be a note, a checkpoint or a key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// The form.
    #[error("it is not written as a {0} is: {1}")]
    Form(&'static str, &'static str),
    /// No line of this key.
    #[error("it bears no signature of {0}")]
    Unsigned(String),
    /// A line that should be of this key and is not.
    #[error("the signature that claims to be of {0} is not: the text was changed, or it is forged")]
    Forged(String),
}

/// The root of the tree over a beginning of a book, as it is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which book.
    pub origin: String,
    /// So many records, from the first.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the text of a note. Lines behind the third are extensions, which say nothing here.
    ///
    /// # Errors
    /// When it is no checkpoint.
    pub fn parse(body: &str) -> Result<Self, NoteError> {
        let form = |what| NoteError::Form("checkpoint", what);
        let mut lines = body.lines();
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(form("no origin"))?;
        let size = lines.next().ok_or(form("no size"))?;
        let plain = size == "0" || !size.starts_with('0');
        if !plain || !size.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form("its size is no number"));
        }
        let size = size.parse().map_err(|_| form("its size is no number"))?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let root = root.and_then(|bytes| bytes.try_into().ok()).ok_or(form("its root is none"))?;
        Ok(Self { origin: origin.into(), size, root })
    }
}

/// A text with its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedNote {
    /// The text, its last newline included.
    pub text: String,
    /// The lines below, as they stand there.
    signatures: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    name: String,
    hash: [u8; 4],
    signature: Vec<u8>,
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        let form = |what| NoteError::Form("signed note", what);
        // Nor an invisible mark of byte order, which would make another origin of the first line.
        if note.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{feff}') {
            return Err(form("it holds control characters, or a mark of byte order"));
        }
        let split = note.rfind("\n\n").ok_or(form("no empty line before the signatures"))?;
        let (text, below) = (&note[..=split], &note[split + 2..]);
        let below = below.strip_suffix('\n').ok_or(form("it does not end with a newline"))?;
        let signatures = below.split('\n').map(Line::read).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(form("a line below is no signature"))?;
        Ok(Self { text: text.into(), signatures })
    }
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(base64).ok()?;
        let (hash, signature) = bytes.split_first_chunk::<4>()?;
        let named = !name.is_empty() && !name.contains('+');
        named.then(|| Self { name: name.into(), hash: *hash, signature: signature.to_vec() })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| {
            let bytes = [line.hash.as_slice(), &line.signature].concat();
            writeln!(f, "{DASH}{} {}", line.name, STANDARD.encode(bytes))
        })
    }
}

impl SignedNote {
    /// A list of notes, one behind the other, as seals are appended to a file; empty lines between them are allowed.
    ///
    /// # Errors
    /// When something in it is no note.
    pub fn list(text: &str) -> Result<Vec<Self>, NoteError> {
        let (mut notes, mut note, mut signed) = (Vec::new(), String::new(), false);
        for line in text.split_inclusive('\n') {
            let signature = line.starts_with(DASH);
            if signed && !signature {
                notes.push(std::mem::take(&mut note).parse()?);
                signed = false;
            }
            if note.is_empty() && line.trim().is_empty() {
                continue;
            }
            signed |= signature;
            note.push_str(line);
        }
        if !note.is_empty() {
            notes.push(note.parse()?);
        }
        Ok(notes)
    }

    /// A checkpoint, signed.
    #[must_use]
    pub fn sign(checkpoint: &Checkpoint, signer: &Signer) -> Self {
        let text = checkpoint.body();
        let signature = signer.key.sign(text.as_bytes()).to_bytes().to_vec();
        let public = signer.verifier();
        let line = Line { name: signer.name.clone(), hash: public.hash(), signature };
        Self { text, signatures: vec![line] }
    }

    /// The same with a witness's line behind the others: at this time (seconds since 1970) it had seen no other book of this
    /// origin than the beginnings of this one.
    #[must_use]
    pub fn cosign(mut self, signer: &Signer, seconds: u64) -> Self {
        let signed = signer.key.sign(cosigned(&self.text, seconds).as_bytes());
        let signature = [seconds.to_be_bytes().as_slice(), &signed.to_bytes()].concat();
        let public = signer.verifier();
        self.signatures.retain(|line| line.name != signer.name || line.hash != public.hash());
        self.signatures.push(Line { name: signer.name.clone(), hash: public.hash(), signature });
        self
    }

    /// Checks that this key signed the text; of a witness's, says at which time (seconds since 1970).
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::Forged`].
    pub fn verify(&self, by: &Verifier) -> Result<Option<u64>, NoteError> {
        let ours = |line: &&Line| line.name == by.name && line.hash == by.hash();
        let mut lines = self.signatures.iter().filter(ours).peekable();
        if lines.peek().is_none() {
            return Err(NoteError::Unsigned(by.name.clone()));
        }
        let good = |line: &Line| match by.kind {
            KeyKind::Log => {
                let signature = Signature::from_slice(&line.signature).ok()?;
                by.key.verify_strict(self.text.as_bytes(), &signature).ok().map(|()| None)
            }
            KeyKind::Witness => {
                let (time, signature) = line.signature.split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*time);
                let signature = Signature::from_slice(signature).ok()?;
                let text = cosigned(&self.text, seconds);
                by.key.verify_strict(text.as_bytes(), &signature).ok().map(|()| Some(seconds))
            }
        };
        lines.find_map(good).ok_or_else(|| NoteError::Forged(by.name.clone()))
    }

    /// A checkpoint with which one key hands over to the next: its text names the next one, and both sign it.
    #[must_use]
    pub fn hand_over(checkpoint: &Checkpoint, from: &Signer, to: &Signer) -> Self {
        let text = format!("{}{NEXT_KEY}{}\n", checkpoint.body(), to.verifier());
        let line = |signer: &Signer| Line {
            name: signer.name.clone(),
            hash: signer.verifier().hash(),
            signature: signer.key.sign(text.as_bytes()).to_bytes().to_vec(),
        };
        let signatures = vec![line(from), line(to)];
        Self { text, signatures }
    }

    /// The key that follows, if this checkpoint hands over to one that signed it too. Whether it may, says whoever trusts
    /// the key before.
    #[must_use]
    pub fn next_key(&self) -> Option<Verifier> {
        let named = self.text.lines().skip(3).find_map(|line| line.strip_prefix(NEXT_KEY))?;
        let next: Verifier = named.parse().ok()?;
        (next.kind == KeyKind::Log && self.verify(&next).is_ok()).then_some(next)
    }

    /// The checkpoint that the text is.
    ///
    /// # Errors
    /// When it is none.
    pub fn checkpoint(&self) -> Result<Checkpoint, NoteError> {
        Checkpoint::parse(&self.text)
    }
}

/// What a witness signs.
fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// Somebody who signs.
pub struct Signer {
    name: String,
    kind: KeyKind,
    key: SigningKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

/// A key's name: not empty, without white space and plus signs.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl Signer {
    /// From the 32 bytes of a private key (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// When the name is not one for a key.
    pub fn new(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Form("key name", "it is empty, or has spaces or a plus sign"));
        }
        Ok(Self { name: name.into(), kind, key: SigningKey::from_bytes(seed) })
    }

    /// A new private key's bytes.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn fresh_seed() -> Result<Zeroizing<[u8; 32]>, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(seed)
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), kind: self.kind, key: self.key.verifying_key() }
    }
}

/// A public key with its name; written `name+hash+base64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

impl Verifier {
    /// Whose key it is; for a book's own, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The first four bytes of SHA-256 over name, newline, kind and key.
    fn hash(&self) -> [u8; 4] {
        let mut sum = Sha256::new();
        sum.update(self.name.as_bytes());
        sum.update([b'\n', self.kind as u8]);
        sum.update(self.key.as_bytes());
        let sum: [u8; 32] = sum.finalize().into();
        [sum[0], sum[1], sum[2], sum[3]]
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind as u8], self.key.as_bytes().as_slice()].concat();
        let hash = u32::from_be_bytes(self.hash());
        write!(f, "{}+{hash:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let form = |what| NoteError::Form("verifier key", what);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form("name, hash and key are joined by plus signs"));
        };
        if !is_name(name) {
            return Err(form("it has no name"));
        }
        let bytes = STANDARD.decode(key).map_err(|_| form("its key is not base64"))?;
        let (kind, key) = match bytes.split_first() {
            Some((1, key)) => (KeyKind::Log, key),
            Some((4, key)) => (KeyKind::Witness, key),
            _ => return Err(form("its kind is neither 1 (Ed25519) nor 4 (cosignature)")),
        };
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
        let verifier = Self { name: name.into(), kind, key: key.ok_or(form("it is no key"))? };
        let right = format!("{:08x}", u32::from_be_bytes(verifier.hash()));
        if hash != right {
            return Err(form("its hash is not that of its name and key"));
        }
        Ok(verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "pbx.example/5b".into(), size: 7, root: [9; 32] }
    }

    #[test]
    fn a_checkpoint_survives_the_way_out_and_back() {
        let signer = Signer::new("pbx.example/5b", KeyKind::Log, &[1; 32]).unwrap();
        let witness = Signer::new("witness.example", KeyKind::Witness, &[2; 32]).unwrap();
        let note = SignedNote::sign(&checkpoint(), &signer).cosign(&witness, 1_795_435_200);
        let back: SignedNote = note.to_string().parse().unwrap();
        assert_eq!(back, note);
        assert_eq!(back.checkpoint().unwrap(), checkpoint());
        let public: Verifier = signer.verifier().to_string().parse().unwrap();
        assert_eq!(back.verify(&public), Ok(None));
        assert_eq!(back.verify(&witness.verifier()), Ok(Some(1_795_435_200)));
        let list = format!("{note}{note}\n{note}");
        assert_eq!(SignedNote::list(&list).unwrap(), [note.clone(), note.clone(), note]);
    }

    #[test]
    fn what_was_changed_after_signing_is_told() {
        let signer = Signer::new("pbx.example/5b", KeyKind::Log, &[1; 32]).unwrap();
        let other = Signer::new("other.example", KeyKind::Log, &[3; 32]).unwrap();
        let note = SignedNote::sign(&checkpoint(), &signer).to_string();
        let forged: SignedNote = note.replace("\n7\n", "\n8\n").parse().unwrap();
        assert!(matches!(forged.verify(&signer.verifier()), Err(NoteError::Forged(_))));
        let note: SignedNote = note.parse().unwrap();
        assert!(matches!(note.verify(&other.verifier()), Err(NoteError::Unsigned(_))));
    }

    /// The example of the Go package `golang.org/x/mod/sumdb/note`, which the format comes from.
    #[test]
    fn the_example_that_the_format_comes_from_is_read() {
        let key: Verifier =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let note: SignedNote = note.parse().unwrap();
        assert_eq!(note.verify(&key), Ok(None));
    }

    #[test]
    fn a_key_with_a_wrong_hash_is_refused() {
        let wrong = "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert!(wrong.parse::<Verifier>().is_err());
        for broken in ["", "a\n\n", "a\n\nb\n", "a\n\n\u{2014} x !\n", "\u{2014} a AAAA\n"] {
            assert!(broken.parse::<SignedNote>().is_err(), "{broken:?}");
        }
        for broken in ["a\n01\nAAAA\n", "a\n-1\n", "\n1\n", "a\n1\nAAAA\n"] {
            assert!(Checkpoint::parse(broken).is_err(), "{broken:?}");
        }
    }
}
