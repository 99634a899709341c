//! From step to step of the plan (behaviour.md 3.1 steps 11 and 12, 3.4).

use super::{Call, Cx, Effect, Party, Phase, Target, outcome};
use std::time::{Duration, Instant};
use switchbook_core::call::{CallDiverted, CallEnded, CallOutcome, ReleaseCause};
use switchbook_core::number::Number;
use switchbook_core::position::Position;
use switchbook_core::routing::plan::{Leg as PlannedLeg, Outcome, Step, StepIndex};

/// More steps than any plan has: a plan that runs in circles ends here (checklist 28).
const MOST_STEPS: usize = 128;

/// So often ringing phones are compared with who is logged in there.
const LOOK: Duration = Duration::from_secs(1);

/// How one device, or one contact of it, ended without answering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is in a call.
    Busy,
    /// Its user does not want to.
    Rejected,
    /// It could not be reached.
    Unreachable,
    /// Its ring time was over.
    RangOut,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bell {
    Waiting,
    Ringing,
    Over(Verdict),
}

/// A `Ring` step being carried out.
pub(super) struct Ring {
    number: Number,
    began: Instant,
    until: Instant,
    bells: Vec<(PlannedLeg, Bell)>,
    /// The configuration it was last compared with, and when it is compared again (11f).
    seen: Position,
    look: Instant,
    /// How the last device ended.
    last: Option<Verdict>,
    on_busy: StepIndex,
    on_no_answer: StepIndex,
    on_not_available: StepIndex,
}

impl Ring {
    pub fn deadline(&self) -> Option<Instant> {
        let bells = self.bells.iter().filter_map(|(leg, bell)| match bell {
            Bell::Waiting => Some(self.began + seconds(leg.from.0)),
            Bell::Ringing => Some(self.began + seconds(leg.to.0)),
            Bell::Over(_) => None,
        });
        let rings = self.bells.iter().any(|(_, bell)| *bell == Bell::Ringing);
        bells.chain(rings.then_some(self.look)).chain(std::iter::once(self.until)).min()
    }

    /// How the step ended, once every device has. A ring without devices, all of whose waits are longer than the
    /// ringing, ends with its time and no sooner (11e, 11h).
    fn verdict(&self) -> Option<Verdict> {
        if self.bells.is_empty() {
            return None;
        }
        let mut ends = self.bells.iter().map(|(_, bell)| match bell {
            Bell::Over(verdict) => Some(*verdict),
            Bell::Waiting | Bell::Ringing => None,
        });
        let all: Vec<Verdict> = ends.by_ref().collect::<Option<_>>()?;
        if let Some(last @ (Verdict::Busy | Verdict::Rejected)) = self.last {
            return Some(last);
        }
        let first_of = |wanted: &[Verdict]| all.iter().find(|v| wanted.contains(v)).copied();
        first_of(&[Verdict::RangOut])
            .or_else(|| first_of(&[Verdict::Busy, Verdict::Rejected]))
            .or(Some(Verdict::Unreachable))
    }
}

