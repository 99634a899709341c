//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966), borrowed.

use super::escape::{same_unescaped, same_unescaped_nocase};
use super::host::Host;
use super::scan::{class, escaped_run};
use std::fmt;

/// A URI that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed URI")]
pub struct UriError;

/// Any URI that SIP headers carry.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Uri<'a> {
    /// `sip:` or `sips:`
    Sip(SipUri<'a>),
    /// `tel:`
    Tel(TelUri<'a>),
    /// A scheme Switchbook does not speak (RFC 3261 §8.2.2.1: 416 in a Request-URI)
    Other {
        /// The scheme
        scheme: &'a str,
        /// What follows the colon
        rest: &'a str,
    },
}

/// A `sip:` or `sips:` URI.
#[derive(Debug, Clone, Copy)]
pub struct SipUri<'a> {
    /// `sips:`
    pub secure: bool,
    /// The user part, still escaped, without password
    pub user: Option<&'a str>,
    /// The password, still escaped; never to be used
    pub password: Option<&'a str>,
    /// The host
    pub host: Host<'a>,
    /// The port, if given
    pub port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

/// A `tel:` URI (RFC 3966).
#[derive(Debug, Clone, Copy)]
pub struct TelUri<'a> {
    /// The number with its visual separators
    pub number: &'a str,
    params: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a whole URI, without angle brackets.
    pub fn parse(s: &'a str) -> Result<Uri<'a>, UriError> {
        if !s.is_ascii() {
            return Err(UriError);
        }
        // Nearly every one.
        if let Some((scheme, rest)) = s.split_at_checked(4)
            && scheme.eq_ignore_ascii_case("sip:")
        {
            return SipUri::parse_rest(rest, false).map(Uri::Sip).ok_or(UriError);
        }
        let colon = memchr::memchr(b':', s.as_bytes()).ok_or(UriError)?;
        let (scheme, rest) = (&s[..colon], &s[colon + 1..]);
        if scheme.eq_ignore_ascii_case("sips") {
            return SipUri::parse_rest(rest, true).map(Uri::Sip).ok_or(UriError);
        }
        if scheme.eq_ignore_ascii_case("tel") {
            return TelUri::parse_rest(rest).map(Uri::Tel).ok_or(UriError);
        }
        let mut letters = scheme.bytes();
        let sound = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"'));
        if sound { Ok(Uri::Other { scheme, rest }) } else { Err(UriError) }
    }

    /// The SIP or SIPS URI, if it is one.
    pub fn as_sip(&self) -> Option<&SipUri<'a>> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// Whether both name the same resource (RFC 3261 §19.1.4, RFC 3966 §4).
    pub fn same(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.same(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.same(b),
            (Uri::Other { scheme: s1, rest: r1 }, Uri::Other { scheme: s2, rest: r2 }) => {
                s1.eq_ignore_ascii_case(s2) && r1 == r2
            }
            _ => false,
        }
    }
}

impl<'a> SipUri<'a> {
    /// Reads a URI that must be `sip:` or `sips:`.
    pub fn parse(s: &'a str) -> Result<SipUri<'a>, UriError> {
        match Uri::parse(s)? {
            Uri::Sip(uri) => Ok(uri),
            _ => Err(UriError),
        }
    }

    /// From left to right, each byte looked at once.
    fn parse_rest(s: &'a str, secure: bool) -> Option<SipUri<'a>> {
        let info = escaped_run(s.as_bytes(), class::USER);
        let (info, rest) = s.split_at_checked(info)?;
        let (user, password, rest) = match rest.strip_prefix('@') {
            Some(rest) => {
                // A colon ends the user and begins the password.
                let (user, password) = match info.bytes().position(|b| b == b':') {
                    Some(at) => (&info[..at], Some(&info[at + 1..])),
                    None => (info, None),
                };
                if user.is_empty() {
                    return None;
                }
                (Some(user), password, rest)
            }
            // Behind something that no user part may hold.
            None if rest.as_bytes().contains(&b'@') => return None,
            None => (None, None, s),
        };
        let (host, rest) = Host::begins(rest)?;
        let (port, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let digits = rest.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
                (Some(super::host::port(&rest.as_bytes()[..digits])?), &rest[digits..])
            }
            None => (None, rest),
        };
        let (params, rest) = rest.split_at_checked(params_len(rest.as_bytes())?)?;
        let headers = match rest.strip_prefix('?') {
            Some(headers) => headers,
            None if rest.is_empty() => "",
            None => return None,
        };
        if escaped_run(headers.as_bytes(), class::URI_HEADER) != headers.len() {
            return None;
        }
        Some(SipUri { secure, user, password, host, port, params, headers })
    }

    /// Parameters in order, still escaped.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.params.strip_prefix(';').unwrap_or(""), ';')
    }

    /// The value of a parameter (empty if it has none), whatever the case of its name.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params().find(|(n, _)| same_unescaped_nocase(n, name)).map(|(_, v)| v.unwrap_or(""))
    }

    /// The parameters as written, starting with `;`, or nothing.
    pub fn params_raw(&self) -> &'a str {
        self.params
    }

    /// Headers after `?`, still escaped (RFC 3261 §19.1.1).
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.headers, '&')
    }

    /// Whether headers follow a `?`; forbidden in a Request-URI.
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// `lr`: the hop routes loosely (RFC 3261 §16.12).
    pub fn is_loose_router(&self) -> bool {
        self.param("lr").is_some()
    }

    /// Equality of RFC 3261 §19.1.4.
    pub fn same(&self, other: &SipUri<'_>) -> bool {
        self.secure == other.secure
            && self.host == other.host
            && self.port == other.port
            && same_option(self.user, other.user)
            && same_option(self.password, other.password)
            && self.params_match(other)
            && other.params_match(self)
            && self.headers_within(other)
            && other.headers_within(self)
    }

    /// Parameters in both must be equal; these five count also when only one side has them.
    fn params_match(&self, other: &SipUri<'_>) -> bool {
        self.params().all(|(name, value)| match other.param(name) {
            Some(theirs) => same_unescaped_nocase(value.unwrap_or(""), theirs),
            None => !["transport", "user", "ttl", "method", "maddr"]
                .iter()
                .any(|n| same_unescaped_nocase(n, name)),
        })
    }

    fn headers_within(&self, other: &SipUri<'_>) -> bool {
        self.headers().all(|(name, value)| {
            other.headers().any(|(n, v)| {
                same_unescaped_nocase(n, name)
                    && same_unescaped(value.unwrap_or(""), v.unwrap_or(""))
            })
        })
    }
}

