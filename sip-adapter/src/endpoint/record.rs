//! What calls tell the book. Signalling never waits for it; what cannot be written is counted, and the gap is told as
//! soon as writing works again (way 4). Ends are kept meanwhile and told late: a call whose beginning stands in the book
//! must not stay open there.

use super::{Endpoint, Pending};
use crate::port::{Done, Errand, Trouble};
use std::collections::VecDeque;
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
    /// Ends that the book did not take yet; of different calls, so their order does not matter.
    ends: VecDeque<End>,
    /// So many of them are being told.
    late: usize,
}

/// The end of a call, and the event that ordered it, if one did.
#[derive(Clone)]
pub(super) struct End {
    event: Box<Event>,
    cause: Option<Position>,
    /// It may stand in the book already: the outcome of a try was unknown.
    perhaps: bool,
}

/// Whether the book takes writes again is found out by trying: so often.
const AGAIN: Duration = Duration::from_secs(1);
/// Once a late end was taken, so many are told at a time.
const LATE: usize = 256;

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
        let end = matches!(*event, Event::CallEnded(_));
        let end = end.then(|| Box::new(End { event: event.clone(), cause, perhaps: false }));
        let errand = Errand::Record { event, from, cause };
        if full || !self.submit(errand, Pending::Record(end.clone())) {
            return self.not_recorded(end);
        }
        self.recorder.waiting += 1;
    }

    /// Counted, or kept if it is an end.
    fn not_recorded(&mut self, end: Option<Box<End>>) {
        match end.filter(|_| self.recorder.ends.len() < self.config.limits.records) {
            Some(end) => {
                self.recorder.ends.push_back(*end);
                self.recorder.try_at.get_or_insert(self.wire.now.instant + AGAIN);
            }
            None => self.miss(),
        }
    }

    fn miss(&mut self) {
        self.recorder.missed += 1;
        self.recorder.since.get_or_insert(self.wire.now.moment);
        self.wire.metrics.records_missed.add(1);
        self.recorder.try_at.get_or_insert(self.wire.now.instant + AGAIN);
    }

    pub(super) fn recorded(&mut self, outcome: Result<Done, Trouble>, end: Option<Box<End>>) {
        self.recorder.waiting -= 1;
        match outcome {
            Ok(Done { .. }) => self.catch_up(1),
            // Its beginning is not in the book, so there is nothing to end.
            Err(Trouble::Refused { .. }) => self.miss(),
            Err(trouble) => {
                let perhaps = trouble == Trouble::Unknown;
                self.not_recorded(end.map(|end| Box::new(End { perhaps, ..*end })));
            }
        }
    }

    /// What was not written is told when its time has come, whether calls are made or not.
    pub(super) fn gap_due(&mut self) {
        if self.recorder.try_at.is_some_and(|at| at <= self.wire.now.instant) {
            self.recorder.try_at = None;
            self.catch_up(1);
        }
    }

    /// Tells of ends that wait, so many at a time, and of the gap when there are none.
    pub(super) fn catch_up(&mut self, at_a_time: usize) {
        while self.recorder.late < at_a_time
            && let Some(end) = self.recorder.ends.pop_front()
        {
            let End { event, cause, .. } = end.clone();
            let errand = Errand::Record { event, from: None, cause };
            if !self.submit(errand, Pending::LateEnd(Box::new(end.clone()))) {
                self.recorder.ends.push_front(end);
                self.recorder.try_at = Some(self.wire.now.instant + AGAIN);
                return;
            }
            self.recorder.late += 1;
        }
        if self.recorder.late == 0 {
            self.tell_of_gap();
        }
    }

    pub(super) fn late_end_recorded(&mut self, outcome: Result<Done, Trouble>, mut end: End) {
        self.recorder.late -= 1;
        match outcome {
            Ok(Done { .. }) => self.catch_up(LATE),
            Err(Trouble::Refused { .. }) => {
                // Refused since the call has ended: by the try whose outcome was unknown.
                if !end.perhaps {
                    self.miss();
                }
                self.catch_up(LATE);
            }
            Err(trouble) => {
                end.perhaps |= trouble == Trouble::Unknown;
                self.recorder.ends.push_front(end);
                self.recorder.try_at = Some(self.wire.now.instant + AGAIN);
            }
        }
    }

    fn tell_of_gap(&mut self) {
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
        let more = self.recorder.missed > 0 || !self.recorder.ends.is_empty();
        self.recorder.try_at = more.then(|| self.wire.now.instant + AGAIN);
    }
}
