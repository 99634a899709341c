//! From a decision to a commit: sealed, in its envelopes, folded into the private state, waiting for the group.

use super::super::answer::Answer;
use super::super::bulk::Prepared;
use super::super::group::{Reply, Waiting, record};
use super::super::pending::LeaseChange;
use super::{Writer, read_only};
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use std::sync::Arc;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::personal::Personal;
use switchbook_core::position::Moment;
use switchbook_journal::{AppendError, Commit};

/// Events of a list that are taken in before the thread is given away.
const SLICE: usize = 512;

impl Writer {
    /// Seals what is personal, and evolves the private state at once; the commit waits for the group.
    pub(super) fn commit(
        &mut self,
        order: &Order,
        mut events: Vec<Event>,
        now: Moment,
    ) -> Result<Arc<[Recorded]>, AppendError> {
        if events.is_empty() {
            return Ok(Arc::from([]));
        }
        for event in &mut events {
            self.parts.store.seal(event)?;
        }
        // A binding holds its address itself; a refusal of one does not.
        let binds = events.first().is_some_and(Event::is_registration);
        let source = order.source.as_ref().filter(|_| !binds);
        let mut source =
            source.map(|text| Personal::new(self.private.erasures.key_of_month(now), text));
        self.parts.store.seal(&mut source)?;
        let records = record(&mut self.private, order, source.as_ref(), events, now);
        self.next.commits.push(Commit { records: records.clone() });
        Ok(records.into())
    }

    /// The same for a long list that was sealed before. The phones share this thread: between slices it is theirs.
    async fn commit_list(
        &mut self,
        order: &Order,
        events: Vec<Event>,
        now: Moment,
    ) -> Arc<[Recorded]> {
        let mut records = Vec::with_capacity(events.len());
        let mut rest = events.into_iter();
        while !rest.as_slice().is_empty() {
            let slice = rest.by_ref().take(SLICE).collect();
            records.extend(record(&mut self.private, order, None, slice, now));
            tokio::task::yield_now().await;
        }
        if !records.is_empty() {
            self.next.commits.push(Commit { records: records.clone() });
        }
        records.into()
    }

    pub(super) async fn bulk(&mut self, prepared: Prepared, reply: Reply) {
        let now = self.parts.clock.now();
        let Some(reply) = self.seen_before(&prepared.order, reply) else { return };
        let id = prepared.order.id;
        if let Some(why) = &self.stopped {
            let refusal = read_only(why);
            return self.forget_and(id, reply, &refusal);
        }
        if self.private.configuration != prepared.configuration {
            let moved = Refusal::new(RefusalCode::ConfigurationMoved);
            return self.forget_and(id, reply, &moved);
        }
        let records = self.commit_list(&prepared.order, prepared.events, now).await;
        let (command, position) = (id, self.private.position);
        let changes = LeaseChange::of(&[], &records);
        let (leases, warnings) = (Vec::new(), prepared.warnings);
        let answer = Ok(Answer { command, position, records, leases, warnings });
        self.wait(Waiting { command, reply, answer, leases: changes });
    }
}
