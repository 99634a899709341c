//! Scanning of header values: tokens, white space, quoted strings, comma lists, parameters (RFC 3261 §25.1).
//!
//! The parser has replaced every fold by spaces, so LWS here is only SP and HTAB.

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        i += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

pub(crate) fn is_token_byte(b: u8) -> bool {
    TOKEN[b as usize]
}

pub(crate) fn is_token(s: &[u8]) -> bool {
    !s.is_empty() && s.iter().all(|b| TOKEN[*b as usize])
}

pub(crate) fn token_len(s: &[u8]) -> usize {
    s.iter().position(|b| !TOKEN[*b as usize]).unwrap_or(s.len())
}

pub(crate) fn is_ws(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

pub(crate) fn trim_start(s: &[u8]) -> &[u8] {
    let n = s.iter().position(|b| !is_ws(*b)).unwrap_or(s.len());
    &s[n..]
}

pub(crate) fn trim(s: &[u8]) -> &[u8] {
    let s = trim_start(s);
    let n = s.iter().rposition(|b| !is_ws(*b)).map_or(0, |i| i + 1);
    &s[..n]
}

/// Length of the quoted string at the start of `s`, both quotes included.
pub(crate) fn quoted_len(s: &[u8]) -> Option<usize> {
    if s.first() != Some(&b'"') {
        return None;
    }
    let mut i = 1;
    while i < s.len() {
        match s[i] {
            b'\\' => i += 2,
            b'"' => return Some(i + 1),
            _ => i += 1,
        }
    }
    None
}

/// Digits only; larger than `u64` saturates.
pub(crate) fn digits(s: &[u8]) -> Option<u64> {
    if s.is_empty() {
        return None;
    }
    let mut n = 0u64;
    for b in s {
        if !b.is_ascii_digit() {
            return None;
        }
        n = n.saturating_mul(10).saturating_add(u64::from(b - b'0'));
    }
    Some(n)
}

/// Splits a header value at commas that stand outside quotes and angle brackets (RFC 3261 §7.3.1).
#[derive(Debug, Clone)]
pub(crate) struct CommaList<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> CommaList<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        CommaList { rest: Some(value) }
    }
}

impl<'a> Iterator for CommaList<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let s = self.rest?;
        if memchr::memchr(b',', s).is_none() {
            self.rest = None;
            return Some(trim(s));
        }
        let mut i = 0;
        let mut angle = false;
        while i < s.len() {
            match s[i] {
                b'"' if !angle => i += quoted_len(&s[i..]).unwrap_or(s.len() - i),
                b'<' => {
                    angle = true;
                    i += 1;
                }
                b'>' => {
                    angle = false;
                    i += 1;
                }
                b',' if !angle => {
                    self.rest = Some(&s[i + 1..]);
                    return Some(trim(&s[..i]));
                }
                _ => i += 1,
            }
        }
        self.rest = None;
        Some(trim(s))
    }
}

/// One `;name=value` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name as spelled; compare it without regard to case.
    pub name: &'a str,
    /// The value with its quotes, if there is one.
    pub value: Option<&'a [u8]>,
}

impl<'a> Param<'a> {
    /// The value without its quotes (quoted pairs stay escaped), if it is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        let value = self.value?;
        let inner = match value {
            [b'"', inner @ .., b'"'] => inner,
            other => other,
        };
        std::str::from_utf8(inner).ok()
    }
}

/// Parameters of a header value: `*( SEMI generic-param )`, checked when made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Params<'a> {
    raw: &'a [u8],
}

impl<'a> Params<'a> {
    /// Checks the syntax of all parameters in `raw`, which is empty or starts with `;`.
    pub fn parse(raw: &'a [u8]) -> Option<Params<'a>> {
        let raw = trim(raw);
        let mut rest = raw;
        while !rest.is_empty() {
            rest = split_param(rest)?.1;
        }
        Some(Params { raw })
    }

    /// The parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (param, next) = split_param(rest)?;
            rest = next;
            Some(param)
        })
    }

    /// The first parameter of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<Param<'a>> {
        self.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// The unquoted value of a parameter.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.text()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// As written, starting with `;`.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

fn split_param(s: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let s = trim_start(s.strip_prefix(b";")?);
    let n = token_len(s);
    if n == 0 {
        return None;
    }
    let name = std::str::from_utf8(&s[..n]).ok()?;
    let rest = trim_start(&s[n..]);
    let Some(after) = rest.strip_prefix(b"=") else {
        return (rest.is_empty() || rest[0] == b';').then_some((Param { name, value: None }, rest));
    };
    let after = trim_start(after);
    let n = match after.first() {
        Some(b'"') => quoted_len(after)?,
        _ => after
            .iter()
            .position(|b| matches!(b, b';' | b',' | b'"' | b'<' | b'>' | b' ' | b'\t'))
            .unwrap_or(after.len()),
    };
    if n == 0 {
        return None;
    }
    let rest = trim_start(&after[n..]);
    (rest.is_empty() || rest[0] == b';').then_some((Param { name, value: Some(&after[..n]) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_do_not_split() {
        let items: Vec<_> = CommaList::new(b"\"a,b\" <sip:x,y@z>;p=\",\" , <sip:q>").collect();
        assert_eq!(items, [&b"\"a,b\" <sip:x,y@z>;p=\",\""[..], b"<sip:q>"]);
    }

    #[test]
    fn params_are_checked_and_found() {
        let p = Params::parse(b"; tag = abc ;x;y=\"a;b\";received=2001:db8::1").unwrap();
        assert_eq!(p.text("TAG"), Some("abc"));
        assert_eq!(p.get("x").unwrap().value, None);
        assert_eq!(p.text("y"), Some("a;b"));
        assert_eq!(p.text("received"), Some("2001:db8::1"));
        assert!(Params::parse(b";;").is_none());
        assert!(Params::parse(b";a=").is_none());
        assert!(Params::parse(b";a b").is_none());
    }
}
