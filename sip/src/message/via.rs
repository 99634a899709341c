//! Via (RFC 3261 §20.42, RFC 3581, RFC 5118 §4.5).

use super::error::ValueError;
use super::host::{Host, bare_ip, host_port};
use super::name::HeaderName;
use super::scan::{Params, is_token, is_ws, token_len, trim, trim_start};
use std::net::IpAddr;

/// The magic cookie of RFC 3261 §8.1.1.7.
pub(crate) const COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Debug, Clone, Copy)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, `WS` … as spelled
    pub transport: &'a str,
    /// The host of sent-by
    pub host: Host<'a>,
    /// The port of sent-by
    pub port: Option<u16>,
    /// sent-by as spelled
    pub sent_by: &'a str,
    /// All parameters
    pub params: Params<'a>,
    pub(crate) head: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads one value (no commas outside quotes).
    pub fn parse(raw: &'a [u8]) -> Result<Via<'a>, ValueError> {
        Self::read(raw).ok_or(ValueError::Malformed(HeaderName::Via))
    }

    fn read(raw: &'a [u8]) -> Option<Via<'a>> {
        let after_version = match raw.strip_prefix(b"SIP/2.0/") {
            Some(rest) => trim_start(rest),
            None => token_slash(token_slash(raw)?)?,
        };
        let n = token_len(after_version);
        let transport = std::str::from_utf8(&after_version[..n]).ok()?;
        let rest = &after_version[n..];
        if n == 0 || !rest.first().copied().is_some_and(is_ws) {
            return None;
        }
        let rest = trim_start(rest);
        let n = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        let sent_by = std::str::from_utf8(trim(&rest[..n])).ok()?;
        // COLON may have white space around it.
        let (host, port) = match host_port(sent_by) {
            Some(parts) => parts,
            None => {
                let at = sent_by.rfind(':')?;
                let port = super::host::port(trim(&sent_by.as_bytes()[at + 1..]))?;
                (Host::parse(sent_by[..at].trim_end())?, Some(port))
            }
        };
        let params = Params::parse(&rest[n..])?;
        let head = &raw[..raw.len() - (rest.len() - n)];
        Some(Via { transport, host, port, sent_by, params, head })
    }

    /// The branch parameter.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.text("branch")
    }

    /// The branch, if it was made by RFC 3261 rules: magic cookie and something after it.
    pub fn unique_branch(&self) -> Option<&'a str> {
        self.branch().filter(|b| {
            b.len() > COOKIE.len()
                && b.as_bytes()[..COOKIE.len()].eq_ignore_ascii_case(COOKIE.as_bytes())
        })
    }

    /// The received parameter, with or without brackets.
    pub fn received(&self) -> Option<IpAddr> {
        bare_ip(self.params.text("received")?)
    }

    /// Whether `rport` asks for an answer to the source port (RFC 3581 §4).
    pub fn wants_rport(&self) -> bool {
        self.params.get("rport").is_some()
    }

    /// The port that `rport` names.
    pub fn rport(&self) -> Option<u16> {
        self.params.text("rport")?.parse().ok()
    }
}

fn token_slash(s: &[u8]) -> Option<&[u8]> {
    let slash = memchr::memchr(b'/', s)?;
    is_token(trim(&s[..slash])).then(|| trim_start(&s[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_anywhere_the_grammar_allows_it() {
        let via = Via::parse(
            b"SIP  /    2.0   / UDP  192.168.255.111 : 5070  ; branch=   z9hG4bK30239;rport",
        )
        .unwrap();
        assert_eq!(
            (via.transport, via.port, via.branch()),
            ("UDP", Some(5070), Some("z9hG4bK30239"))
        );
        assert!(via.wants_rport() && via.rport().is_none());
    }

    #[test]
    fn received_with_and_without_brackets() {
        let a =
            Via::parse(b"SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z").unwrap();
        let b =
            Via::parse(b"SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z").unwrap();
        assert_eq!(a.received(), b.received());
        assert!(a.received().is_some() && a.unique_branch().is_none());
    }

    #[test]
    fn malformed_values_are_refused() {
        for bad in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2.0/UDP 192.0.2.15;;",
            "SIP/2.0/UDP a:b",
        ] {
            assert!(Via::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