impl<'a> TelUri<'a> {
    fn parse_rest(s: &'a str) -> Option<TelUri<'a>> {
        let (number, params) = match s.find(';') {
            Some(i) => (&s[..i], &s[i..]),
            None => (s, ""),
        };
        let digits = number.strip_prefix('+').unwrap_or(number);
        let sound = digits.bytes().any(|b| b.is_ascii_hexdigit() || b == b'*' || b == b'#')
            && digits.bytes().all(|b| {
                b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')')
            });
        let escaped = escaped_run(params.as_bytes(), class::TEL_PARAMS) == params.len();
        (sound && escaped).then_some(TelUri { number, params })
    }

    /// Parameters in order.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.params.strip_prefix(';').unwrap_or(""), ';')
    }

    /// The digits without visual separators (RFC 3966 §5).
    pub fn digits(&self) -> impl Iterator<Item = char> + use<'a> {
        self.number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')'))
    }

    fn same(&self, other: &TelUri<'_>) -> bool {
        let within = |a: &TelUri<'_>, b: &TelUri<'_>| {
            a.params().all(|(n, v)| {
                b.params().any(|(m, w)| {
                    n.eq_ignore_ascii_case(m)
                        && v.unwrap_or("").eq_ignore_ascii_case(w.unwrap_or(""))
                })
            })
        };
        self.digits()
            .map(|c| c.to_ascii_lowercase())
            .eq(other.digits().map(|c| c.to_ascii_lowercase()))
            && within(self, other)
            && within(other, self)
    }
}

impl fmt::Display for SipUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = self.user {
            f.write_str(user)?;
            if let Some(password) = self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.params)?;
        if !self.headers.is_empty() {
            write!(f, "?{}", self.headers)?;
        }
        Ok(())
    }
}

/// Length of the parameters (`;name` or `;name=value`, any number of them) that `s` begins with.
fn params_len(s: &[u8]) -> Option<usize> {
    let mut n = 0;
    while s.get(n) == Some(&b';') {
        let name = escaped_run(&s[n + 1..], class::URI_PARAM);
        if name == 0 {
            return None;
        }
        n += 1 + name;
        if s.get(n) == Some(&b'=') {
            n += 1 + escaped_run(&s[n + 1..], class::URI_PARAM);
        }
    }
    Some(n)
}

fn same_option(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same_unescaped(a, b),
        _ => false,
    }
}

