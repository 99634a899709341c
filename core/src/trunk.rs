//! Trunks (Ämter): the way to and from the public network (behaviour.md 1.19). Static peers for now.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, edit};
use crate::fact::Fact;
use crate::id::TrunkId;
use crate::number::Number;
use crate::position::Position;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A trunk as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trunk {
    /// What people call it, unique.
    pub name: String,
    /// The only address calls come from and go to.
    pub peer: SocketAddr,
    /// Dialled before an outside number and removed again (Amtsholung); empty: none needed.
    pub outbound_prefix: String,
    /// Put before the caller's number on the way out; `None` withholds the number.
    pub base_number: Option<String>,
    /// The event that made it.
    pub at: Position,
    /// Inbound dialling: what the network sends → number, in the order of the dialled digits.
    pub inbound: Vec<Fact<Inbound>>,
}

/// One inbound rule: digits as the network sends them → number (1:1, best match is the exact one).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbound {
    /// The called digits as the trunk delivers them, a leading `+` allowed.
    pub dialled: String,
    /// The number they reach.
    pub number: Number,
}

/// A static trunk was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrunkAdded {
    /// Its id.
    pub trunk: TrunkId,
    /// What people call it.
    pub name: String,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Dialled before an outside number.
    pub outbound_prefix: String,
    /// Put before the caller's number on the way out.
    pub base_number: Option<String>,
}

/// A trunk was removed, and its inbound rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrunkRemoved {
    /// Which.
    pub trunk: TrunkId,
}

/// Called digits of a trunk were given to a number (direct inward dialling).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InboundNumberAssigned {
    /// Which trunk.
    pub trunk: TrunkId,
    /// The rule.
    pub rule: Inbound,
}

/// Called digits of a trunk reach nobody any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InboundNumberFreed {
    /// Which trunk.
    pub trunk: TrunkId,
    /// The called digits.
    pub dialled: String,
}

nothing_personal!(TrunkAdded, TrunkRemoved, InboundNumberAssigned, InboundNumberFreed);

impl Evolve for TrunkAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Trunk(self.trunk));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let trunk = Trunk {
            name: self.name.clone(),
            peer: self.peer,
            outbound_prefix: self.outbound_prefix.clone(),
            base_number: self.base_number.clone(),
            at: envelope.position,
            inbound: Vec::new(),
        };
        exchange.trunks.insert(self.trunk, trunk.into());
    }
}

impl Evolve for TrunkRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Trunk(self.trunk));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.trunks.remove(&self.trunk);
    }
}

impl Evolve for InboundNumberAssigned {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Trunk(self.trunk), Subject::Number(self.rule.number)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let rule = Fact::new(self.rule.clone(), envelope.position);
        edit(&mut exchange.trunks, &self.trunk, |trunk| {
            trunk.inbound.retain(|old| old.value.dialled != rule.value.dialled);
            let dialled = rule.value.dialled.as_str();
            let place = trunk.inbound.partition_point(|old| old.value.dialled.as_str() < dialled);
            trunk.inbound.insert(place, rule);
        });
    }
}

impl Evolve for InboundNumberFreed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Trunk(self.trunk));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        edit(&mut exchange.trunks, &self.trunk, |trunk| {
            trunk.inbound.retain(|old| old.value.dialled != self.dialled);
        });
    }
}
