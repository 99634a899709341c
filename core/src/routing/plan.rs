//! The plan: a tree of steps in one list, each with the reasons that made it so.

use crate::call::CallStatus;
use crate::device::Origin;
use crate::forwarding::{Condition, Target};
use crate::id::{DeviceId, ProfileId, ScheduleId, SlotId, TrunkId, UserId};
use crate::number::Number;
use crate::position::{Moment, Position, Seconds};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What to do with a call, from its first step to every end it can have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoutePlan {
    /// T.
    pub at: Moment,
    /// The book position it was decided on.
    pub decided_on: Position,
    /// Where the call comes from; external stays external on every hop.
    pub origin: Origin,
    /// Where to begin.
    pub start: StepIndex,
    /// All steps; branches refer to each other by index, and several may share one.
    pub steps: Vec<Step>,
    /// What an administrator should know (a loop, a cut plan), naming the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl RoutePlan {
    /// A step by its index; a plan that was read from outside may name one that is not there.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> Option<&Step> {
        self.steps.get(index.0)
    }

    /// Can the caller still be answered by more than one phone, now or after a later hop? As long as so, the caller
    /// gets 180 without SDP: one dialog cannot carry the answers of two branches.
    #[must_use]
    pub fn single_leg(&self, index: StepIndex) -> bool {
        match self.step(index) {
            Some(Step::Ring { legs, on_busy, on_no_answer, on_not_available, .. }) => {
                let ends = |branch: &StepIndex| {
                    matches!(self.step(*branch), Some(Step::Refuse { .. } | Step::Voicemail { .. }))
                };
                legs.len() == 1 && [on_busy, on_no_answer, on_not_available].into_iter().all(ends)
            }
            Some(Step::Forward { then, .. }) => self.single_leg(*then),
            // Another trunk may still answer in its place.
            Some(Step::Dial { otherwise, .. }) => otherwise.is_none(),
            _ => false,
        }
    }
}

/// A place in [`RoutePlan::steps`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIndex(pub usize);

/// One device in a ring plan (11e): it rings from `from` to `to` seconds after the step began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leg {
    /// Which device.
    pub device: DeviceId,
    /// Logged in on which slot.
    pub slot: SlotId,
    /// Begins to ring.
    pub from: Seconds,
    /// Stops.
    pub to: Seconds,
    /// It is in a call and rings with the call-waiting tone (11c).
    pub call_waiting: bool,
}

/// The next way out when a trunk fails: every refusal of it counts, and its silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Otherwise {
    /// A trunk that has said nothing at all for so long, not even that it tries, has failed.
    pub silent: Seconds,
    /// What follows.
    pub then: StepIndex,
}

/// One step of the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Ring devices of a user; the first answer wins (11g).
    Ring {
        /// The number that is called.
        number: Number,
        /// Whose it is.
        user: UserId,
        /// Who rings when.
        legs: Vec<Leg>,
        /// End of ringing E (11e).
        until: Seconds,
        /// All legs busy, or the last ringing one rejected.
        on_busy: StepIndex,
        /// Nobody answered by E.
        on_no_answer: StepIndex,
        /// No leg could be reached.
        on_not_available: StepIndex,
        /// Why.
        because: Vec<Reason>,
    },
    /// Go on at another number (3.4).
    Forward {
        /// From this number.
        from: Number,
        /// To this one.
        to: Number,
        /// How the first one ended; none for an always rule.
        status: Option<CallStatus>,
        /// What follows.
        then: StepIndex,
        /// Why.
        because: Vec<Reason>,
    },
    /// Call somebody outside.
    Dial {
        /// Through this trunk.
        trunk: TrunkId,
        /// An emergency call (step 0): no limit and no right stands before it.
        emergency: bool,
        /// The prefix that was dialled before the outside number, to be removed: so many characters.
        strip: usize,
        /// What follows when this trunk does not carry the call; none: the caller is told what the trunk said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<Otherwise>,
        /// Why.
        because: Vec<Reason>,
    },
    /// The owner's voicemail box.
    Voicemail {
        /// Called by this number.
        number: Number,
        /// Whose box.
        user: UserId,
        /// How the call ended before; none for an always rule.
        status: Option<CallStatus>,
        /// Why.
        because: Vec<Reason>,
    },
    /// The end: the caller is told so.
    Refuse {
        /// What he is told.
        outcome: Outcome,
        /// Why.
        because: Vec<Reason>,
    },
}

