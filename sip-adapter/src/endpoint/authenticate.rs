//! Digest authentication (RFC 7616, RFC 8760, checklist 1–8).

use super::sprays::{ASKED, GUESSED, Sprays};
use super::told::Told;
use super::{Endpoint, Pending};
use crate::config::Limits;
use crate::port::{Errand, Port};
use crate::quirks;
use bytes::Bytes;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::settings::DigestPolicy;
use switchbook_sip::digest::{Algorithm, Expectation, Proof, Stale, Verdict, Verifier};
use switchbook_sip::id::IdSource;
use switchbook_sip::limits::{BackOff, Gate, SourceKey};
use switchbook_sip::message::{Builder, HeaderName, Method, Request};
use switchbook_sip::transaction::{Flow, Key};

const BOTH: &[Algorithm] = &[Algorithm::Md5, Algorithm::Sha256];
const MD5_ALONE: &[Algorithm] = &[Algorithm::Md5];
const STRICT: &[Algorithm] = &[Algorithm::Sha256];
/// Nonces whose counts are remembered; one that was pushed out is answered as stale.
const NONCES: usize = 200_000;
/// Answers made for somewhere else are told of again after so long.
const ELSEWHERE_AGAIN: Duration = Duration::from_secs(60);
/// A source whose phone calls for help behind a closed gate is told of again after so long.
const HELP_AGAIN: Duration = Duration::from_secs(10);
/// Sources told of meanwhile. Addresses can be forged: beyond that, the metrics count.
const MOST_TOLD: usize = 64;

/// What came of it.
pub(super) enum Who {
    /// An authenticated phone.
    Device(DeviceId),
    /// It was answered: challenged or refused.
    Answered,
}

/// Nonces, and who has guessed wrong too often.
pub(super) struct Gatekeeper {
    verifier: Verifier,
    salts: IdSource,
    hasher: RandomState,
    /// By account and source: nobody can lock another's phone out.
    accounts: BackOff<(u64, SourceKey)>,
    sources: BackOff<SourceKey>,
    /// Names answered for wrongly, and names only asked for.
    guessed: Sprays,
    asked: Sprays,
    elsewhere_told: Told<SourceKey>,
    help_told: Told<SourceKey>,
}

impl Gatekeeper {
    pub fn new(limits: &Limits, ids: &mut IdSource) -> Self {
        let mut key = [0; 32];
        for chunk in key.chunks_mut(8) {
            chunk.copy_from_slice(&ids.u64().to_le_bytes());
        }
        Self {
            verifier: Verifier::new(key, limits.nonce_lifetime, NONCES),
            salts: ids.fork(),
            hasher: RandomState::new(),
            accounts: BackOff::new(limits.account_back_off),
            sources: BackOff::new(limits.source_back_off),
            guessed: Sprays::new(GUESSED),
            asked: Sprays::new(ASKED),
            elsewhere_told: Told::new(ELSEWHERE_AGAIN, MOST_TOLD),
            help_told: Told::new(HELP_AGAIN, MOST_TOLD),
        }
    }
}

