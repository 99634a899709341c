//! Signed notes (C2SP signed-note), checkpoints (tlog-checkpoint) and cosignatures (tlog-cosignature).

use crate::report::{Report, Unchecked};
use crate::tree::Hash;
use crate::{Keys, Who};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

/// Base64 as in RFC 4648 §4.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The other way.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Ed25519 over the text alone.
const PLAIN: u8 = 1;
/// Ed25519 over a time and the text.
const COSIGNATURE: u8 = 4;

/// A public key with its name.
#[derive(Clone)]
pub struct Key {
    /// Whose.
    pub name: String,
    kind: u8,
    id: [u8; 4],
    key: VerifyingKey,
}

impl Key {
    /// Is it the same key under the same name?
    pub fn is(&self, other: &Self) -> bool {
        (&self.name, self.kind, self.key) == (&other.name, other.kind, other.key)
    }

    /// From `name+hash+base64`.
    pub fn parse(text: &str) -> Result<Self, Unchecked> {
        let read = || {
            let (name, rest) = text.trim().split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let bytes = base64(key)?;
            let (kind, key) = bytes.split_first()?;
            let mut sum = Sha256::new();
            sum.update(name);
            sum.update(b"\n");
            sum.update(&bytes);
            let sum = sum.finalize();
            let right: String = sum[..4].iter().map(|byte| format!("{byte:02x}")).collect();
            let known = [PLAIN, COSIGNATURE].contains(kind) && !name.is_empty() && id == right;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let id = [sum[0], sum[1], sum[2], sum[3]];
            known.then(|| Self { name: name.into(), kind: *kind, id, key })
        };
        read().ok_or_else(|| {
            Unchecked::new(
                format!("`{text}` is no public key: it is written name+hash+base64, for Ed25519 (1) or cosignatures (4)"),
                format!("„{text}“ ist kein öffentlicher Schlüssel: Er wird name+hash+base64 geschrieben, für Ed25519 (1) oder Mitsignaturen (4)"),
            )
        })
    }
}

/// What a key is given for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// A book's own: Ed25519, type 1.
    Book,
    /// A witness's: cosignature/v1, type 4.
    Witness,
}

impl Key {
    /// One key, or the keys of a file: one a line; empty lines, and those that begin with `#`, say nothing. A key that signs
    /// other things than it is given for proves nothing that anybody asked.
    pub fn given(text: &str, of: Of) -> Result<Vec<Self>, Unchecked> {
        let path = Path::new(text);
        // A key has two plus signs, and is tried first.
        let keys = match Self::parse(text) {
            Err(_) if path.is_file() => Self::list(path)?,
            key => vec![key?],
        };
        let kind = if of == Of::Book { PLAIN } else { COSIGNATURE };
        match keys.iter().find(|key| key.kind != kind) {
            Some(Key { name, .. }) if of == Of::Book => Err(Unchecked::new(
                format!(
                    "the key of {name} is a witness's (type 4): --key wants the book's own (type 1), --witness wants it"
                ),
                format!(
                    "der Schlüssel von {name} ist der eines Zeugen (Typ 4): --key will den des Buchs (Typ 1), er gehört zu --witness"
                ),
            )),
            Some(Key { name, .. }) => Err(Unchecked::new(
                format!(
                    "the key of {name} is a book's (type 1): --witness wants a witness's (type 4), --key wants it"
                ),
                format!(
                    "der Schlüssel von {name} ist der eines Buchs (Typ 1): --witness will den eines Zeugen (Typ 4), er gehört zu --key"
                ),
            )),
            None => Ok(keys),
        }
    }

    fn list(path: &Path) -> Result<Vec<Self>, Unchecked> {
        let text = std::fs::read_to_string(path).map_err(|e| Unchecked::unreadable(path, &e))?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        match keys.is_empty() {
            false => Ok(keys),
            true => Err(Unchecked::new(
                format!("{} holds no key", path.display()),
                format!("{} enthält keinen Schlüssel", path.display()),
            )),
        }
    }
}

/// What begins the line of a checkpoint that names the key to follow.
const NEXT_KEY: &str = "next-key ";

/// A checkpoint with its signatures.
#[derive(Debug)]
pub struct Note {
    text: String,
    lines: Vec<(String, Vec<u8>)>,
    /// Which book.
    pub origin: String,
    /// So many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Note {
    /// Reads one; `None` when it is none.
    pub fn parse(note: &str) -> Option<Self> {
        let (text, below) = note.rsplit_once("\n\n")?;
        let mut lines = Vec::new();
        for line in below.strip_suffix('\n')?.split('\n') {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            lines.push((name.to_owned(), base64(signature)?));
        }
        let mut first = text.split('\n');
        let (origin, size, root) = (first.next()?, first.next()?, first.next()?);
        let plain = size.bytes().all(|byte| byte.is_ascii_digit());
        let plain = plain && (size == "0" || !size.starts_with('0')) && !origin.is_empty();
        let (size, root) = (size.parse().ok()?, base64(root)?.try_into().ok()?);
        let (text, origin) = (format!("{text}\n"), origin.to_owned());
        plain.then_some(Self { text, lines, origin, size, root })
    }

    /// The key that follows, if this checkpoint hands over to one that signed it too.
    pub fn next_key(&self) -> Option<Key> {
        let named = self.text.split('\n').skip(3).find_map(|line| line.strip_prefix(NEXT_KEY))?;
        let next = Key::parse(named).ok().filter(|key| key.kind == PLAIN)?;
        self.signed_by(&next).is_some().then_some(next)
    }

