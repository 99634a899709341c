//! Bindings that nobody refreshed. Each is looked at when it should have ended, and again when a lease has moved that. An
//! end that is out of reach, since the wall clock was set back, is waited for by the other clock.

use super::{Endpoint, Pending};
use crate::port::{Done, Errand, Trouble};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};
use switchbook_core::id::DeviceId;
use switchbook_core::position::Moment;
use switchbook_core::registration::BindingId;

/// A binding ends no sooner than this after its time: a refresh may be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// When the book takes no writes, the next try.
const AGAIN: Duration = Duration::from_secs(30);

/// Sixteenths of a second since the sweeper began, rounded up: there is one for every phone, and an [`Instant`] is four times
/// as long. They last for eight years.
type Tick = u32;
const TICKS: u64 = 16;

/// What is watched.
pub(super) struct Sweeper {
    began: Instant,
    queue: BinaryHeap<Reverse<(Tick, DeviceId, BindingId)>>,
    watched: FxHashSet<(DeviceId, BindingId)>,
    /// Ends that were out of reach at the last look: only after the clock was set back.
    strange: FxHashMap<(DeviceId, BindingId), Moment>,
}

impl Sweeper {
    pub fn new(began: Instant) -> Self {
        let (queue, watched, strange) = Default::default();
        Self { began, queue, watched, strange }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, ..))| self.instant(*due))
    }

    fn instant(&self, due: Tick) -> Instant {
        self.began + Duration::from_micros(u64::from(due) * (1_000_000 / TICKS))
    }

    fn look_at(&mut self, due: Instant, device: DeviceId, id: BindingId) {
        let since = due.saturating_duration_since(self.began).as_micros();
        let tick = since.div_ceil(u128::from(1_000_000 / TICKS));
        self.queue.push(Reverse((Tick::try_from(tick).unwrap_or(Tick::MAX), device, id)));
    }

    fn let_go(&mut self, device: DeviceId, id: BindingId) {
        self.watched.remove(&(device, id));
        self.strange.remove(&(device, id));
    }
}

impl Endpoint {
    /// Watches everything the book has, at the start.
    pub(super) fn watch_all(&mut self) {
        let devices: Vec<DeviceId> = self.port.exchange().registrations.keys().copied().collect();
        for device in devices {
            self.watch(device);
        }
    }

    /// Watches the bindings of one device.
    pub(super) fn watch(&mut self, device: DeviceId) {
        let exchange = self.port.exchange();
        let Some(registration) = exchange.registrations.get(&device) else { return };
        for (binding, _) in &registration.bindings {
            let id = binding.binding;
            if !self.sweeper.watched.contains(&(device, id)) {
                self.look_at(binding.ends(None, self.wire.now.moment), device, id, None);
            }
        }
    }

    pub(super) fn sweep(&mut self) {
        let now = self.wire.now;
        let exchange = self.port.exchange();
        while let Some(Reverse((due, device, id))) = self.sweeper.queue.peek().copied() {
            if self.sweeper.instant(due) > now.instant {
                break;
            }
            self.sweeper.queue.pop();
            let registration = exchange.registrations.get(&device);
            let found = registration
                .and_then(|found| found.bindings.iter().find(|(binding, _)| binding.binding == id));
            let Some((binding, _)) = found else {
                self.sweeper.let_go(device, id);
                continue;
            };
            let lease = self.port.lease(device, id);
            let (said, ends) = (binding.said_to_end(lease), binding.ends(lease, now.moment));
            let seen = self.sweeper.strange.get(&(device, id)).copied();
            // An end out of reach is waited for once more, for as long as was granted: a phone that is there has
            // refreshed by then, and so set it right.
            let strange = binding.is_out_of_reach(lease, now.moment).then_some(said);
            if ends > now.moment && (strange.is_none() || strange != seen) {
                self.look_at(ends, device, id, strange);
                continue;
            }
            self.sweeper.let_go(device, id);
            let errand = Errand::Expire { device, bindings: vec![id] };
            if !self.submit(errand, Pending::Expire(device, vec![id])) {
                self.watch_again(device, vec![id]);
            }
        }
    }

    pub(super) fn expired(
        &mut self,
        device: DeviceId,
        bindings: Vec<BindingId>,
        outcome: Result<Done, Trouble>,
    ) {
        match outcome {
            Ok(Done { .. }) => self.wire.metrics.bindings_expired.add(bindings.len() as u64),
            Err(Trouble::Refused { .. }) => self.watch(device),
            Err(_) => self.watch_again(device, bindings),
        }
    }

    fn watch_again(&mut self, device: DeviceId, bindings: Vec<BindingId>) {
        let due = self.wire.now.instant + AGAIN;
        for id in bindings {
            self.sweeper.strange.remove(&(device, id));
            if self.sweeper.watched.insert((device, id)) {
                self.sweeper.look_at(due, device, id);
            }
        }
    }

    /// Looks at a binding again when it should have ended.
    fn look_at(&mut self, ends: Moment, device: DeviceId, id: BindingId, strange: Option<Moment>) {
        let due = self.instant_of(ends) + GRACE;
        self.sweeper.watched.insert((device, id));
        match strange {
            Some(end) => self.sweeper.strange.insert((device, id), end),
            None => self.sweeper.strange.remove(&(device, id)),
        };
        self.sweeper.look_at(due, device, id);
    }

    fn instant_of(&self, moment: Moment) -> Instant {
        let now = self.wire.now;
        let left = u64::try_from(moment.0.saturating_sub(now.moment.0)).unwrap_or(0);
        // A clock that jumped must not put an end out of reach.
        now.instant + Duration::from_micros(left).min(Duration::from_secs(86_400))
    }
}
