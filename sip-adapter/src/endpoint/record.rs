//! What calls tell the book. Signalling never waits for it; what cannot be written is counted, and the gap is told as
//! soon as writing works again (way 4).

use super::{Endpoint, Pending};
use crate::port::Errand;
use std::time::{Duration, Instant};
use switchbook_core::call::CallRecordsMissed;
use switchbook_core::event::Event;
use switchbook_core::position::{Moment, Position};
use switchbook_sip::transaction::Flow;

/// The gap, if there is one.
#[derive(Default)]
pub(super) struct Recorder {
    waiting: usize,
    missed: u64,
    since: Option<Moment>,
    /// What the errand that tells of the gap says of it.
    telling: Option<(u64, Moment)>,
    /// When it is tried again to tell of it.
    try_at: Option<Instant>,
}

/// Whether the book takes writes again is found out by trying: so often.
const AGAIN: Duration = Duration::from_secs(1);

impl Recorder {
    pub fn deadline(&self) -> Option<Instant> {
        self.try_at
    }
}

impl Endpoint {
    /// What became of a call.
    pub(super) fn record(&mut self, event: Box<Event>) {
        self.record_errand(event, None, None);
    }

    /// A call was placed, from there.
    pub(super) fn record_from(&mut self, event: Box<Event>, from: Flow) {
        self.record_errand(event, Some(from), None);
    }

    /// A call ended, as the event at `cause` ordered, if one did.
    pub(super) fn record_end(&mut self, event: Box<Event>, cause: Option<Position>) {
        self.record_errand(event, None, cause);
    }

    fn record_errand(&mut self, event: Box<Event>, from: Option<Flow>, cause: Option<Position>) {
        let full = self.recorder.waiting >= self.config.limits.records;
        if full || !self.submit(Errand::Record { event, from, cause }, Pending::Record) {
            return self.miss();
        }
        self.recorder.waiting += 1;
    }

    fn miss(&mut self) {
        self.recorder.missed += 1;
        self.recorder.since.get_or_insert(self.wire.now.moment);
        self.wire.metrics.records_missed.add(1);
        self.recorder.try_at.get_or_insert(self.wire.now.instant + AGAIN);
    }

    pub(super) fn recorded(&mut self, written: bool) {
        self.recorder.waiting -= 1;
        if !written {
            return self.miss();
        }
        self.tell_of_gap();
    }

    /// The gap is told when its time has come, whether calls are made or not.
    pub(super) fn gap_due(&mut self) {
        if self.recorder.try_at.is_some_and(|at| at <= self.wire.now.instant) {
            self.recorder.try_at = None;
            self.tell_of_gap();
        }
    }

    pub(super) fn tell_of_gap(&mut self) {
        let Some(from) = self.recorder.since.filter(|_| self.recorder.telling.is_none()) else {
            return;
        };
        let records = self.recorder.missed;
        let gap = CallRecordsMissed { from, until: self.wire.now.moment, records };
        let errand = Errand::Record { event: Box::new(gap.into()), from: None, cause: None };
        if self.submit(errand, Pending::RecordsMissed) {
            self.recorder.telling = Some((records, self.wire.now.moment));
            self.recorder.try_at = None;
        } else {
            self.recorder.try_at = Some(self.wire.now.instant + AGAIN);
        }
    }

    pub(super) fn missed_recorded(&mut self, written: bool) {
        let Some((told, until)) = self.recorder.telling.take() else { return };
        if written {
            self.recorder.missed -= told.min(self.recorder.missed);
            self.recorder.since = (self.recorder.missed > 0).then_some(until);
        }
        let more = self.recorder.missed > 0;
        self.recorder.try_at = more.then(|| self.wire.now.instant + AGAIN);
    }
}
