//! Smaller typed values: CSeq, Replaces, Digest credentials.

use super::method::Method;
use super::scan::{Params, digits, is_token, is_ws, quoted_len, token_len, trim, trim_start};

/// CSeq (RFC 3261 §20.16): a number below 2³¹ and a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number
    pub seq: u32,
    /// The method
    pub method: Method,
    /// The method as spelled
    pub token: &'a str,
}

impl<'a> CSeq<'a> {
    pub(crate) fn parse(raw: &'a [u8]) -> Option<CSeq<'a>> {
        let n = raw.iter().position(|b| is_ws(*b))?;
        let seq = u32::try_from(digits(&raw[..n])?).ok().filter(|n| *n < 1 << 31)?;
        let token = trim_start(&raw[n..]);
        if !is_token(token) {
            return None;
        }
        Some(CSeq { seq, method: Method::parse(token), token: std::str::from_utf8(token).ok()? })
    }
}

/// Replaces (RFC 3891 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// The Call-ID of the dialog to be replaced
    pub call_id: &'a str,
    /// Its tag at the receiver of this header
    pub to_tag: &'a str,
    /// Its tag at the other end
    pub from_tag: &'a str,
    /// `early-only`
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a header value (unescape it first if it came out of a Refer-To URI).
    pub fn parse(raw: &'a [u8]) -> Option<Replaces<'a>> {
        let raw = trim(raw);
        let n = memchr::memchr(b';', raw)?;
        let call_id = std::str::from_utf8(trim(&raw[..n])).ok().filter(|c| !c.is_empty())?;
        let params = Params::parse(&raw[n..])?;
        Some(Replaces {
            call_id,
            to_tag: params.text("to-tag")?,
            from_tag: params.text("from-tag")?,
            early_only: params.get("early-only").is_some(),
        })
    }
}

/// The `name=value` list of a Digest header, not yet judged (RFC 7616 §3.4).
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    raw: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// The list of an Authorization or WWW-Authenticate value whose scheme is Digest, whatever its case.
    pub fn parse(value: &'a [u8]) -> Option<Credentials<'a>> {
        let value = trim(value);
        let n = token_len(value);
        let rest = &value[n..];
        let separated = rest.first().copied().is_some_and(is_ws);
        (value[..n].eq_ignore_ascii_case(b"Digest") && separated)
            .then(|| Credentials { raw: trim(rest) })
    }

    /// The pairs in order. An `Err` item is a place that breaks the grammar; nothing follows it.
    pub fn pairs(&self) -> impl Iterator<Item = Result<(&'a str, &'a [u8]), ()>> + use<'a> {
        self.raw_pairs().map(|pair| {
            let (name, value) = pair?;
            Ok((std::str::from_utf8(name).map_err(drop)?, value))
        })
    }

    /// The same with names as bytes; a name is a token, and so it is ASCII.
    pub(crate) fn raw_pairs(&self) -> impl Iterator<Item = RawPair<'a>> + use<'a> {
        let mut rest = self.raw;
        let mut broken = false;
        std::iter::from_fn(move || {
            if broken {
                return None;
            }
            while let Some(after) = rest.strip_prefix(b",") {
                rest = trim_start(after);
            }
            if rest.is_empty() {
                return None;
            }
            match split_pair(rest) {
                Some((name, value, next)) => {
                    rest = next;
                    Some(Ok((name, value)))
                }
                None => {
                    broken = true;
                    Some(Err(()))
                }
            }
        })
    }
}

type RawPair<'a> = Result<(&'a [u8], &'a [u8]), ()>;

fn split_pair(s: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let n = token_len(s);
    let name = s.get(..n).filter(|n| !n.is_empty())?;
    let value = trim_start(trim_start(&s[n..]).strip_prefix(b"=")?);
    let (value, rest) = match value.first() {
        Some(b'"') => {
            let n = quoted_len(value)?;
            (&value[1..n - 1], &value[n..])
        }
        _ => {
            let n = value.iter().position(|b| *b == b',' || is_ws(*b)).unwrap_or(value.len());
            (&value[..n], &value[n..])
        }
    };
    let rest = trim_start(rest);
    (rest.is_empty() || rest[0] == b',').then_some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_bounds() {
        assert_eq!(CSeq::parse(b"0009   INVITE").unwrap().seq, 9);
        assert!(CSeq::parse(b"2147483647 X").is_some());
        for bad in
            [&b"2147483648 X"[..], b"36893488147419103232 REGISTER", b"-1 X", b"1", b"1 A B", b""]
        {
            assert!(CSeq::parse(bad).is_none());
        }
    }

    #[test]
    fn credentials_quoted_and_not() {
        let c = Credentials::parse(b"DIGEST username=\"a,b\", nc=00000001,qop = auth").unwrap();
        let pairs: Vec<_> = c.pairs().map(Result::unwrap).collect();
        assert_eq!(pairs, [("username", &b"a,b"[..]), ("nc", b"00000001"), ("qop", b"auth")]);
        assert!(Credentials::parse(b"NoOneKnowsThisScheme opaque-data=here").is_none());
        assert!(Credentials::parse(b"Digest username=\"a").unwrap().pairs().any(|p| p.is_err()));
    }
}
