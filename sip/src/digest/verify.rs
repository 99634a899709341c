//! Judging an Authorization header (RFC 7616 §3.4, RFC 3261 §22).

use super::hash::{Algorithm, Ha1, response_hex};
use super::nonce::Nonces;
use super::replay::Replay;
use crate::message::{Credentials, Host, Uri, unescape};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// An Authorization header that breaks its grammar or the rules of RFC 7616 §3.4: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed Authorization: {0}")]
pub struct Malformed(pub &'static str);

/// The fields of an Authorization header, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// username, as sent (quoted pairs not resolved)
    pub username: &'a str,
    /// realm
    pub realm: &'a str,
    /// nonce
    pub nonce: &'a [u8],
    /// uri
    pub uri: &'a str,
    /// response
    pub response: &'a [u8],
    /// `None`: an algorithm not served, such as MD5-sess
    pub algorithm: Option<Algorithm>,
    /// cnonce
    pub cnonce: &'a [u8],
    /// Whether qop is `auth`
    pub has_qop: bool,
    /// nc, eight hex digits
    pub nc: &'a [u8],
}

impl<'a> Authorization<'a> {
    /// Reads the fields; names in any case, values quoted or not, no field twice.
    pub fn parse(credentials: &Credentials<'a>) -> Result<Authorization<'a>, Malformed> {
        const NAMES: [&str; 9] =
            ["username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc"];
        let mut fields: [Option<&'a [u8]>; 9] = [None; 9];
        for pair in credentials.raw_pairs() {
            let (name, value) = pair.map_err(|()| Malformed("syntax"))?;
            if let Some(i) = NAMES.iter().position(|n| n.as_bytes().eq_ignore_ascii_case(name))
                && fields[i].replace(value).is_some()
            {
                return Err(Malformed("field twice"));
            }
        }
        let [username, realm, nonce, uri, response, algorithm, cnonce, qop, nc] = fields;
        let text = |field: Option<&'a [u8]>, fault| {
            field.and_then(|f| std::str::from_utf8(f).ok()).ok_or(Malformed(fault))
        };
        Ok(Authorization {
            username: text(username, "username")?,
            realm: text(realm, "realm")?,
            nonce: nonce.ok_or(Malformed("nonce"))?,
            uri: text(uri, "uri")?,
            response: response.ok_or(Malformed("response"))?,
            algorithm: algorithm.map_or(Some(Algorithm::Md5), Algorithm::parse),
            cnonce: cnonce.unwrap_or_default(),
            has_qop: qop.is_some_and(|q| q.eq_ignore_ascii_case(b"auth")),
            nc: nc.unwrap_or_default(),
        })
    }

    fn count(&self) -> Option<u32> {
        let hex = self.nc.len() == 8 && self.nc.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(self.nc).ok().filter(|_| hex)?;
        u32::from_str_radix(text, 16).ok()
    }
}

/// What a credential is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The protection space
    pub realm: &'a str,
    /// The method as spelled
    pub method: &'a str,
    /// The Request-URI as spelled, which the digest URI is held against (RFC 7616 §3.4.6); `None`: against nothing
    pub uri: Option<&'a str>,
    /// Algorithms served, in the order they are offered
    pub algorithms: &'a [Algorithm],
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The user knows the password.
    Ok {
        /// Who it is
        username: &'a str,
    },
    /// The nonce is old, not ours, another source's, or the password is right but this count was used: challenge again
    /// with `stale=true`. Says nothing of the password.
    Stale,
    /// The digest URI names another server, or somebody else than the Request-URI (RFC 7616 §3.4.6): 400. Says nothing of
    /// the password.
    Elsewhere {
        /// Who it claims to be
        username: &'a str,
        /// What it names
        uri: &'a str,
    },
    /// Wrong password, unknown user, refused algorithm or missing qop: challenge again, count as failure.
    Wrong {
        /// Who it claims to be
        username: &'a str,
    },
    /// No Digest credentials for this realm: challenge.
    NoCredentials,
    /// 400
    Malformed(Malformed),
}

/// A right answer whose count is not taken yet: whoever is asked to wait takes no place in the replay table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof<'a> {
    /// Who it is
    pub username: &'a str,
    nonce: &'a [u8],
    expires: Duration,
    count: u32,
}

/// Issues challenges and judges answers; holds the nonce key and the replay table.
#[derive(Debug)]
pub struct Verifier {
    nonces: Nonces,
    replay: Replay,
    /// For unknown users, so that they cost the same.
    dummy: [Ha1; 2],
}