    /// Did this key sign it? `Some(Some(time))` for a cosignature: seconds since 1970.
    pub fn signed_by(&self, key: &Key) -> Option<Option<u64>> {
        let ours = self
            .lines
            .iter()
            .filter(|(name, bytes)| *name == key.name && bytes.starts_with(&key.id));
        ours.filter_map(|(_, bytes)| {
            let rest = bytes.get(4..)?;
            let (time, signature) = match key.kind {
                COSIGNATURE => {
                    let (time, signature) = rest.split_first_chunk::<8>()?;
                    (Some(u64::from_be_bytes(*time)), signature)
                }
                _ => (None, rest),
            };
            let message = match time {
                Some(time) => format!("cosignature/v1\ntime {time}\n{}", self.text),
                None => self.text.clone(),
            };
            let signature = Signature::from_slice(signature).ok()?;
            key.key.verify_strict(message.as_bytes(), &signature).ok().map(|()| time)
        })
        .next()
    }
}

/// All notes of a file: one, or a list of them one behind the other.
pub fn notes(path: &Path) -> Result<Vec<Note>, Unchecked> {
    let text = std::fs::read_to_string(path).map_err(|e| Unchecked::unreadable(path, &e))?;
    let mut found = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in text.split_inclusive('\n') {
        let signature = line.starts_with('\u{2014}');
        // The first line that is no signature begins the next one; empty lines between two are allowed.
        if signed && !signature {
            found.push(std::mem::take(&mut note));
            signed = false;
        }
        if note.is_empty() && line.trim().is_empty() {
            continue;
        }
        signed |= signature;
        note.push_str(line);
    }
    found.push(note);
    let found: Option<Vec<Note>> =
        found.iter().filter(|note| !note.is_empty()).map(|note| Note::parse(note)).collect();
    let name = path.display();
    found.filter(|notes| !notes.is_empty()).ok_or_else(|| {
        Unchecked::new(
            format!("{name} is no checkpoint, and no list of checkpoints"),
            format!("{name} ist kein Prüfpunkt und keine Liste von Prüfpunkten"),
        )
    })
}

/// `switchbook-verify checkpoint`.
pub fn check(path: &Path, keys: &mut Keys) -> Result<Report, Unchecked> {
    let mut report = Report::default();
    let mut notes = notes(path)?;
    // Keys are followed from the oldest checkpoint to the newest.
    notes.sort_by_key(|note| note.size);
    let mut roots: HashMap<(String, u64), Hash> = HashMap::new();
    for note in notes {
        let (origin, size) = (&note.origin, note.size);
        if keys.check(&note, &path.display().to_string(), Who::All, &mut report) {
            report.good(
                "checkpoints",
                json!({ "origin": origin, "size": size, "root": to_base64(&note.root) }),
                format!("a checkpoint of {origin} over {size} records, signed"),
                format!("ein Prüfpunkt von {origin} über {size} Einträge, signiert"),
            );
            if *roots.entry((origin.clone(), size)).or_insert(note.root) != note.root {
                report.bad(
                    &path.display().to_string(),
                    &format!("two checkpoints of {origin} over the same {size} records are signed, the second with another root: two books are told under one name"),
                    &format!("zwei Prüfpunkte von {origin} über dieselben {size} Einträge sind signiert, der zweite mit einer anderen Wurzel: Unter einem Namen werden zwei Bücher erzählt"),
                );
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Go package `golang.org/x/mod/sumdb/note`, which the format comes from; its text is made to look
    /// like a checkpoint for the part of the parser that wants one.
    #[test]
    fn a_signature_of_the_package_the_format_comes_from_checks() {
        let key = Key::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
            .unwrap();
        let signature = base64(
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
        );
        let mut note = Note {
            text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n".into(),
            lines: vec![("PeterNeumann".into(), signature.unwrap())],
            origin: String::new(),
            size: 0,
            root: [0; 32],
        };
        assert_eq!(note.signed_by(&key), Some(None));
        note.text.push(' ');
        assert_eq!(note.signed_by(&key), None);
    }

    /// The example of C2SP tlog-cosignature: the form; its keys are not published with it.
    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
            \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let note = Note::parse(text).unwrap();
        assert_eq!((note.origin.as_str(), note.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(note.lines[1].1.len(), 4 + 8 + 64);
        assert_eq!(u64::from_be_bytes(note.lines[1].1[4..12].try_into().unwrap()), 1_679_315_147);
        // A cosigner's key in the wild, of the kind 4: its hash is over name, newline, 4 and key.
        assert!(
            Key::parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
                .is_ok()
        );
        assert!(
            Key::parse("remora.n621.de+da77ade8+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
                .is_err()
        );
    }

    #[test]
    fn a_list_of_checkpoints_is_told_apart() {
        let one =
            |size: u32| format!("o\n{size}\n{}\n\n\u{2014} o AAAAAAA=\n", to_base64(&[0; 32]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, format!("{}{}\n{}", one(1), one(2), one(3))).unwrap();
        let sizes: Vec<u64> = notes(&path).unwrap().iter().map(|note| note.size).collect();
        assert_eq!(sizes, [1, 2, 3]);
        std::fs::write(&path, "nothing of the kind\n").unwrap();
        assert!(notes(&path).is_err());
    }
}
