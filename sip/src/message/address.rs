//! name-addr and addr-spec headers (RFC 3261 §20.10, §25.1).

use super::scan::{Params, class, is_token_byte, is_ws, quoted_len, run, trim};
use super::uri::{Uri, UriError};
use std::borrow::Cow;

/// A From, To, Route, Refer-To … value: display name, URI, parameters.
#[derive(Debug, Clone, Copy)]
pub struct NameAddr<'a> {
    /// The display name as spelled, quotes included; empty if there is none
    pub display_raw: &'a [u8],
    /// The URI as spelled, without angle brackets
    pub uri_raw: &'a str,
    /// Header parameters (after the angle brackets)
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value.
    pub fn parse(raw: &'a [u8]) -> Option<NameAddr<'a>> {
        let raw = trim(raw);
        let (display_raw, rest) = if raw.first() == Some(&b'"') {
            let n = quoted_len(raw)?;
            let rest = trim(&raw[n..]);
            if rest.first() != Some(&b'<') {
                return None;
            }
            (&raw[..n], rest)
        } else {
            match memchr::memchr(b'<', raw) {
                Some(at) => (trim(&raw[..at]), &raw[at..]),
                None => return Self::addr_spec(raw),
            }
        };
        // Unquoted display names are tokens; UTF-8 in them is borne with.
        let quoted = display_raw.first() == Some(&b'"');
        if !quoted && !display_raw.iter().all(|b| is_token_byte(*b) || is_ws(*b) || *b >= 0x80) {
            return None;
        }
        let rest = rest.get(1..)?;
        let (uri_raw, rest) = rest.split_at(run(rest, class::IN_ANGLES));
        let uri_raw = std::str::from_utf8(uri_raw).ok().filter(|uri| !uri.is_empty())?;
        let params = Params::parse(rest.strip_prefix(b">")?)?;
        Some(NameAddr { display_raw, uri_raw, params })
    }

    /// Without brackets, `;` begins header parameters, and `?` and `,` may not stand in the URI (§20.10).
    fn addr_spec(raw: &'a [u8]) -> Option<NameAddr<'a>> {
        let n = memchr::memchr(b';', raw).unwrap_or(raw.len());
        let uri_raw = std::str::from_utf8(trim(&raw[..n])).ok()?;
        let sound = uri_raw
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b',' | b'"' | b'>'));
        if !sound || !uri_raw.contains(':') {
            return None;
        }
        Some(NameAddr { display_raw: &[], uri_raw, params: Params::parse(&raw[n..])? })
    }

    /// The URI.
    pub fn uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::parse(self.uri_raw)
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.text("tag")
    }

    /// The display name unquoted and unescaped, control characters left out; `None` if there is none.
    pub fn display(&self) -> Option<Cow<'a, str>> {
        let raw = match self.display_raw {
            [] => return None,
            [b'"', inner @ .., b'"'] => inner,
            other => other,
        };
        if raw.is_empty() {
            return None;
        }
        if !raw.iter().any(|b| *b == b'\\' || b.is_ascii_control()) {
            return Some(String::from_utf8_lossy(raw));
        }
        let mut out = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter().copied();
        while let Some(b) = bytes.next() {
            let b = if b == b'\\' { bytes.next().unwrap_or(b' ') } else { b };
            if !b.is_ascii_control() {
                out.push(b);
            }
        }
        Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
    }
}

/// One Contact value.
#[derive(Debug, Clone, Copy)]
pub enum Contact<'a> {
    /// `*`: all bindings (RFC 3261 §10.2.2)
    Star,
    /// An address
    Addr(NameAddr<'a>),
}

impl<'a> Contact<'a> {
    /// Reads one value.
    pub fn parse(raw: &'a [u8]) -> Option<Contact<'a>> {
        if trim(raw) == b"*" {
            return Some(Contact::Star);
        }
        NameAddr::parse(raw).map(Contact::Addr)
    }

    /// The address, unless it is `*`.
    pub fn addr(&self) -> Option<&NameAddr<'a>> {
        match self {
            Contact::Star => None,
            Contact::Addr(addr) => Some(addr),
        }
    }

    /// The expires parameter in seconds. A malformed one counts as 3600 (RFC 3261 §10.2.1.1).
    pub fn expires(&self) -> Option<u32> {
        let text = self.addr()?.params.get("expires")?.value.unwrap_or(b"");
        Some(super::scan::digits(text).map_or(3600, |n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// The q parameter in thousandths; 1000 when absent or malformed.
    pub fn q(&self) -> u16 {
        let q = self.addr().and_then(|a| a.params.text("q")).and_then(qvalue);
        q.unwrap_or(1000)
    }

    /// `+sip.instance` without quotes (RFC 5626 §4.1).
    pub fn instance(&self) -> Option<&'a str> {
        self.addr()?.params.text("+sip.instance")
    }

    /// `reg-id` (RFC 5626 §4.2).
    pub fn reg_id(&self) -> Option<u32> {
        self.addr()?.params.text("reg-id")?.parse().ok()
    }
}

fn qvalue(s: &str) -> Option<u16> {
    let (whole, fraction) = s.split_once('.').unwrap_or((s, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut n = 0u16;
    for i in 0..3 {
        n = n * 10 + fraction.as_bytes().get(i).map_or(0, |b| u16::from(b - b'0'));
    }
    match whole {
        "0" => Some(n),
        "1" if n == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_lose_quotes_and_controls() {
        let a = NameAddr::parse(b"\"J \\\"R\\\\\" <sip:j@x>;tag=1").unwrap();
        assert_eq!(a.display().unwrap(), "J \"R\\");
        let a = NameAddr::parse(b"caller<sip:caller@example.com>;tag=323").unwrap();
        assert_eq!((a.display().unwrap().as_ref(), a.tag()), ("caller", Some("323")));
        let a = NameAddr::parse(b"\"BEL:\\\x07 NUL:\\\x00\" <sip:j@x>").unwrap();
        assert_eq!(a.display().unwrap(), "BEL: NUL:");
    }

    #[test]
    fn contact_parameters() {
        let c = Contact::parse(
            b"<sip:a@b;x=y>;q=0.33;expires=99999999999;+sip.instance=\"<urn:uuid:1>\"",
        )
        .unwrap();
        assert_eq!((c.q(), c.expires(), c.instance()), (330, Some(u32::MAX), Some("<urn:uuid:1>")));
        assert!(matches!(Contact::parse(b" * "), Some(Contact::Star)));
        assert_eq!(Contact::parse(b"sip:a@b;expires=x").unwrap().expires(), Some(3600));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in [
            "",
            "a@b",
            "\"x <sip:a@b>",
            "Bell, A <sip:a@b>",
            "< sip:a@b >",
            "<sip:a@b",
            "<>",
            "sip:a@b?Route=x",
            "\"x\" sip:a@b",
            "<sip:a@b>;;",
        ] {
            assert!(NameAddr::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
