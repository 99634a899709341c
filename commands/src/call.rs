//! Calls: ending one from outside it, and what the phones' room tells about them: that happened, so nothing here forbids
//! it (architecture.md way 4).

use crate::command::Decide;
use crate::draft::Draft;
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::CallRef;
use serde::Deserialize;
use switchbook_core::call::{
    CallAnswered, CallDiverted, CallEnded, CallLost, CallPlaced, CallRecordsMissed, Caller,
    HangUpOrdered,
};
use switchbook_core::envelope::Subject;
use switchbook_core::id::{CallId, DeviceId};

/// Has a call in progress ended from outside it. The phones' room carries it out once this stands in the book.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HangUp {
    /// Which.
    pub call: CallRef,
}

impl Decide for HangUp {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let call = lookup::open_call(draft.exchange(), &self.call)?;
        draft.tell_last(HangUpOrdered { call });
        Ok(())
    }
}

/// Records what happened to a call.
#[derive(Clone, Debug)]
pub struct Record {
    /// In order.
    pub entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It began.
    Placed(Box<CallPlaced>),
    /// Somebody answered.
    Answered(CallAnswered),
    /// It went on to another number.
    Diverted(CallDiverted),
    /// It ended.
    Ended(CallEnded),
    /// It was open when the server stopped without notice.
    Lost(CallLost),
    /// Records that could not be made while the book could not be written.
    Missed(CallRecordsMissed),
}

impl Record {
    /// The phone that placed the call, if these entries tell of that.
    pub(crate) fn caller(&self) -> Option<DeviceId> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Placed(placed) => match placed.caller {
                Caller::Device { device, .. } => Some(device),
                Caller::Trunk { .. } => None,
            },
            _ => None,
        })
    }
}

impl Decide for Record {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let mut open: Vec<CallId> = Vec::new();
        for entry in &self.entries {
            let is_open = |call: &CallId| {
                open.contains(call) || draft.exchange().open_calls.contains_key(call)
            };
            let known = |call: &CallId| {
                let unknown = Refusal::new(RefusalCode::CallUnknown);
                if is_open(call) { Ok(()) } else { Err(unknown.about(Subject::Call(*call))) }
            };
            match entry {
                // Told twice after an unknown outcome: the first one counts.
                Entry::Placed(placed) if is_open(&placed.call) => {}
                Entry::Placed(placed) => {
                    open.push(placed.call);
                    draft.tell_last(CallPlaced::clone(placed));
                }
                Entry::Answered(answered) => {
                    known(&answered.call)?;
                    draft.tell_last(answered.clone());
                }
                Entry::Diverted(diverted) => {
                    known(&diverted.call)?;
                    draft.tell_last(diverted.clone());
                }
                Entry::Ended(ended) => {
                    known(&ended.call)?;
                    draft.tell_last(ended.clone());
                }
                Entry::Lost(lost) => {
                    known(&lost.call)?;
                    draft.tell_last(lost.clone());
                }
                Entry::Missed(missed) => draft.tell_last(missed.clone()),
            }
        }
        Ok(())
    }
}
