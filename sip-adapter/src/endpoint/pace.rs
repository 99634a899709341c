//! How fast one phone may fill the book: bindings, calls and feature codes are events, and those are kept for ever. And how
//! fast it may keep us busy without any.

use super::Endpoint;
use crate::config::Limits;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};
use switchbook_core::id::{DeviceId, TrunkId};
use switchbook_sip::limits::Buckets;
use switchbook_sip::message::{HeaderName, Request};
use switchbook_sip::transaction::{Flow, Key};

/// Phones that have asked for something lately; they are known ones, so there are never more than the book has.
const MOST: usize = 1_000_000;
/// A phone that goes on asking is told of again after so long.
const AGAIN: Duration = Duration::from_secs(3600);

/// A trunk that goes on sending too much is told of again after so long.
const TRUNK_AGAIN: Duration = Duration::from_secs(60);

/// Who owes nothing any more is looked for so often: as long as what a phone takes for one binding flows back.
const SETTLE_EVERY: Duration = Duration::from_secs(10);

/// What a phone wants that leaves an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Wants {
    /// Bindings made, changed or taken back.
    Bindings,
    /// A call or a feature code.
    Calls,
    /// A call for help: far more than people can need, and not so many that a stolen password floods those who help.
    Help,
    /// A REGISTER of any kind, a request in another's name or one that is not served: those keep a transaction or the Desk
    /// busy.
    Requests,
}

/// What each phone has left.
pub(super) struct Paces {
    bindings: Buckets<DeviceId>,
    calls: Buckets<DeviceId>,
    help: Buckets<DeviceId>,
    requests: Buckets<DeviceId>,
    trunks: Buckets<TrunkId>,
    told: FxHashMap<(DeviceId, Wants), Instant>,
    trunks_told: FxHashMap<TrunkId, Instant>,
    settled: Option<Instant>,
}

impl Paces {
    pub fn new(limits: &Limits) -> Self {
        Self {
            bindings: Buckets::new(limits.binding_events, MOST),
            calls: Buckets::new(limits.calls_placed, MOST),
            help: Buckets::new(limits.calls_for_help, MOST),
            requests: Buckets::new(limits.registers, MOST),
            trunks: Buckets::new(limits.calls_from_trunk, MOST),
            told: FxHashMap::default(),
            trunks_told: FxHashMap::default(),
            settled: None,
        }
    }

    fn of(&mut self, wants: Wants) -> &mut Buckets<DeviceId> {
        match wants {
            Wants::Bindings => &mut self.bindings,
            Wants::Calls => &mut self.calls,
            Wants::Help => &mut self.help,
            Wants::Requests => &mut self.requests,
        }
    }

    /// Gives back what a rush took, when it is over.
    pub fn settle(&mut self, now: Instant) {
        let lately = |at: Instant| now.saturating_duration_since(at) < SETTLE_EVERY;
        if !self.settled.is_some_and(lately) {
            self.settled = Some(now);
            for buckets in [&mut self.bindings, &mut self.calls, &mut self.help, &mut self.requests]
            {
                buckets.settle(now);
            }
        }
    }

    /// What was taken for events that did not come.
    pub fn give_back(&mut self, device: DeviceId, wants: Wants, units: u32) {
        self.of(wants).give_back(&device, units);
    }

    /// Whether this is told of: once, and again when it goes on for long.
    fn tells(&mut self, now: Instant, device: DeviceId, wants: Wants) -> bool {
        let lately = |at: &Instant| now.saturating_duration_since(*at) < AGAIN;
        if self.told.get(&(device, wants)).is_some_and(lately) {
            return false;
        }
        self.told.retain(|_, at| lately(at));
        self.told.insert((device, wants), now);
        true
    }
}

impl Endpoint {
    /// May a trunk send in one call more? `false`: it was told to wait. Its address can be forged, so this is what bounds
    /// a forger; the network itself tries again, or tells its caller that all lines are busy.
    pub(super) fn trunk_keeps_pace(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        (id, name): (TrunkId, &str),
    ) -> bool {
        let now = self.wire.now.instant;
        let Err(wait) = self.paces.trunks.take(now, id, 1) else { return true };
        self.wire.metrics.trunk_over_pace.add(1);
        let told = self.paces.trunks_told.get(&id);
        if told.is_none_or(|at| now.saturating_duration_since(*at) >= TRUNK_AGAIN) {
            self.paces.trunks_told.insert(id, now);
            tracing::warn!(
                code = "TRUNK_OVER_PACE",
                trunk = ?name,
                source = %flow.remote,
                "more calls come from a trunk's address than it may send: refused with 503. If it is the trunk, raise `calls_from_trunk` in [limits]; if not, somebody forges its address"
            );
        }
        let seconds = (wait.as_secs() + 1).to_string();
        let later = [(HeaderName::RetryAfter, seconds.as_str())];
        self.wire.refuse(key, flow, request, 503, "Too Many Calls", &later);
        false
    }

    /// Takes so many units of what a phone may cause; `false`: it had too much, and was told to wait.
    pub(super) fn keeps_pace(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        device: DeviceId,
        (wants, units): (Wants, u32),
    ) -> bool {
        let now = self.wire.now.instant;
        let Err(wait) = self.paces.of(wants).take(now, device, units) else { return true };
        self.wire.metrics.over_pace.add(1);
        if self.paces.tells(now, device, wants) {
            let exchange = self.port.exchange();
            let name = exchange.devices.get(&device).map_or("", |device| device.name.as_str());
            tracing::warn!(
                device = name,
                source = %flow.remote.ip(),
                ?wants,
                "a phone asks too often and is made to wait; is it broken, or its password in other hands?"
            );
        }
        let seconds = (wait.as_secs() + 1).to_string();
        let later = [(HeaderName::RetryAfter, seconds.as_str())];
        self.wire.refuse(key, flow, request, 503, "Too Many Requests", &later);
        false
    }
}
