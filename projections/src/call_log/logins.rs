//! Who is logged in at a phone, remembered until an event says otherwise: nearly every event of a call asks, and the two
//! tables that know are a walk through memory each.

use rustc_hash::FxHashMap;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, UserId};

/// So many phones are remembered at most.
const MOST: usize = 65_536;

/// What was asked lately. It follows from the exchange, so it is no part of what the log is: equal logs may remember
/// different phones, and a copy begins anew.
#[derive(Debug, Default)]
pub(super) struct LogIns(FxHashMap<DeviceId, Option<UserId>>);

impl LogIns {
    /// The user who is logged in at a phone. Every event since the last question was [shown](Self::follow).
    pub(super) fn at(&mut self, exchange: &Exchange, device: DeviceId) -> Option<UserId> {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let user = *self.0.entry(device).or_insert_with(|| user_at(exchange, device));
        debug_assert_eq!(user, user_at(exchange, device), "{device}: an event was not followed");
        user
    }

    /// Forgets what an event may have changed.
    pub(super) fn follow(&mut self, event: &Event) {
        match event {
            Event::DeviceLoggedIn(event) => self.forget(event.device),
            Event::DeviceLoggedOut(event) => self.forget(event.device),
            Event::DeviceAdded(event) => self.forget(event.device),
            Event::DeviceRemoved(event) => self.forget(event.device),
            Event::SlotAdded(_) | Event::SlotRemoved(_) | Event::UserDeleted(_) => self.0.clear(),
            _ => {}
        }
    }

    fn forget(&mut self, device: DeviceId) {
        self.0.remove(&device);
    }
}

impl Clone for LogIns {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for LogIns {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn user_at(exchange: &Exchange, device: DeviceId) -> Option<UserId> {
    let login = exchange.devices.get(&device)?.login?;
    exchange.slots.get(&login.value).map(|slot| slot.user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use switchbook_core::device::LogoutReason;
    use switchbook_core::device::{DeviceAdded, DeviceLoggedIn, DeviceLoggedOut, DeviceRemoved};
    use switchbook_core::envelope::{Actor, Envelope, Recorded};
    use switchbook_core::id::{CommandId, CorrelationId, SlotId};
    use switchbook_core::position::{Moment, Position};
    use switchbook_core::slot::{DeviceType, SlotAdded, SlotRemoved};
    use switchbook_core::user::UserDeleted;
    use uuid::Uuid;

    fn recorded(at: u64, event: Event) -> Recorded {
        let command = CommandId(Uuid::from_u128(1));
        let envelope = Envelope {
            position: Position(at),
            recorded_at: Moment(0),
            moment: Moment(0),
            actor: Actor::System,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(command.0),
            command,
            subjects: Vec::new(),
        };
        Recorded { envelope, event }
    }

    /// Whatever can happen to phones and slots, in whatever order: three of each, and two users.
    fn events() -> impl Strategy<Value = Event> {
        let ids = (0..3_u128, 0..3_u128, 0..2_u128, 0..7);
        ids.prop_map(|(device, slot, user, kind)| {
            let [device, slot, user] = [device, slot, user].map(Uuid::from_u128);
            let (device, slot, user) = (DeviceId(device), SlotId(slot), UserId(user));
            let (name, device_type) = (String::from("desk"), DeviceType::Desk);
            match kind {
                0 => {
                    let (mac, service_number) = (None, None);
                    DeviceAdded { device, name, device_type, mac, service_number }.into()
                }
                1 => DeviceRemoved { device }.into(),
                2 => SlotAdded { slot, user, name, device_type }.into(),
                3 => SlotRemoved { slot, user }.into(),
                4 => {
                    let reason = LogoutReason::Admin;
                    DeviceLoggedOut { user, slot, device, reason }.into()
                }
                5 => UserDeleted {
                    user,
                    numbers_freed: Vec::new(),
                    profiles_deleted: Vec::new(),
                    schedules_removed: Vec::new(),
                    slots_removed: vec![slot],
                    devices_logged_out: Vec::new(),
                    groups_left: Vec::new(),
                }
                .into(),
                _ => DeviceLoggedIn { user, slot, device }.into(),
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_tables_say(
            events in proptest::collection::vec(events(), 1..40),
        ) {
            let (mut exchange, mut logins) = (Exchange::default(), LogIns::default());
            for (at, event) in (1..).zip(events) {
                exchange.evolve(&recorded(at, event.clone()));
                logins.follow(&event);
                for device in (0..3).map(|n| DeviceId(Uuid::from_u128(n))) {
                    prop_assert_eq!(logins.at(&exchange, device), user_at(&exchange, device));
                }
            }
        }
    }
}
