//! Digest authentication (RFC 7616, RFC 8760, checklist 1–8).

use super::sprays::{ASKED, GUESSED, Sprays};
use super::{Endpoint, Pending};
use crate::config::Limits;
use crate::port::{Errand, Port};
use crate::quirks;
use bytes::Bytes;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::settings::DigestPolicy;
use switchbook_sip::digest::{Algorithm, Expectation, Stale, Verdict, Verifier};
use switchbook_sip::id::IdSource;
use switchbook_sip::limits::{BackOff, Gate, SourceKey};
use switchbook_sip::message::{Builder, HeaderName, Method, Request};
use switchbook_sip::transaction::{Flow, Key};

const BOTH: &[Algorithm] = &[Algorithm::Md5, Algorithm::Sha256];
const MD5_ALONE: &[Algorithm] = &[Algorithm::Md5];
const STRICT: &[Algorithm] = &[Algorithm::Sha256];
/// Nonces whose counts are remembered; one that was pushed out is answered as stale.
const NONCES: usize = 200_000;

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
            algorithms: match settings.digest.value {
                DigestPolicy::Md5ThenSha256 if quirks::knows_md5_alone(request) => MD5_ALONE,
                DigestPolicy::Md5ThenSha256 => BOTH,
                DigestPolicy::Sha256Only => STRICT,
            },
        };
        let now = self.wire.now;
        let since_epoch = Duration::from_micros(u64::try_from(now.moment.0).unwrap_or(0));
        let source = SourceKey::of(flow.remote.ip());
        let gatekeeper = &mut self.gatekeeper;
        let port: &dyn Port = &*self.port;
        let (config, domain) = (&self.config, &self.wire.domain);
        let given = request.authorizations().chain(request.proxy_authorizations());
        let verdict = gatekeeper.verifier.verify_from(
            flow.remote.ip(),
            since_epoch,
            &expectation,
            given,
            |host| super::is_ours(config, domain, host, flow),
            |username, algorithm| {
                let device = exchange.device_named(username)?;
                let secret = exchange.devices.get(&device)?.credential?.value;
                port.ha1(secret, algorithm)
            },
        );
        let account = |username: &str| (self.gatekeeper.hasher.hash_one(username), source);
        let (verdict, username) = match verdict {
            Verdict::Ok { username } => (Check::Right, username),
            Verdict::Wrong { username } => (Check::Wrong, username),
            Verdict::Stale => (Check::Stale, ""),
            Verdict::NoCredentials => (Check::None, ""),
            Verdict::Malformed(_) => {
                self.wire.refuse(key, flow, request, 400, "Bad Authorization", &[]);
                return Who::Answered;
            }
        };
        if matches!(verdict, Check::Right | Check::Wrong) {
            let account = account(username);
            let gates = [
                self.gatekeeper.accounts.check(now.instant, &account),
                self.gatekeeper.sources.check(now.instant, &source),
            ];
            let closed = gates.into_iter().find_map(|gate| match gate {
                Gate::ClosedUntil(until) => Some(until),
                Gate::Open => None,
            });
            // A guesser closes the gate of his own source alone, and a phone may share it: from where it lives, its call
            // for help passes. To let it pass from anywhere would tell a guesser which password is right.
            let helps = || {
                let device = exchange.device_named(username).filter(|_| verdict == Check::Right);
                device.is_some_and(|device| self.calls_for_help(request, flow, exchange, device))
            };
            if let Some(until) = closed.filter(|_| !helps()) {
                let seconds = until.saturating_duration_since(now.instant).as_secs() + 1;
                let seconds = seconds.to_string();
                let later = [(HeaderName::RetryAfter, seconds.as_str())];
                self.wire.refuse(key, flow, request, 503, "Service Unavailable", &later);
                return Who::Answered;
            }
            match verdict {
                Check::Right => self.gatekeeper.accounts.succeeded(&account),
                _ => {
                    self.wire.metrics.wrong_passwords.add(1);
                    let failures = self.gatekeeper.accounts.failed(now.instant, account);
                    self.gatekeeper.sources.failed(now.instant, source);
                    // Told at 5, 10, 20, 40 …: a guesser fills no disk.
                    if failures >= 5
                        && failures.is_multiple_of(5)
                        && (failures / 5).is_power_of_two()
                    {
                        tracing::warn!(source = %flow.remote.ip(), failures, "wrong passwords");
                    }
                }
            }
        }
        if verdict == Check::Right {
            self.budget.forgive(flow.remote.ip());
            let name = self.gatekeeper.hasher.hash_one(username);
            self.gatekeeper.guessed.proven(source, name);
            self.gatekeeper.asked.proven(source, name);
            if let Some(device) = exchange.device_named(username) {
                return Who::Device(device);
            }
        }
        if verdict != Check::Stale {
            self.unproven(flow, request, username);
        }
        let stale = (verdict == Check::Stale).then_some(Stale);
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Right,
    Wrong,
    Stale,
    None,
}
