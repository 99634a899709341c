//! Forwarding hops: always rules, rules for how a call ended, loops (steps 8, 12, 14 and 3.4).

use super::plan::{Outcome, Reason, Says, Step, StepIndex};
use super::profile::InForce;
use super::{MOST_HOPS, Router};
use crate::call::CallStatus;
use crate::device::Origin;
use crate::forwarding::{Condition, ForwardingRule, Target};
use crate::number::Number;

impl Router<'_> {
    /// Step 8: the always rule, tested before DND so that DND does not disable a forwarding.
    pub(super) fn always(
        &mut self,
        number: Number,
        origin: Origin,
        path: &[Number],
        in_force: &InForce,
        because: &mut Vec<Reason>,
    ) -> Option<StepIndex> {
        let (rule, reason) = matching(in_force, Condition::Always.kind(), origin)?;
        let mut because = std::mem::take(because);
        because.push(reason);
        Some(self.follow(number, origin, path, rule, None, because))
    }

    /// Steps 12 to 14: the rule for how the call ended at this number, else the rest.
    pub(super) fn ended(
        &mut self,
        number: Number,
        origin: Origin,
        path: &[Number],
        in_force: &InForce,
        outcome: Outcome,
        mut because: Vec<Reason>,
    ) -> StepIndex {
        let (status, kind) = match outcome {
            Outcome::Busy => (CallStatus::Busy, Condition::Busy.kind()),
            Outcome::NotAvailable => (CallStatus::NotAvailable, Condition::LoggedOff.kind()),
            // `NoAnswer`'s seconds do not matter for its place in the table.
            _ => (CallStatus::NoAnswer, 3),
        };
        if let Some((rule, reason)) = matching(in_force, kind, origin) {
            because.push(reason);
            return self.follow(number, origin, path, rule, Some(status), because);
        }
        because.push(Reason::new("3.1 step 14", Says::NothingElse, None));
        self.refuse(outcome, because)
    }

    /// 3.4: one hop.
    fn follow(
        &mut self,
        number: Number,
        origin: Origin,
        path: &[Number],
        rule: ForwardingRule,
        status: Option<CallStatus>,
        mut because: Vec<Reason>,
    ) -> StepIndex {
        let to = match rule.target {
            Target::Number(to) => to,
            Target::Voicemail => {
                let Some(user) = self.owner(number) else {
                    return self.refuse(Outcome::UnknownNumber, because);
                };
                return self.push(Step::Voicemail { number, user, status, because });
            }
        };
        let mut path: Vec<Number> = path.to_vec();
        path.push(number);
        if path.contains(&to) || path.len() > MOST_HOPS {
            path.push(to);
            let named: Vec<&str> = path.iter().map(Number::as_str).collect();
            self.warnings.push(format!("forwarding loop: {}", named.join(" → ")));
            because.push(Reason::new("3.4 a", Says::Loop { path }, None));
            return self.refuse(given_up(status, Outcome::Loop), because);
        }
        let blocked = self.input.exchange.settings.as_ref().and_then(|s| s.blocks(to));
        if let Some(at) = blocked {
            because.push(Reason::new("3.4 b", Says::TargetBlocked { target: to }, Some(at)));
            return self.refuse(given_up(status, Outcome::NotAvailable), because);
        }
        let then = self.hop(to, origin, &path);
        self.push(Step::Forward { from: number, to, status, then, because })
    }
}

impl Router<'_> {
    /// The steps at the next number; branches that take the same way share them.
    fn hop(&mut self, to: Number, origin: Origin, path: &[Number]) -> StepIndex {
        let known = self.hops.iter().find(|(way, next, _)| way == path && *next == to);
        if let Some((.., step)) = known {
            return *step;
        }
        let step = self.number(to, origin, path, Vec::new());
        self.hops.push((path.to_vec(), to, step));
        step
    }
}

/// A hop that fails ends the call as it ended before the hop (3.4 a, b: on at step 13).
fn given_up(status: Option<CallStatus>, without: Outcome) -> Outcome {
    match status {
        Some(CallStatus::Busy | CallStatus::Rejected) => Outcome::Busy,
        Some(CallStatus::NoAnswer) => Outcome::NoAnswer,
        Some(CallStatus::NotAvailable) => Outcome::NotAvailable,
        None => without,
    }
}

fn matching(in_force: &InForce, kind: u8, origin: Origin) -> Option<(ForwardingRule, Reason)> {
    let (id, profile) = in_force.profile.as_ref()?;
    let rule = profile.rule(kind, origin)?;
    let says = Says::Rule { profile: *id, condition: rule.condition, target: rule.target };
    let step = if kind == Condition::Always.kind() { "3.1 step 8" } else { "3.1 step 12" };
    Some((rule, Reason::new(step, says, Some(profile.rules.at))))
}
