//! Where devices are, and what is volatile about them (way 4): bindings with their leases, calls in progress.

use crate::call::{Places, Target};
use crate::port::Port;
use crate::wire::{SessionId, reach};
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, SlotId, TrunkId};
use switchbook_core::number::Number;
use switchbook_core::position::{Moment, Position};
use switchbook_core::routing::Volatile;
use switchbook_core::routing::caller_id::{self, Shown};

/// Which devices are in a call, for others to look at.
#[derive(Debug, Default)]
pub struct LiveCalls(RwLock<FxHashMap<DeviceId, usize>>);

impl LiveCalls {
    /// Is a call in progress on this device? A feature code being dialled is none.
    #[must_use]
    pub fn in_call(&self, device: DeviceId) -> bool {
        self.0.read().is_ok_and(|calls| calls.contains_key(&device))
    }

    fn set(&self, device: DeviceId, calls: usize) {
        if let Ok(mut all) = self.0.write() {
            match calls {
                0 => drop(all.remove(&device)),
                calls => drop(all.insert(device, calls)),
            }
        }
    }
}

impl switchbook_commands::Calls for LiveCalls {
    fn in_call(&self, device: DeviceId) -> bool {
        self.in_call(device)
    }
}

/// Who is in a call over which number.
#[derive(Default)]
pub(super) struct Usage {
    devices: FxHashMap<DeviceId, Vec<(SessionId, Option<Number>)>>,
    numbers: FxHashMap<Number, usize>,
    by_session: FxHashMap<SessionId, Vec<DeviceId>>,
    pub live: Arc<LiveCalls>,
}

impl Usage {
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.numbers.is_empty() && self.by_session.is_empty()
    }

    pub fn calls_of(&self, device: DeviceId) -> usize {
        self.devices.get(&device).map_or(0, Vec::len)
    }

    pub fn take(&mut self, session: SessionId, device: DeviceId, number: Option<Number>) {
        let calls = self.devices.entry(device).or_default();
        calls.push((session, number));
        self.live.set(device, calls.len());
        if let Some(number) = number {
            *self.numbers.entry(number).or_default() += 1;
        }
        self.by_session.entry(session).or_default().push(device);
    }

    pub fn free(&mut self, session: SessionId) {
        for device in self.by_session.remove(&session).unwrap_or_default() {
            let Some(calls) = self.devices.get_mut(&device) else { continue };
            for (_, number) in calls.iter().filter(|(of, _)| *of == session) {
                let Some(number) = number else { continue };
                if let Some(count) = self.numbers.get_mut(number) {
                    *count -= 1;
                    if *count == 0 {
                        self.numbers.remove(number);
                    }
                }
            }
            calls.retain(|(of, _)| *of != session);
            self.live.set(device, calls.len());
            if calls.is_empty() {
                self.devices.remove(&device);
            }
        }
    }
}

/// The exchange and everything volatile at one moment.
pub(super) struct World<'a> {
    pub exchange: &'a Exchange,
    pub port: &'a dyn Port,
    pub usage: &'a Usage,
    pub at: Moment,
}

impl World<'_> {
    fn bindings(&self, device: DeviceId) -> impl Iterator<Item = Target> + '_ {
        let registration = self.exchange.registrations.get(&device);
        let bindings = registration.into_iter().flat_map(|found| found.bindings.iter());
        bindings.filter_map(move |(binding, _)| {
            let lease = self.port.lease(device, binding.binding);
            if binding.said_to_end(lease) <= self.at {
                return None;
            }
            let uri = binding.contact.known()?.to_owned();
            let remote = match binding.behind_nat {
                true => binding.source.known()?.parse().ok()?,
                false => address_in(&uri)?,
            };
            Some(Target { uri, remote })
        })
    }
}

/// The address a contact names; bindings from elsewhere carry their source.
fn address_in(uri: &str) -> Option<SocketAddr> {
    let parsed = switchbook_sip::message::SipUri::parse(uri).ok()?;
    let ip = parsed.host.ip()?;
    Some(reach(uri, SocketAddr::new(ip, 5060)))
}

impl Volatile for World<'_> {
    fn registered(&self, device: DeviceId) -> bool {
        self.bindings(device).next().is_some()
    }

    fn calls_on(&self, device: DeviceId) -> Vec<Option<Number>> {
        let calls = self.usage.devices.get(&device).map(Vec::as_slice).unwrap_or_default();
        calls.iter().map(|(_, number)| *number).collect()
    }

    fn in_use(&self, number: Number) -> bool {
        self.usage.numbers.contains_key(&number)
    }
}

impl Places for World<'_> {
    fn contacts(&self, device: DeviceId) -> Vec<Target> {
        self.bindings(device).collect()
    }

    fn trunk(&self, trunk: TrunkId) -> Option<SocketAddr> {
        self.exchange.trunks.get(&trunk).map(|trunk| trunk.peer)
    }

    fn login(&self, device: DeviceId) -> Option<SlotId> {
        self.exchange.devices.get(&device)?.login.map(|slot| slot.value)
    }

    fn configuration(&self) -> Position {
        self.exchange.configuration
    }

    fn shown_outside(&self, device: DeviceId, trunk: TrunkId) -> Shown {
        caller_id::outside(self.exchange, device, trunk)
    }

    fn shown_for_help(&self, device: DeviceId, trunk: TrunkId) -> Shown {
        caller_id::for_help(self.exchange, device, trunk)
    }
}