impl Verifier {
    /// `key` must be secret and random.
    pub fn new(key: [u8; 32], lifetime: Duration, remembered: usize) -> Verifier {
        let secret: String = key.iter().map(|b| char::from(b'a' + (b & 15))).collect();
        let dummy = [Algorithm::Md5, Algorithm::Sha256]
            .map(|a| Ha1::compute(a, "nobody", "nowhere", &secret));
        Verifier { nonces: Nonces::new(key, lifetime), replay: Replay::new(remembered), dummy }
    }

    /// [`Verifier::challenge_to`] without a source: the answer may come from anywhere.
    pub fn challenge(
        &self,
        now: Duration,
        expectation: &Expectation<'_>,
        salt: u64,
        stale: Option<Stale>,
    ) -> impl Iterator<Item = String> {
        self.challenges(None, now, expectation, salt, stale)
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate: one per algorithm, in order (RFC 8760 §2.4). Only `source`
    /// can answer them.
    pub fn challenge_to(
        &self,
        source: IpAddr,
        now: Duration,
        expectation: &Expectation<'_>,
        salt: u64,
        stale: Option<Stale>,
    ) -> impl Iterator<Item = String> {
        self.challenges(Some(source), now, expectation, salt, stale)
    }

    fn challenges(
        &self,
        source: Option<IpAddr>,
        now: Duration,
        expectation: &Expectation<'_>,
        salt: u64,
        stale: Option<Stale>,
    ) -> impl Iterator<Item = String> {
        let nonce = self.nonces.issue(now, source, expectation.realm, salt);
        let realm = quoted(expectation.realm);
        let stale = if stale.is_some() { ", stale=true" } else { "" };
        expectation.algorithms.iter().map(move |a| {
            format!(
                "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                a.as_str()
            )
        })
    }

    /// [`Verifier::verify_from`] for answers to [`Verifier::challenge`].
    pub fn verify<'c>(
        &mut self,
        now: Duration,
        expectation: &Expectation<'_>,
        credentials: impl Iterator<Item = Credentials<'c>>,
        ours: impl Fn(&Host<'_>) -> bool,
        ha1: impl FnOnce(&str, Algorithm) -> Option<Ha1>,
    ) -> Verdict<'c> {
        let found = find(credentials, expectation.realm);
        let judged = found.and_then(|a| self.judge(None, now, expectation, &a, ours, ha1));
        self.taken(now, judged)
    }