fn pairs<'a>(
    s: &'a str,
    separator: char,
) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
    s.split(separator).filter(|p| !p.is_empty()).map(|p| match p.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (p, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: &str, b: &str) -> bool {
        Uri::parse(a).unwrap().same(&Uri::parse(b).unwrap())
    }

    #[test]
    fn equal_uris_of_rfc_3261_19_1_4() {
        assert!(same(
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp"
        ));
        assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
        assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"));
        assert!(same(
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
        ));
        assert!(same(
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
        ));
    }

    #[test]
    fn unequal_uris_of_rfc_3261_19_1_4() {
        assert!(!same(
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP"
        ));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"));
        assert!(!same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
        assert!(!same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
        assert!(!same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
        assert!(!same("sip:a@b", "sips:a@b"));
    }

    #[test]
    fn parts_of_a_sip_uri() {
        let uri = SipUri::parse("sips:al%20ice:pw@[2001:db8::1]:5061;lr;transport=tls?Subject=x")
            .unwrap();
        assert_eq!((uri.user, uri.password, uri.port), (Some("al%20ice"), Some("pw"), Some(5061)));
        assert!(uri.secure && uri.is_loose_router() && uri.has_headers());
        assert_eq!(uri.param("Transport"), Some("tls"));
        assert_eq!(
            uri.to_string(),
            "sips:al%20ice:pw@[2001:db8::1]:5061;lr;transport=tls?Subject=x"
        );
    }

    #[test]
    fn malformed_uris_are_refused() {
        for bad in [
            "",
            "sip:",
            "sip:2001:db8::10",
            "sip:a@",
            "sip:@b",
            "sip:a@b:99999",
            "sip:a@b;",
            "sip:a@b c",
            "sip:%4@b",
            "<sip:a@b>",
            "sip:a@[::1",
            "sip:a@b;x y",
            "tel:",
            "1x:y",
            "sip:a\u{e4}@b",
        ] {
            assert!(Uri::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tel_numbers_compare_without_separators() {
        assert!(same("tel:+1-201-555-0123", "tel:+12015550123"));
        assert!(!same("tel:7042;phone-context=example.com", "tel:7042"));
    }

    /// The grammar once more, piece by piece (RFC 3261 §25.1): what must be read, and what must be refused.
    mod plain {
        use crate::message::Host;

        fn escaped(s: &str, marks: &str) -> bool {
            let mut bytes = s.bytes();
            while let Some(b) = bytes.next() {
                let sound = match b {
                    b'%' => (0..2).all(|_| bytes.next().is_some_and(|b| b.is_ascii_hexdigit())),
                    b => {
                        b.is_ascii_alphanumeric()
                            || "-_.!~*'()".contains(b as char)
                            || marks.contains(b as char)
                    }
                };
                if !sound {
                    return false;
                }
            }
            true
        }

        fn port(s: &str) -> Option<u16> {
            let sound = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            sound.then(|| s.parse().ok())?
        }

        type Parts<'a> =
            (Option<&'a str>, Option<&'a str>, Host<'a>, Option<u16>, &'a str, &'a str);

        /// User, password, host, port, parameters and headers of what follows `sip:`.
        pub(super) fn read(s: &str) -> Option<Parts<'_>> {
            let (info, rest) = match s.split_once('@') {
                Some((info, rest)) => (Some(info), rest),
                None => (None, s),
            };
            let (user, password) = match info.map(|info| (info, info.split_once(':'))) {
                Some((_, Some((user, password)))) => (Some(user), Some(password)),
                Some((info, None)) => (Some(info), None),
                None => (None, None),
            };
            if user == Some("") || !escaped(info.unwrap_or(""), "&=+$,;?/#[]|^{}:") {
                return None;
            }
            let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
            let at = rest.find(';').unwrap_or(rest.len());
            let (place, params) = rest.split_at(at);
            let end = if place.starts_with('[') {
                place.find(']')? + 1
            } else {
                place.find(':').unwrap_or(place.len())
            };
            let host = Host::parse(&place[..end])?;
            let port = match place[end..].strip_prefix(':') {
                Some(digits) => Some(port(digits)?),
                None if place[end..].is_empty() => None,
                None => return None,
            };
            for param in params.split(';').skip(1) {
                let (name, value) = param.split_once('=').unwrap_or((param, ""));
                if name.is_empty() || !escaped(name, "[]/:&+$") || !escaped(value, "[]/:&+$") {
                    return None;
                }
            }
            escaped(headers, "[]/?:+$=&@").then_some((user, password, host, port, params, headers))
        }
    }

    proptest! {
        #[test]
        fn uris_are_read_as_the_grammar_has_them(
            pieces in proptest::collection::vec(prop_oneof![
                Just("alice"), Just("10.0.0.1"), Just("[2001:db8::1]"), Just("[::1"), Just("%41"), Just("%4"), Just("@"),
                Just(":"), Just("5060"), Just("70000"), Just(";"), Just("lr"), Just("="), Just("?"), Just("&"), Just("#"),
                Just("transport=udp"), Just("x"), Just("]"), Just("\""), Just("01.2.3.4"), Just("1.2.3"),
            ], 0..9),
        ) {
            let rest: String = pieces.concat();
            let read = SipUri::parse_rest(&rest, false);
            let read = read.map(|u| (u.user, u.password, u.host, u.port, u.params, u.headers));
            prop_assert_eq!(format!("{read:?}"), format!("{:?}", plain::read(&rest)), "{}", rest);
        }
    }
}
