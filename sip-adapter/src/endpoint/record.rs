//! What calls tell the book. Signalling never waits for it; what cannot be written is counted, and the gap is told as
//! soon as writing works again (way 4).

use super::{Endpoint, Pending};
use crate::port::Errand;
use switchbook_core::call::CallRecordsMissed;
use switchbook_core::event::Event;
use switchbook_core::position::Moment;
use switchbook_sip::transaction::Flow;

/// The gap, if there is one.
#[derive(Default)]
pub(super) struct Recorder {
    waiting: usize,
    missed: u64,
    since: Option<Moment>,
    /// What the errand that tells of the gap says of it.
    telling: Option<(u64, Moment)>,
}

impl Endpoint {
    /// What became of a call.
    pub(super) fn record(&mut self, event: Box<Event>) {
        self.record_errand(event, None);
    }

    /// A call was placed, from there.
    pub(super) fn record_from(&mut self, event: Box<Event>, from: Flow) {
        self.record_errand(event, Some(from));
    }

    fn record_errand(&mut self, event: Box<Event>, from: Option<Flow>) {
        let full = self.recorder.waiting >= self.config.limits.records;
        if full || !self.submit(Errand::Record { event, from }, Pending::Record) {
            return self.miss();
        }
        self.recorder.waiting += 1;
    }

    fn miss(&mut self) {
        self.recorder.missed += 1;
        self.recorder.since.get_or_insert(self.wire.now.moment);
        self.wire.metrics.records_missed.add(1);
    }

    pub(super) fn recorded(&mut self, written: bool) {
        self.recorder.waiting -= 1;
        if !written {
            return self.miss();
        }
        let Some(from) = self.recorder.since.filter(|_| self.recorder.telling.is_none()) else {
            return;
        };
        let records = self.recorder.missed;
        let gap = CallRecordsMissed { from, until: self.wire.now.moment, records };
        if self.submit(
            Errand::Record { event: Box::new(gap.into()), from: None },
            Pending::RecordsMissed,
        ) {
            self.recorder.telling = Some((records, self.wire.now.moment));
        }
    }

    pub(super) fn missed_recorded(&mut self, written: bool) {
        let Some((told, until)) = self.recorder.telling.take().filter(|_| written) else { return };
        self.recorder.missed -= told.min(self.recorder.missed);
        self.recorder.since = (self.recorder.missed > 0).then_some(until);
    }
}
