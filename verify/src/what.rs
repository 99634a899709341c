//! What a bundle says that it holds.

use crate::frame::Body;
use crate::note::base64;
use serde_json::{Value, json};

/// Every record of a span, or every one about an object.
pub enum What {
    /// From the first to the last, without a gap.
    Span { first: u64, last: u64 },
    /// Those that name this subject.
    Subject { kind: u8, bytes: Vec<u8> },
}

/// The kinds of subjects, from 1 (docs/journal-format.md).
const KINDS: [(&str, &str); 10] = [
    ("user", "Benutzer"),
    ("number", "Nummer"),
    ("slot", "Slot"),
    ("device", "Gerät"),
    ("group", "Gruppe"),
    ("profile", "Profil"),
    ("schedule", "Zeitplan"),
    ("trunk", "Trunk"),
    ("call", "Anruf"),
    ("exchange", "Anlage"),
];

impl What {
    /// `{"span":[first,last]}` or `{"subject":{"kind":n,"bytes":base64}}`, and nothing else: what is read by half could be
    /// checked by half.
    pub fn read(value: &Value) -> Option<Self> {
        let all = value.as_object().filter(|all| all.len() == 1)?;
        if let Some(span) = all.get("span") {
            let [first, last] = span.as_array()?.as_slice() else { return None };
            // A span that begins before the book begins with it.
            let (first, last) = (first.as_u64()?.max(1), last.as_u64()?);
            return (first <= last).then_some(Self::Span { first, last });
        }
        let subject = all.get("subject")?.as_object().filter(|subject| subject.len() == 2)?;
        let kind = u8::try_from(subject.get("kind")?.as_u64()?).ok()?;
        Some(Self::Subject { kind, bytes: base64(subject.get("bytes")?.as_str()?)? })
    }

    /// Does a record belong into it, behind the one at `before` (0 for none)?
    pub fn expects(&self, before: u64, position: u64, body: &[u8]) -> bool {
        match self {
            Self::Span { first, last } => {
                let next = if before == 0 { *first } else { before + 1 };
                position == next && position <= *last
            }
            Self::Subject { kind, bytes } => {
                position > before
                    && Body::read(body)
                        .is_some_and(|body| body.subjects.contains(&(*kind, bytes.as_slice())))
            }
        }
    }

    /// Is nothing missing behind the record at `last`?
    pub fn ends(&self, at: u64) -> bool {
        match self {
            Self::Span { last, .. } => at == *last,
            Self::Subject { .. } => true,
        }
    }

    /// For programs.
    pub fn value(&self) -> Value {
        match self {
            Self::Span { first, last } => json!({ "span": [first, last] }),
            Self::Subject { kind, bytes } => {
                json!({ "subject": { "kind": kind, "identity": identity(bytes) } })
            }
        }
    }

    /// For people.
    pub fn told(&self) -> (String, String) {
        match self {
            Self::Span { first, last } => (
                format!("they are every record from #{first} to #{last}: none of these is missing"),
                format!("es sind alle Einträge von #{first} bis #{last}: Keiner davon fehlt"),
            ),
            Self::Subject { kind, bytes } => {
                let named = usize::from(*kind).checked_sub(1).and_then(|kind| KINDS.get(kind));
                let (english, german) = named.copied().unwrap_or(("subject", "Objekt"));
                let identity = identity(bytes);
                (
                    format!(
                        "each names {english} {identity}; that there are no others is not shown"
                    ),
                    format!(
                        "jeder nennt {german} {identity}; dass es keine anderen gibt, ist nicht gezeigt"
                    ),
                )
            }
        }
    }
}

/// Digits as they are, an id in groups, anything else in hexadecimal.
fn identity(bytes: &[u8]) -> String {
    if !bytes.is_empty() && bytes.len() < 16 && bytes.iter().all(u8::is_ascii_digit) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match bytes.len() {
        16 => [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
        _ => hex,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_half_is_not_read() {
        for good in [json!({ "span": [1, 1] }), json!({ "span": [0, 5] })] {
            assert!(What::read(&good).is_some(), "{good}");
        }
        for bad in [
            json!(null),
            json!({}),
            json!({ "span": [1] }),
            json!({ "span": [1, 2, 3] }),
            json!({ "span": [2, 1] }),
            json!({ "span": [0, 0] }),
            json!({ "span": ["1", "2"] }),
            json!({ "span": [1, 2], "subject": { "kind": 1, "bytes": "" } }),
            json!({ "subject": { "kind": 1 } }),
            json!({ "subject": { "kind": 256, "bytes": "AAAA" } }),
            json!({ "subject": { "kind": 1, "bytes": "!" } }),
        ] {
            assert!(What::read(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_it_is_about_reads_like_a_name() {
        let number = What::Subject { kind: 2, bytes: b"100".to_vec() };
        assert!(number.told().0.contains("number 100"));
        let user = What::Subject { kind: 1, bytes: vec![0xab; 16] };
        assert!(user.told().1.contains("Benutzer abababab-abab-abab-abab-abababababab"));
    }
}
