//! Leases that change with a commit: decided on at once, in the book of leases only when the commit is durable.

use super::LeaseBook;
use crate::order::{LeaseRenewal, LeaseState, LeaseView};
use std::collections::HashMap;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::id::DeviceId;
use switchbook_core::registration::BindingId;

/// What becomes of a binding's lease.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LeaseChange {
    /// It lives on.
    Renew(LeaseRenewal),
    /// An event ended or changed the binding: its end stands in the book again.
    Forget(DeviceId, BindingId),
}

impl LeaseChange {
    /// Those of a decision: its renewals, then what its events end.
    pub(crate) fn of(leases: &[LeaseRenewal], records: &[Recorded]) -> Vec<Self> {
        let forgets = records.iter().filter_map(|recorded| match &recorded.event {
            Event::RegistrationRemoved(e) => Some(Self::Forget(e.device, e.binding)),
            Event::RegistrationExpired(e) => Some(Self::Forget(e.device, e.binding)),
            Event::RegistrationChanged(e) => Some(Self::Forget(e.device, e.binding.binding)),
            _ => None,
        });
        leases.iter().copied().map(Self::Renew).chain(forgets).collect()
    }

    /// Into the book of leases.
    pub(crate) fn apply(self, leases: &dyn LeaseBook) {
        match self {
            Self::Renew(lease) => leases.renew(lease),
            Self::Forget(device, binding) => leases.forget(device, binding),
        }
    }

    const fn key(&self) -> (DeviceId, BindingId) {
        match *self {
            Self::Renew(lease) => (lease.device, lease.binding),
            Self::Forget(device, binding) => (device, binding),
        }
    }

    fn state(&self) -> Option<LeaseState> {
        match *self {
            Self::Renew(LeaseRenewal { expires_at, cseq, .. }) => {
                Some(LeaseState { expires_at, cseq })
            }
            Self::Forget(..) => None,
        }
    }
}

/// Changes that wait for their commits, each binding's last one with how many wait.
#[derive(Debug, Default)]
pub(crate) struct Pending(HashMap<(DeviceId, BindingId), (usize, Option<LeaseState>)>);

impl Pending {
    /// Decisions see it from now on.
    pub(crate) fn add(&mut self, change: LeaseChange) {
        let waiting = self.0.entry(change.key()).or_default();
        *waiting = (waiting.0 + 1, change.state());
    }

    /// Its commit is durable.
    pub(crate) fn landed(&mut self, change: LeaseChange, leases: &dyn LeaseBook) {
        change.apply(leases);
        if let Some((many, _)) = self.0.get_mut(&change.key()) {
            *many = many.saturating_sub(1);
            if *many == 0 {
                self.0.remove(&change.key());
            }
        }
    }

    /// Nothing of it was written.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Leases as the writer's private state has them.
pub(crate) struct PrivateLeases<'a> {
    pub(crate) pending: &'a Pending,
    pub(crate) durable: &'a dyn LeaseBook,
}

impl LeaseView for PrivateLeases<'_> {
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<LeaseState> {
        match self.pending.0.get(&(device, binding)) {
            Some((_, state)) => *state,
            None => self.durable.lease(device, binding),
        }
    }
}
