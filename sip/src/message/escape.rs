//! Percent escapes in URIs (RFC 3261 §19.1.2).

use std::borrow::Cow;

/// Resolves `%XX`. `None` if an escape is broken. The result may hold any byte, NUL too.
pub fn unescape(s: &str) -> Option<Cow<'_, [u8]>> {
    if !s.contains('%') {
        return Some(Cow::Borrowed(s.as_bytes()));
    }
    let mut out = Vec::with_capacity(s.len());
    for b in Unescaped::new(s.as_bytes()) {
        out.push(b?);
    }
    Some(Cow::Owned(out))
}

/// Escapes what may not stand in the user part of a SIP URI.
pub fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for b in user.bytes() {
        if is_user_byte(b) {
            out.push(char::from(b));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
    out
}

/// unreserved and user-unreserved
fn is_user_byte(b: u8) -> bool {
    is_unreserved(b) || matches!(b, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

/// What the user part may hold besides unreserved bytes. Phones put `#` and a few more there unescaped; those are taken as they
/// are. A colon ends the user and begins the password.
pub(crate) const fn is_user_mark(b: u8) -> bool {
    matches!(
        b,
        b'&' | b'='
            | b'+'
            | b'$'
            | b','
            | b';'
            | b'?'
            | b'/'
            | b'#'
            | b'['
            | b']'
            | b'|'
            | b'^'
            | b'{'
            | b'}'
            | b':'
    )
}

/// Bytes with their escapes resolved; `None` items are broken escapes.
#[derive(Debug, Clone)]
pub(crate) struct Unescaped<'a> {
    s: &'a [u8],
}

impl<'a> Unescaped<'a> {
    pub(crate) fn new(s: &'a [u8]) -> Self {
        Unescaped { s }
    }
}

impl Iterator for Unescaped<'_> {
    type Item = Option<u8>;

    fn next(&mut self) -> Option<Option<u8>> {
        let (&first, rest) = self.s.split_first()?;
        if first != b'%' {
            self.s = rest;
            return Some(Some(first));
        }
        let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        match rest {
            [a, b, tail @ ..] => {
                self.s = tail;
                Some(hex(*a).and_then(|hi| hex(*b).map(|lo| hi << 4 | lo)))
            }
            _ => {
                self.s = &[];
                Some(None)
            }
        }
    }
}

pub(crate) fn same_unescaped(a: &str, b: &str) -> bool {
    a == b || Unescaped::new(a.as_bytes()).eq(Unescaped::new(b.as_bytes()))
}

pub(crate) fn same_unescaped_nocase(a: &str, b: &str) -> bool {
    let fold = |b: Option<u8>| b.map(|b| b.to_ascii_lowercase());
    a.eq_ignore_ascii_case(b)
        || Unescaped::new(a.as_bytes()).map(fold).eq(Unescaped::new(b.as_bytes()).map(fold))
}