impl Endpoint {
    /// Finds out which phone sends a request. Unknown and known accounts are answered alike in status and headers, and
    /// cost the same.
    pub(super) fn authenticate(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        exchange: &Exchange,
    ) -> Who {
        let Some(settings) = exchange.settings.as_deref() else {
            let later = [(HeaderName::RetryAfter, "5")];
            self.wire.refuse(key, flow, request, 503, "Service Unavailable", &later);
            return Who::Answered;
        };
        self.keep_domain(&settings.realm.value);
        let expectation = Expectation {
            realm: &settings.realm.value,
            method: request.method_token(),
            uri: Some(request.uri_raw()),
            algorithms: match settings.digest.value {
                DigestPolicy::Md5ThenSha256 if quirks::knows_md5_alone(request) => MD5_ALONE,
                DigestPolicy::Md5ThenSha256 => BOTH,
                DigestPolicy::Sha256Only => STRICT,
            },
        };
        let now = self.wire.now;
        let since_epoch = Duration::from_micros(u64::try_from(now.moment.0).unwrap_or(0));
        let source = SourceKey::of(flow.remote.ip());
        let port: &dyn Port = &*self.port;
        let (config, domain) = (&self.config, &self.wire.domain);
        let given = request.authorizations().chain(request.proxy_authorizations());
        let mut named = None;
        let judged = self.gatekeeper.verifier.judge_from(
            flow.remote.ip(),
            since_epoch,
            &expectation,
            given,
            |host| super::is_ours(config, domain, host, flow),
            |username, algorithm| {
                named = exchange.device_named(username);
                let secret = exchange.devices.get(&named?)?.credential?.value;
                port.ha1(secret, algorithm)
            },
        );
        let (mut verdict, username) = match judged {
            Ok(proof) => (Check::Right(proof), proof.username),
            Err(Verdict::Wrong { username } | Verdict::Ok { username }) => (Check::Wrong, username),
            Err(Verdict::Stale) => (Check::Stale, ""),
            Err(Verdict::NoCredentials) => (Check::None, ""),
            Err(Verdict::Elsewhere { username, uri }) => {
                self.tell_elsewhere(flow, request, username, uri);
                self.wire.refuse(key, flow, request, 400, "Digest URI Mismatch", &[]);
                return Who::Answered;
            }
            Err(Verdict::Malformed(_)) => {
                self.wire.refuse(key, flow, request, 400, "Bad Authorization", &[]);
                return Who::Answered;
            }
        };
        if let Check::Right(_) | Check::Wrong = verdict
            && let Some(until) = self.closed_until(source, username)
        {
            let claim = (&verdict, username, until);
            return self.behind_closed_gate(key, flow, request, exchange, claim);
        }
        if let Check::Right(proof) = verdict {
            let found = (exchange, named);
            match self.admit(key, flow, request, found, &proof, since_epoch) {
                Some(Who::Device(device)) => return Who::Device(device),
                Some(Who::Answered) => return Who::Answered,
                None => verdict = Check::Stale,
            }
        }
        if let Check::Wrong = verdict {
            self.count_failure(flow, username);
        }
        let is_stale = matches!(verdict, Check::Stale);
        if !is_stale {
            self.unproven(flow, request, username);
        }
        let stale = is_stale.then_some(Stale);
        let challenge = self.challenge(key, flow, request, &expectation, since_epoch, stale);
        if let Some(bytes) = challenge.filter(|_| request.method() == Method::Invite) {
            let claimed = super::invite::from_user(request);
            let device = claimed.and_then(|name| exchange.device_named(&name));
            self.for_help = device
                .filter(|device| self.calls_for_help(request, flow, exchange, *device))
                .map(|_| bytes);
        }
        Who::Answered
    }

    /// Until when too many wrong passwords keep an account shut for a source, right or wrong.
    fn closed_until(&self, source: SourceKey, username: &str) -> Option<Instant> {
        let now = self.wire.now.instant;
        let account = (self.gatekeeper.hasher.hash_one(username), source);
        let gates = [
            self.gatekeeper.accounts.check(now, &account),
            self.gatekeeper.sources.check(now, &source),
        ];
        gates.into_iter().find_map(|gate| match gate {
            Gate::ClosedUntil(until) => Some(until),
            Gate::Open => None,
        })
    }

