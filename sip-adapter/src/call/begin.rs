//! The caller's INVITE becomes a call.

use super::leg::Leg;
use super::{Call, Cx, Party, Phase};
use crate::wire::{Role, SessionId, Side};
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::id::CallId;
use switchbook_core::routing::caller_id::Shown;
use switchbook_core::routing::plan::RoutePlan;
use switchbook_sip::dialog::{Dialog, DialogError, Stage};
use switchbook_sip::message::Request;
use switchbook_sip::transaction::{Flow, Key};

/// Everything a call begins with.
pub(crate) struct Begin {
    pub id: SessionId,
    pub call: CallId,
    pub key: Key,
    pub flow: Flow,
    pub request: Request,
    pub party: Party,
    pub shown: Shown,
    pub dialled: String,
    pub plan: RoutePlan,
    pub trunk_ring: Duration,
    pub alive_check: Duration,
}

impl Call {
    /// A call whose plan has not been begun yet.
    pub fn new(cx: &mut Cx<'_>, begin: Begin) -> Result<Self, DialogError> {
        let tag = cx.wire.ids.tag();
        let dialog = Dialog::uas(&begin.request, &tag, Stage::Early)?;
        cx.wire.dialogs.insert(tag, (begin.id, Side::A));
        cx.wire.owners.insert(begin.key, (begin.id, Role::Caller));
        let hops = begin.request.max_forwards().ok().flatten().unwrap_or(70).saturating_sub(1);
        Ok(Self {
            id: begin.id,
            call: begin.call,
            phase: Phase::Hunting,
            step: begin.plan.start,
            plan: Arc::new(begin.plan),
            party: begin.party,
            shown: begin.shown,
            dialled: begin.dialled,
            hops,
            a: Leg::new(dialog, begin.flow),
            invite: begin.request,
            invite_key: begin.key,
            invite_answered: false,
            progress: 100,
            branches: Vec::new(),
            b: None,
            steps_taken: 0,
            ring: None,
            dial_until: None,
            silent_until: None,
            trying_until: None,
            trunk_ring: begin.trunk_ring,
            alive_check: begin.alive_check,
            alive_at: None,
            relays: Vec::new(),
            next_relay: 0,
            rang: Vec::new(),
            byes: 0,
            rejected: false,
            ordered: None,
        })
    }

    /// Begins to carry the plan out.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.enter(cx, self.plan.start);
    }

    /// Its name in the book.
    pub fn name(&self) -> CallId {
        self.call
    }

    /// Our tags, to be forgotten with the call.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let own = self.a.dialog.id().local_tag.as_str();
        std::iter::once(own).chain(self.branches.iter().map(|branch| branch.tag.as_str()))
    }
}