impl Step {
    /// The reasons of this step.
    #[must_use]
    pub fn because(&self) -> &[Reason] {
        match self {
            Self::Ring { because, .. }
            | Self::Forward { because, .. }
            | Self::Dial { because, .. }
            | Self::Voicemail { because, .. }
            | Self::Refuse { because, .. } => because,
        }
    }
}

/// How a call can end without an answer. Only the SIP adapter knows which status line that is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Busy tone.
    Busy,
    /// Nobody logged in, nothing registered.
    NotAvailable,
    /// Nobody answered.
    NoAnswer,
    /// Nothing is at this number.
    UnknownNumber,
    /// The caller may not call there.
    NotPermitted,
    /// The caller's slot has no number ticked (3.3).
    NoNumberOnSlot,
    /// A forwarding loop, or too many hops or steps (3.4 a).
    Loop,
    /// There is no trunk to carry it.
    NoTrunk,
}

/// One reason: the rule, what it found, and the event that made it so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reason {
    /// Where the rule stands (behaviour.md).
    pub rule: Cow<'static, str>,
    /// What it found.
    #[serde(flatten)]
    pub says: Says,
    /// The event that made it so; none for what is volatile or built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
}

impl Reason {
    pub(crate) const fn new(rule: &'static str, says: Says, at: Option<Position>) -> Self {
        Self { rule: Cow::Borrowed(rule), says, at }
    }
}

/// What a rule found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub enum Says {
    /// 110 or 112.
    Emergency,
    /// The trunk before this one failed: a call for help tries every way out, one after the other.
    NextTrunk {
        /// The one that failed.
        after: TrunkId,
    },
    /// The dialled prefix belongs to this trunk.
    OutboundPrefix {
        /// Which.
        trunk: TrunkId,
    },
    /// The caller has, or lacks, the right to call outside.
    OutboundRight {
        /// Whose right.
        user: Option<UserId>,
        /// Has he?
        granted: bool,
    },
    /// The called digits of a trunk belong to this number.
    Inbound {
        /// Which trunk.
        trunk: TrunkId,
        /// Which number.
        number: Number,
    },
    /// Nothing is at this number.
    UnknownNumber,
    /// The caller's slot has no number.
    NoNumberOnSlot {
        /// Which slot.
        slot: SlotId,
    },
    /// A schedule's window is in force (F-5).
    Schedule {
        /// Which.
        schedule: ScheduleId,
        /// Its profile.
        profile: ProfileId,
        /// Since.
        from: Moment,
        /// Until.
        to: Moment,
    },
    /// The profile set by hand is in force (F-1).
    Manual {
        /// Its profile; none: "no profile" was chosen.
        profile: Option<ProfileId>,
        /// It was chosen inside a window and goes before it (F-5).
        over_schedule: bool,
    },
    /// A rule of the profile matched.
    Rule {
        /// Whose rule.
        profile: ProfileId,
        /// Its row.
        condition: Condition,
        /// Its target.
        target: Target,
    },
    /// Do not disturb.
    DoNotDisturb {
        /// Whose.
        user: UserId,
    },
    /// Busy-if-any is on, and a call over this number is in progress.
    BusyIfAny {
        /// Which number.
        number: Number,
    },
    /// A tick: the number rings on this slot, and this device is logged in there.
    Ticked {
        /// Which slot.
        slot: SlotId,
        /// Which device.
        device: DeviceId,
    },
    /// The device does not ring for calls of this origin (D-2).
    FollowMeOff {
        /// Which device.
        device: DeviceId,
    },
    /// Wait and ring seconds of the device for this origin.
    FollowMe {
        /// Which device.
        device: DeviceId,
        /// Waits.
        wait: Seconds,
        /// Rings.
        ring: Seconds,
    },
    /// The device is not registered.
    NotRegistered {
        /// Which.
        device: DeviceId,
    },
    /// The device is in a call, and call waiting is off for this number.
    InCall {
        /// Which.
        device: DeviceId,
    },
    /// The device is in a call and rings with a tone: call waiting is on for this number.
    CallWaiting {
        /// Which.
        device: DeviceId,
    },
    /// Nobody is logged in on any slot ticked for this number.
    NobodyLoggedIn,
    /// The target is blocked by an administrator, or the owner may not (3.4 b).
    TargetBlocked {
        /// Which.
        target: Number,
    },
    /// The call has been at this number before, or was forwarded too often (3.4 a).
    Loop {
        /// All numbers, in order.
        path: Vec<Number>,
    },
    /// The plan grew too large.
    TooManySteps,
    /// No rule and no action: the rest (step 14).
    NothingElse,
}