    /// [`Verifier::judge_from`], and the count is taken at once.
    pub fn verify_from<'c>(
        &mut self,
        source: IpAddr,
        now: Duration,
        expectation: &Expectation<'_>,
        credentials: impl Iterator<Item = Credentials<'c>>,
        ours: impl Fn(&Host<'_>) -> bool,
        ha1: impl FnOnce(&str, Algorithm) -> Option<Ha1>,
    ) -> Verdict<'c> {
        let judged = self.judge_from(source, now, expectation, credentials, ours, ha1);
        self.taken(now, judged)
    }

    fn taken<'c>(&mut self, now: Duration, judged: Result<Proof<'c>, Verdict<'c>>) -> Verdict<'c> {
        match judged {
            Ok(proof) if self.take(now, &proof) => Verdict::Ok { username: proof.username },
            Ok(_) => Verdict::Stale,
            Err(verdict) => verdict,
        }
    }

    /// Judges the credentials of a request from `source`, without taking their count.
    ///
    /// `ha1` looks the user up; `ours` says whether a host in the digest URI is this server (only the host is compared).
    /// An unknown user is hashed with a dummy, so that time does not tell who exists.
    ///
    /// # Errors
    /// Every verdict but [`Verdict::Ok`].
    pub fn judge_from<'c>(
        &self,
        source: IpAddr,
        now: Duration,
        expectation: &Expectation<'_>,
        credentials: impl Iterator<Item = Credentials<'c>>,
        ours: impl Fn(&Host<'_>) -> bool,
        ha1: impl FnOnce(&str, Algorithm) -> Option<Ha1>,
    ) -> Result<Proof<'c>, Verdict<'c>> {
        let a = find(credentials, expectation.realm)?;
        self.judge(Some(source), now, expectation, &a, ours, ha1)
    }

    /// Was the count of a right answer taken before?
    pub fn is_taken(&self, proof: &Proof<'_>) -> bool {
        self.replay.is_taken(proof.nonce, proof.expires, proof.count)
    }

    /// Takes the count of a right answer. `false`: it was taken before, or its nonce is forgotten; challenge again with
    /// `stale=true`.
    pub fn take(&mut self, now: Duration, proof: &Proof<'_>) -> bool {
        self.replay.accept(now, proof.nonce, proof.expires, proof.count)
    }

    fn judge<'c>(
        &self,
        source: Option<IpAddr>,
        now: Duration,
        expectation: &Expectation<'_>,
        a: &Authorization<'c>,
        ours: impl Fn(&Host<'_>) -> bool,
        ha1: impl FnOnce(&str, Algorithm) -> Option<Ha1>,
    ) -> Result<Proof<'c>, Verdict<'c>> {
        // First of all: a packet anybody can forge must not count as a wrong password of whom it names.
        let Ok(expires) = self.nonces.check(now, source, expectation.realm, a.nonce) else {
            return Err(Verdict::Stale);
        };
        let wrong = Err(Verdict::Wrong { username: a.username });
        let Some(algorithm) = a.algorithm.filter(|x| expectation.algorithms.contains(x)) else {
            return wrong;
        };
        if !a.has_qop || a.cnonce.is_empty() {
            return wrong;
        }
        let Some(count) = a.count() else {
            return Err(Verdict::Malformed(Malformed("nc")));
        };
        // Before the password is looked at, so that it tells nothing of it.
        if !fits(a.uri, expectation.uri, ours) {
            return Err(Verdict::Elsewhere { username: a.username, uri: a.uri });
        }
        let known = ha1(a.username, algorithm).filter(|h| h.algorithm() == algorithm);
        let dummy = &self.dummy[usize::from(algorithm == Algorithm::Sha256)];
        let secret = known.as_ref().unwrap_or(dummy);
        let expected =
            response_hex(secret, a.nonce, a.nc, a.cnonce, expectation.method, a.uri.as_bytes());
        let mut given = [0; 64];
        let length = a.response.len();
        if length != expected.as_bytes().len() {
            return wrong;
        }
        given[..length].copy_from_slice(a.response);
        given.make_ascii_lowercase();
        let same = bool::from(expected.as_bytes().ct_eq(&given[..length]));
        if !same || known.is_none() {
            return wrong;
        }
        Ok(Proof { username: a.username, nonce: a.nonce, expires, count })
    }

    /// Nonces in the replay table.
    pub fn remembered(&self) -> usize {
        self.replay.len()
    }
}

/// Asks [`Verifier::challenge`] for `stale=true` (RFC 7616 §3.3).
#[derive(Debug, Clone, Copy)]
pub struct Stale;

fn find<'c>(
    credentials: impl Iterator<Item = Credentials<'c>>,
    realm: &str,
) -> Result<Authorization<'c>, Verdict<'c>> {
    let mut found = None;
    for c in credentials {
        match Authorization::parse(&c) {
            Err(e) => return Err(Verdict::Malformed(e)),
            Ok(a) if a.realm == realm && found.is_none() => found = Some(a),
            Ok(_) => {}
        }
    }
    found.ok_or(Verdict::NoCredentials)
}

/// Does a digest URI name us, and whom the Request-URI names (RFC 3261 §22.4, RFC 7616 §3.4.6)? Phones leave out the user,
/// add or drop ports and parameters, and write another of our names; none of that leads a request elsewhere.
fn fits(given: &str, asked: Option<&str>, ours: impl Fn(&Host<'_>) -> bool) -> bool {
    // Most phones write the same twice; whom it names need not be compared then.
    let asked = asked.filter(|asked| *asked != given);
    let Ok(given) = Uri::parse(given) else { return false };
    let here = match &given {
        Uri::Sip(uri) => ours(&uri.host),
        // A call to a tel URI has no host to compare.
        Uri::Tel(_) => true,
        Uri::Other { .. } => false,
    };
    let asked = asked.and_then(|uri| Uri::parse(uri).ok());
    here && match (named(&given), asked.as_ref().and_then(named)) {
        (Some(given), Some(asked)) => given == asked,
        _ => true,
    }
}

/// The user or number a URI names.
fn named<'a>(uri: &Uri<'a>) -> Option<Cow<'a, [u8]>> {
    match uri {
        Uri::Sip(uri) => unescape(uri.user?),
        Uri::Tel(uri) => Some(Cow::Owned(uri.digits().map(|c| c as u8).collect())),
        Uri::Other { .. } => None,
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