    /// A guesser closes the gate of his own source alone, and a phone may share it: what comes from exactly where the
    /// phone lives, and is a call for help, passes. It does so whatever the password, and counts as a failure whatever
    /// the password, since everything else that could be seen of it would tell a guesser which one is right.
    fn behind_closed_gate(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        exchange: &Exchange,
        (verdict, username, until): (&Check<'_>, &str, Instant),
    ) -> Who {
        let now = self.wire.now.instant;
        let device = exchange.device_named(username);
        let device = device.filter(|device| self.lives_at(flow, exchange, *device));
        let helps = |device: &DeviceId| self.calls_for_help(request, flow, exchange, *device);
        if let Some(device) = device.filter(helps) {
            if let Check::Wrong = verdict {
                self.wire.metrics.wrong_passwords.add(1);
            }
            let account =
                (self.gatekeeper.hasher.hash_one(username), SourceKey::of(flow.remote.ip()));
            let failures = self.gatekeeper.accounts.failed(now, account);
            let wants = (self.wants(request, flow, exchange, device), 1);
            if !self.keeps_pace(key, flow, request, device, wants) {
                return Who::Answered;
            }
            if self.gatekeeper.help_told.tells(now, SourceKey::of(flow.remote.ip())) {
                tracing::warn!(source = %flow.remote, failures, "a call for help passes a gate closed by wrong passwords");
            }
            return Who::Device(device);
        }
        let seconds = until.saturating_duration_since(now).as_secs() + 1;
        let seconds = seconds.to_string();
        let later = [(HeaderName::RetryAfter, seconds.as_str())];
        self.wire.refuse(key, flow, request, 503, "Service Unavailable", &later);
        Who::Answered
    }

    /// Lets a phone in whose password is right: within its pace, and each count of a nonce once. `None`: the count was
    /// taken before. Only what is within its pace takes a place in the table of counts.
    fn admit(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        (exchange, device): (&Exchange, Option<DeviceId>),
        proof: &Proof<'_>,
        since_epoch: Duration,
    ) -> Option<Who> {
        let device = device?;
        let (ip, source) = (flow.remote.ip(), SourceKey::of(flow.remote.ip()));
        let name = self.gatekeeper.hasher.hash_one(proof.username);
        if self.gatekeeper.verifier.is_taken(proof) {
            return None;
        }
        let wants = (self.wants(request, flow, exchange, device), 1);
        if !self.keeps_pace(key, flow, request, device, wants) {
            return Some(Who::Answered);
        }
        if !self.gatekeeper.verifier.take(since_epoch, proof) {
            return None;
        }
        // Only now: an answer that somebody overheard and sends again forgives nothing.
        self.gatekeeper.accounts.succeeded(&(name, source));
        self.budget.forgive(ip);
        self.gatekeeper.guessed.proven(source, name);
        self.gatekeeper.asked.proven(source, name);
        Some(Who::Device(device))
    }

    fn count_failure(&mut self, flow: &Flow, username: &str) {
        let (now, source) = (self.wire.now.instant, SourceKey::of(flow.remote.ip()));
        self.wire.metrics.wrong_passwords.add(1);
        let account = (self.gatekeeper.hasher.hash_one(username), source);
        let failures = self.gatekeeper.accounts.failed(now, account);
        self.gatekeeper.sources.failed(now, source);
        // Told at 5, 10, 20, 40 …: a guesser fills no disk.
        if failures >= 5 && failures.is_multiple_of(5) && (failures / 5).is_power_of_two() {
            tracing::warn!(source = %flow.remote.ip(), failures, "wrong passwords");
        }
    }

    /// An answer that was made for somewhere else (RFC 7616 §3.4.6): a phone behind a box that rewrites addresses, or one
    /// that was lured elsewhere. Told once a minute of each source.
    fn tell_elsewhere(&mut self, flow: &Flow, request: &Request, username: &str, uri: &str) {
        self.wire.metrics.digest_uris.add(1);
        let (now, source) = (self.wire.now.instant, SourceKey::of(flow.remote.ip()));
        if !self.gatekeeper.elsewhere_told.tells(now, source) {
            return;
        }
        tracing::warn!(
            code = "DIGEST_URI_MISMATCH",
            source = %flow.remote.ip(),
            ?username,
            digest_uri = ?uri,
            request_uri = ?request.uri_raw(),
            "an answer was made for another address than the request's: refused with 400, its password was not looked at. If it is a phone, does it, or a box before it, know this server by a name that is not in `names`?"
        );
    }

    /// A name was claimed: by an answer that was wrong, or by a request that is challenged now and may never come back.
    fn unproven(&mut self, flow: &Flow, request: &Request, username: &str) {
        let gatekeeper = &mut self.gatekeeper;
        let (claimed, sprays) = match username {
            "" => (super::invite::from_user(request).unwrap_or_default(), &mut gatekeeper.asked),
            username => (username.to_owned(), &mut gatekeeper.guessed),
        };
        let source = SourceKey::of(flow.remote.ip());
        let name = gatekeeper.hasher.hash_one(claimed.as_str());
        let Some(spray) = sprays.tried(self.wire.now.instant, source, name) else { return };
        self.wire.metrics.sprays.add(u64::from(spray.is_new));
        tracing::warn!(
            source = %flow.remote.ip(),
            names = spray.names,
            attempts = spray.attempts,
            "one source tries many names and proves none: a scan"
        );
    }

    /// Somebody authenticated as `device` speaks for another (checklist 8, 11, 14): 403, and a trace in the book.
    pub(super) fn claims_another(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        device: DeviceId,
        claimed: Option<DeviceId>,
    ) {
        self.wire.metrics.claims.add(1);
        // Full of errands: the metric counts, the book goes without.
        self.submit(Errand::Claim { device, claimed, from: *flow }, Pending::Told);
        self.wire.refuse(key, flow, request, 403, "Forbidden", &[]);
    }

    fn challenge(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        expectation: &Expectation<'_>,
        now: Duration,
        stale: Option<Stale>,
    ) -> Option<Bytes> {
        self.wire.metrics.challenges.add(1);
        let salt = self.gatekeeper.salts.u64();
        let tag = self.wire.table.stateless_tag(request);
        let buf = &mut self.wire.buf;
        let (remote, source) = (flow.remote, flow.remote.ip());
        let mut b = Builder::reply(buf, request, 401, "Unauthorized", Some(&tag), remote);
        let verifier = &self.gatekeeper.verifier;
        for value in verifier.challenge_to(source, now, expectation, salt, stale) {
            b.header(HeaderName::WwwAuthenticate, value);
        }
        let bytes = b.finish().ok()?;
        self.wire.table.respond_stateless(key, bytes.clone()).ok()?;
        Some(bytes)
    }
}

enum Check<'a> {
    Right(Proof<'a>),
    Wrong,
    Stale,
    None,
}
