//! Scanning of header values: tokens, white space, quoted strings, comma lists, parameters (RFC 3261 §25.1).
//!
//! The parser has replaced every fold by spaces, so LWS here is only SP and HTAB.

/// What a byte may stand in: a bit each, looked up in one table.
pub(crate) mod class {
    /// A token.
    pub const TOKEN: u8 = 1;
    /// The unquoted value of a header parameter; what ends it is not.
    pub const VALUE: u8 = 2;
    /// A host name or IPv4 address.
    pub const HOST: u8 = 4;
    /// User part and password of a URI, and what phones put there unescaped.
    pub const USER: u8 = 8;
    /// Name or value of a URI parameter.
    pub const URI_PARAM: u8 = 16;
    /// Headers of a URI.
    pub const URI_HEADER: u8 = 32;
    /// All parameters of a tel URI.
    pub const TEL_PARAMS: u8 = 64;
    /// A URI in angle brackets: anything that is seen, but the bracket.
    pub const IN_ANGLES: u8 = 128;
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        let mark = matches!(b, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
        let unreserved = alphanumeric || mark;
        let reserved_param = matches!(b, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$');
        let is = [
            (
                alphanumeric
                    || matches!(
                        b,
                        b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
                    ),
                class::TOKEN,
            ),
            (!matches!(b, b';' | b',' | b'"' | b'<' | b'>' | b' ' | b'\t'), class::VALUE),
            (alphanumeric || matches!(b, b'-' | b'.' | b'_'), class::HOST),
            (unreserved || super::escape::is_user_mark(b), class::USER),
            (unreserved || reserved_param, class::URI_PARAM),
            (
                unreserved
                    || matches!(
                        b,
                        b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$' | b'=' | b'&' | b'@'
                    ),
                class::URI_HEADER,
            ),
            (unreserved || reserved_param || matches!(b, b'=' | b';'), class::TEL_PARAMS),
            (b.is_ascii_graphic() && b != b'>', class::IN_ANGLES),
        ];
        let mut k = 0;
        while k < is.len() {
            if is[k].0 {
                table[i] |= is[k].1;
            }
            k += 1;
        }
        i += 1;
    }
    table
}

static CLASSES: [u8; 256] = classes();

fn is(b: u8, class: u8) -> bool {
    CLASSES[usize::from(b)] & class != 0
}

/// How many bytes of a class `s` begins with.
pub(crate) fn run(s: &[u8], class: u8) -> usize {
    s.iter().position(|b| !is(*b, class)).unwrap_or(s.len())
}

/// The same with sound escapes (`%` and two hexadecimal digits) among them.
pub(crate) fn escaped_run(s: &[u8], class: u8) -> usize {
    let mut n = 0;
    loop {
        n += run(&s[n..], class);
        match &s[n..] {
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => n += 3,
            _ => return n,
        }
    }
}

pub(crate) fn is_token_byte(b: u8) -> bool {
    is(b, class::TOKEN)
}

pub(crate) fn is_token(s: &[u8]) -> bool {
    !s.is_empty() && token_len(s) == s.len()
}

pub(crate) fn token_len(s: &[u8]) -> usize {
    run(s, class::TOKEN)
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
    loop {
        i += memchr::memchr2(b'"', b'\\', s.get(i..)?)?;
        match s[i] {
            b'"' => return Some(i + 1),
            _ => i += 2,
        }
    }
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
            rest = split_raw(rest)?.rest;
        }
        Some(Params { raw })
    }

    /// Parameters that were checked before.
    pub(crate) fn checked(raw: &'a [u8]) -> Params<'a> {
        Params { raw }
    }

    /// The parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let found = split_raw(rest)?;
            rest = found.rest;
            found.param()
        })
    }

    /// The first parameter of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<Param<'a>> {
        let mut rest = self.raw;
        loop {
            let found = split_raw(rest)?;
            if found.name.eq_ignore_ascii_case(name.as_bytes()) {
                return found.param();
            }
            rest = found.rest;
        }
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

/// The parameter that some bytes begin with, and what follows it.
struct Raw<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Raw<'a> {
    fn param(&self) -> Option<Param<'a>> {
        Some(Param { name: std::str::from_utf8(self.name).ok()?, value: self.value })
    }
}

fn split_raw(s: &[u8]) -> Option<Raw<'_>> {
    let s = trim_start(s.strip_prefix(b";")?);
    let n = token_len(s);
    if n == 0 {
        return None;
    }
    let (name, rest) = s.split_at(n);
    let rest = trim_start(rest);
    let Some(after) = rest.strip_prefix(b"=") else {
        return (rest.is_empty() || rest[0] == b';').then_some(Raw { name, value: None, rest });
    };
    let after = trim_start(after);
    let n = match after.first() {
        Some(b'"') => quoted_len(after)?,
        _ => run(after, class::VALUE),
    };
    if n == 0 {
        return None;
    }
    let (value, rest) = after.split_at(n);
    let rest = trim_start(rest);
    (rest.is_empty() || rest[0] == b';').then_some(Raw { name, value: Some(value), rest })
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
