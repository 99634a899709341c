//! Answering a challenge, for trunks and built-in phones (RFC 7616 §3.4, RFC 3261 §22.2).

use super::hash::{Algorithm, Ha1, legacy_response_hex, response_hex};
use crate::message::Credentials;

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No Digest challenge with an algorithm we speak
    #[error("no challenge can be answered")]
    NoneUsable,
    /// A field would break out of its quotes
    #[error("a field holds a control character")]
    Control,
}

/// One WWW-Authenticate or Proxy-Authenticate value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// realm
    pub realm: String,
    /// nonce
    pub nonce: String,
    /// opaque, to be sent back
    pub opaque: Option<String>,
    /// algorithm
    pub algorithm: Algorithm,
    /// Whether qop=auth is offered; without it the answer is that of RFC 2617
    pub qop_auth: bool,
    /// The password was right, the nonce old
    pub stale: bool,
}

impl Challenge {
    /// The best of all challenges: SHA-256 before MD5.
    pub fn choose<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Challenge, AnswerError> {
        let usable = values.filter_map(|v| Challenge::parse(&Credentials::parse(v)?));
        usable.max_by_key(|c| c.algorithm == Algorithm::Sha256).ok_or(AnswerError::NoneUsable)
    }

    fn parse(list: &Credentials<'_>) -> Option<Challenge> {
        let (mut realm, mut nonce, mut opaque, mut qop) = (None, None, None, None);
        let (mut algorithm, mut stale) = (Algorithm::Md5, false);
        for pair in list.pairs() {
            let (name, value) = pair.ok()?;
            let text = std::str::from_utf8(value).ok()?;
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(text),
                "nonce" => nonce = Some(text),
                "opaque" => opaque = Some(text),
                "qop" => qop = Some(text),
                "algorithm" => algorithm = Algorithm::parse(value)?,
                "stale" => stale = text.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let qop_auth = match qop {
            None => false,
            Some(q) if q.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        Some(Challenge {
            realm: realm?.to_owned(),
            nonce: nonce?.to_owned(),
            opaque: opaque.map(str::to_owned),
            algorithm,
            qop_auth,
            stale,
        })
    }
}

/// What goes into an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The user name
    pub username: &'a str,
    /// `H(user:realm:password)` for the challenge's algorithm and realm
    pub ha1: &'a Ha1,
    /// The method of the request
    pub method: &'a str,
    /// Its Request-URI
    pub uri: &'a str,
    /// A random string
    pub cnonce: &'a str,
    /// How often this nonce was answered, this time included
    pub count: u32,
}

impl Answer<'_> {
    /// The value of Authorization or Proxy-Authorization.
    pub fn header(&self, challenge: &Challenge) -> Result<String, AnswerError> {
        let c = challenge;
        let opaque = c.opaque.as_deref().unwrap_or("");
        let fields = [&c.realm[..], &c.nonce, opaque, self.username, self.uri, self.cnonce];
        if fields.iter().any(|f| f.bytes().any(|b| b.is_ascii_control())) || self.uri.contains('"')
        {
            return Err(AnswerError::Control);
        }
        let username = self.username.replace('\\', "\\\\").replace('"', "\\\"");
        let mut out = format!(
            "Digest username=\"{username}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", algorithm={}",
            c.realm,
            c.nonce,
            self.uri,
            c.algorithm.as_str()
        );
        let uri = self.uri.as_bytes();
        if c.qop_auth {
            let nc = format!("{:08x}", self.count);
            let response = response_hex(
                self.ha1,
                c.nonce.as_bytes(),
                nc.as_bytes(),
                self.cnonce.as_bytes(),
                self.method,
                uri,
            );
            out += &format!(
                ", qop=auth, nc={nc}, cnonce=\"{}\", response=\"{}\"",
                self.cnonce,
                response.as_str()
            );
        } else {
            let response = legacy_response_hex(self.ha1, c.nonce.as_bytes(), self.method, uri);
            out += &format!(", response=\"{}\"", response.as_str());
        }
        if !opaque.is_empty() {
            out += &format!(", opaque=\"{opaque}\"");
        }
        Ok(out)
    }
}