impl Call {
    /// Takes a step, and those that follow from it at once.
    pub(super) fn enter(&mut self, cx: &mut Cx<'_>, step: StepIndex) {
        let mut next = Some(step);
        while let Some(index) = next {
            self.steps_taken += 1;
            if self.steps_taken > MOST_STEPS {
                return self.refused(cx, Outcome::Loop);
            }
            self.step = index;
            next = self.take(cx, index);
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>, index: StepIndex) -> Option<StepIndex> {
        let plan = self.plan.clone();
        match plan.step(index) {
            None => {
                self.refused(cx, Outcome::NotAvailable);
                None
            }
            Some(Step::Ring {
                number,
                legs,
                until,
                on_busy,
                on_no_answer,
                on_not_available,
                ..
            }) => {
                let began = cx.wire.now.instant;
                self.ring = Some(Ring {
                    number: *number,
                    began,
                    until: began + seconds(until.0),
                    bells: legs.iter().map(|leg| (leg.clone(), Bell::Waiting)).collect(),
                    seen: cx.places.configuration(),
                    look: began + LOOK,
                    last: None,
                    on_busy: *on_busy,
                    on_no_answer: *on_no_answer,
                    on_not_available: *on_not_available,
                });
                self.start_bells(cx);
                self.ring_over(cx)
            }
            Some(Step::Forward { from, to, status, then, .. }) => {
                let diverted =
                    CallDiverted { call: self.call, from: *from, to: *to, status: *status };
                cx.effects.push(Effect::Record(Box::new(diverted.into())));
                Some(*then)
            }
            Some(Step::Dial { trunk, emergency, strip, otherwise, .. }) => {
                let (trunk, strip) = (*trunk, *strip);
                let Some(peer) = cx.places.trunk(trunk) else {
                    return self.no_way_out(cx, Outcome::NoTrunk);
                };
                let digits = self.dialled.get(strip..).unwrap_or_default().to_owned();
                let shown = match self.party {
                    Party::Device(device) if *emergency => cx.places.shown_for_help(device, trunk),
                    Party::Device(device) => cx.places.shown_outside(device, trunk),
                    Party::Trunk(_) => self.shown.clone(),
                };
                let host = peer.to_string();
                let user = switchbook_sip::message::escape_user(&digits);
                let target = Target { uri: format!("sip:{user}@{host}"), remote: peer };
                if !self.invite_out(cx, None, None, &target, &shown, &user, Some(&host)) {
                    return self.no_way_out(cx, Outcome::NoTrunk);
                }
                // Nobody hangs up on a call for help.
                let patience = self.trunk_ring * if *emergency { 10 } else { 1 };
                let now = cx.wire.now.instant;
                self.dial_until = Some(now + patience);
                self.silent_until = otherwise.map(|next| now + seconds(next.silent.0));
                self.trying_until = otherwise.map(|next| now + seconds(next.silent.0) + TRYING);
                None
            }
            // The box answers when there is sound to play; until then the caller is told that nobody is there.
            Some(Step::Voicemail { .. }) => {
                self.refused(cx, Outcome::NotAvailable);
                None
            }
            Some(Step::Refuse { outcome, .. }) => {
                self.refused(cx, *outcome);
                None
            }
        }
    }

    /// Rings every device whose wait is over.
    fn start_bells(&mut self, cx: &mut Cx<'_>) {
        let now = cx.wire.now.instant;
        for place in 0..self.ring.as_ref().map_or(0, |ring| ring.bells.len()) {
            let Some(ring) = &mut self.ring else { return };
            let (began, number) = (ring.began, ring.number);
            let Some((leg, bell)) = ring.bells.get_mut(place) else { return };
            if *bell != Bell::Waiting || now < began + seconds(leg.from.0) {
                continue;
            }
            *bell = Bell::Ringing;
            let device = leg.device;
            if cx.places.login(device) != Some(leg.slot) {
                self.bell_over(place, Verdict::Unreachable);
                continue;
            }
            let mut rings = false;
            let shown = self.shown.clone();
            for target in cx.places.contacts(device) {
                let user = number.to_string();
                let at = Some((place, device));
                rings |= self.invite_out(cx, at, Some(number), &target, &shown, &user, None);
            }
            if !rings {
                self.bell_over(place, Verdict::Unreachable);
            }
        }
    }

    /// A phone that was logged off, or taken over by somebody else, rings no more (11f).
    fn stop_logged_off(&mut self, cx: &mut Cx<'_>) {
        let Some(ring) = &mut self.ring else { return };
        ring.look = cx.wire.now.instant + LOOK;
        if std::mem::replace(&mut ring.seen, cx.places.configuration()) == ring.seen {
            return;
        }
        let left = |(leg, bell): &(PlannedLeg, Bell)| {
            *bell == Bell::Ringing && cx.places.login(leg.device) != Some(leg.slot)
        };
        let bells = ring.bells.iter().enumerate();
        let gone: Vec<usize> =
            bells.filter(|(_, bell)| left(bell)).map(|(place, _)| place).collect();
        for place in gone {
            self.cancel_branches(cx, |branch| branch.place == Some(place), None);
            self.bell_over(place, Verdict::Unreachable);
        }
    }

    /// One device is done; a device in several places is done when its last contact is.
    pub(super) fn bell_over(&mut self, place: usize, verdict: Verdict) {
        let Some(ring) = &mut self.ring else { return };
        if let Some((_, bell)) = ring.bells.get_mut(place)
            && !matches!(bell, Bell::Over(_))
        {
            *bell = Bell::Over(verdict);
            if matches!(verdict, Verdict::Busy | Verdict::Rejected | Verdict::RangOut) {
                ring.last = Some(verdict);
            }
        }
    }

    /// The step after the ringing, once every device has ended.
    pub(super) fn ring_over(&mut self, cx: &mut Cx<'_>) -> Option<StepIndex> {
        if self.phase != Phase::Hunting {
            return None;
        }
        let ring = self.ring.as_ref()?;
        let verdict = ring.verdict()?;
        let next = match verdict {
            Verdict::Busy | Verdict::Rejected => ring.on_busy,
            Verdict::RangOut => ring.on_no_answer,
            Verdict::Unreachable => ring.on_not_available,
        };
        self.leave_ring(cx, verdict);
        Some(next)
    }

    fn leave_ring(&mut self, cx: &mut Cx<'_>, verdict: Verdict) {
        self.rejected = verdict == Verdict::Rejected;
        self.cancel_branches(cx, |_| true, None);
        self.ring = None;
    }

    pub(super) fn ring_timer(&mut self, cx: &mut Cx<'_>) {
        let now = cx.wire.now.instant;
        let Some(ring) = &self.ring else { return };
        if self.phase != Phase::Hunting {
            return;
        }
        if ring.until <= now {
            let next = ring.on_no_answer;
            self.leave_ring(cx, Verdict::RangOut);
            return self.enter(cx, next);
        }
        let rung_out: Vec<usize> = ring
            .bells
            .iter()
            .enumerate()
            .filter(|(_, (leg, bell))| {
                *bell == Bell::Ringing && ring.began + seconds(leg.to.0) <= now
            })
            .map(|(place, _)| place)
            .collect();
        for place in rung_out {
            self.cancel_branches(cx, |branch| branch.place == Some(place), None);
            self.bell_over(place, Verdict::RangOut);
        }
        self.stop_logged_off(cx);
        self.start_bells(cx);
        if let Some(next) = self.ring_over(cx) {
            self.enter(cx, next);
        }
    }

    /// A trunk does not carry the call: the step that follows, or the end.
    pub(super) fn no_way_out(&mut self, cx: &mut Cx<'_>, outcome: Outcome) -> Option<StepIndex> {
        (self.dial_until, self.silent_until) = (None, None);
        let otherwise = match self.plan.step(self.step) {
            Some(Step::Dial { otherwise, .. }) => *otherwise,
            _ => None,
        };
        if otherwise.is_none() {
            self.refused(cx, outcome);
        }
        otherwise.map(|next| next.then)
    }

    /// A trunk has not said a word: the next one is tried, and an answer that comes all the same is turned away.
    pub(super) fn dial_silent(&mut self, cx: &mut Cx<'_>) {
        self.cancel_branches(cx, |_| true, None);
        if let Some(next) = self.no_way_out(cx, Outcome::NotAvailable) {
            self.enter(cx, next);
        }
    }

    pub(super) fn dial_unanswered(&mut self, cx: &mut Cx<'_>) {
        self.cancel_branches(cx, |_| true, None);
        if let Some(next) = self.no_way_out(cx, Outcome::NoAnswer) {
            self.enter(cx, next);
        }
    }

    /// The caller is told how it ended, and the call with it.
    pub(super) fn refused(&mut self, cx: &mut Cx<'_>, outcome: Outcome) {
        let told = outcome::told(outcome, self.rejected);
        self.answer_caller(cx, told.status, told.phrase, Some(told.reason));
        self.ended(cx, told.recorded, told.status);
    }

    /// The end of the call for the book, with the status that told the caller (0: a BYE did); whatever is still under
    /// way winds down by itself.
    pub(super) fn ended(&mut self, cx: &mut Cx<'_>, outcome: CallOutcome, status: u16) {
        if self.phase == Phase::Ending {
            return;
        }
        if self.phase == Phase::Hunting {
            cx.wire.metrics.calls_failed.add(1);
        }
        self.phase = Phase::Ending;
        self.ring = None;
        (self.dial_until, self.silent_until) = (None, None);
        self.alive_at = None;
        let rang = std::mem::take(&mut self.rang);
        let ended_at = cx.wire.now.moment;
        let cause = match self.ordered {
            Some(_) => ReleaseCause::NORMAL_UNSPECIFIED,
            None => outcome::cause(outcome, status),
        };
        let ended = CallEnded { call: self.call, outcome, ended_at, cause, rang };
        cx.effects.push(Effect::Ended(Box::new(ended.into()), self.ordered));
        cx.effects.push(Effect::Free);
    }
}

/// So much longer a trunk may be silent that has said 100: setting a call up through the network takes its time.
const TRYING: Duration = Duration::from_secs(20);

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
