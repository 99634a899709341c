//! Commands about forwarding profiles: the tables themselves (behaviour.md 1.8, F-7, F-8).

use crate::command::Decide;
use crate::draft::{Confirm, Draft};
use crate::form::text;
use crate::lookup;
use crate::loops;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{ProfileRef, UserRef};
use serde::de::{Deserialize, Deserializer, Error as _};
use switchbook_core::device::Origin;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::{
    Condition, ForwardingRule, ProfileAdded, ProfileDeactivated, ProfileDeleted, ProfileRenamed,
    ProfileRulesSet, Reach, Target,
};
use switchbook_core::id::{ProfileId, UserId};
use switchbook_core::number::Number;
use switchbook_core::permission::Permission;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::Seconds;
use switchbook_core::routing::outbound::EMERGENCY;
use switchbook_core::schedule::ScheduleRemoved;

/// A rule as people write it: `{"when":"no-answer","after":25,"from":"external","to":"400"}`. Without `from` it
/// counts for internal and external calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// When it applies.
    pub when: Condition,
    /// The column; none for both.
    pub from: Option<Origin>,
    /// Where the call goes.
    pub to: Target,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            when: String,
            #[serde(default)]
            after: Option<u32>,
            #[serde(default)]
            from: Option<String>,
            to: String,
        }
        let written = Written::deserialize(deserializer)?;
        let when = match (written.when.as_str(), written.after) {
            ("always", None) => Condition::Always,
            ("busy", None) => Condition::Busy,
            ("logged-off", None) => Condition::LoggedOff,
            ("no-answer", Some(after @ 1..=3600)) => Condition::NoAnswer { after: Seconds(after) },
            ("no-answer", _) => {
                return Err(D::Error::custom("`no-answer` needs `after`: 1 to 3600 seconds"));
            }
            ("always" | "busy" | "logged-off", Some(_)) => {
                return Err(D::Error::custom("`after` goes with `no-answer` only"));
            }
            (other, _) => {
                return Err(D::Error::custom(format!(
                    "`{other}` is no condition: it is one of always, logged-off, busy, no-answer"
                )));
            }
        };
        let from = match written.from.as_deref() {
            None | Some("any") => None,
            Some("internal") => Some(Origin::Internal),
            Some("external") => Some(Origin::External),
            Some(other) => {
                return Err(D::Error::custom(format!(
                    "`{other}` is no column: it is one of internal, external, any"
                )));
            }
        };
        let to = match written.to.as_str() {
            "voicemail" => Target::Voicemail,
            digits => Target::Number(digits.parse().map_err(|_| {
                D::Error::custom(format!("`{digits}` is no target: a number, or voicemail"))
            })?),
        };
        Ok(Self { when, from, to })
    }
}

/// The table: at most one rule a cell.
fn table(rules: &[Rule]) -> Result<Vec<ForwardingRule>, Refusal> {
    let mut table: Vec<ForwardingRule> = Vec::new();
    for rule in rules {
        let both = [Origin::Internal, Origin::External];
        for origin in both.into_iter().filter(|origin| rule.from.is_none_or(|o| o == *origin)) {
            let cell = ForwardingRule { condition: rule.when, origin, target: rule.to };
            let same = |old: &ForwardingRule| {
                old.condition.kind() == rule.when.kind() && old.origin == origin
            };
            if table.iter().any(same) {
                return Err(Refusal::new(RefusalCode::RuleTwice)
                    .with("condition", rule.when.word())
                    .with("origin", origin));
            }
            table.push(cell);
        }
    }
    Ok(table)
}

/// F-8: every target is allowed for this owner.
fn check_targets(
    draft: &mut Draft<'_, '_>,
    owner: UserId,
    rules: &[ForwardingRule],
) -> Result<(), Refusal> {
    let mut targets: Vec<Number> = rules
        .iter()
        .filter_map(|rule| match rule.target {
            Target::Number(number) => Some(number),
            Target::Voicemail => None,
        })
        .collect();
    targets.sort_unstable();
    targets.dedup();
    for number in targets {
        check_target(draft.exchange(), owner, number)?;
        let inside = crate::number::owner_of(draft.exchange(), number).is_some();
        if !inside && !is_outside(draft.exchange(), number) {
            draft.warn(Warning::new(WarningCode::TargetUnknown).with("number", number));
        }
    }
    Ok(())
}

fn check_target(exchange: &Exchange, owner: UserId, number: Number) -> Result<(), Refusal> {
    let refuse =
        |code: RefusalCode| Refusal::new(code).with("number", number).about(Subject::User(owner));
    if EMERGENCY.contains(&number.as_str()) {
        return Err(refuse(RefusalCode::TargetBlocked).with("why", "it is an emergency number"));
    }
    let blocked = exchange.settings.as_ref().and_then(|settings| settings.blocks(number));
    if blocked.is_some() {
        return Err(refuse(RefusalCode::TargetBlocked).with("why", "an administrator blocked it"));
    }
    if is_outside(exchange, number) && exchange.holds(owner, Permission::Outbound).is_none() {
        return Err(refuse(RefusalCode::TargetNotPermitted)
            .with("user", lookup::user_name(exchange, owner)));
    }
    Ok(())
}

/// Would a call to these digits leave through a trunk? Internal numbers go first (3.1 step 2).
fn is_outside(exchange: &Exchange, number: Number) -> bool {
    let prefixed =
        |prefix: &str| number.as_str().len() > prefix.len() && number.as_str().starts_with(prefix);
    !exchange.numbers.contains_key(&number)
        && exchange.trunks.values().any(|trunk| prefixed(&trunk.outbound_prefix))
}

/// Adds a profile; it is set nowhere.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Whose.
    pub user: UserRef,
    /// What he calls it: unique among his.
    pub name: String,
    /// The table.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let owner = lookup::user(draft.exchange(), &self.user)?;
        let name = free_name(draft.exchange(), owner, &self.name)?.to_owned();
        let rules = table(&self.rules)?;
        check_targets(draft, owner, &rules)?;
        let profile = ProfileId(draft.new_id());
        let name = Personal::new(KeyId::Person(owner), &name);
        draft.tell_last(ProfileAdded { profile, owner, name, rules });
        Ok(())
    }
}

fn free_name<'n>(exchange: &Exchange, owner: UserId, given: &'n str) -> Result<&'n str, Refusal> {
    let name = text(given, "name")?;
    if lookup::profile_of(exchange, owner, name).is_some() {
        return Err(Refusal::new(RefusalCode::ProfileNameTaken)
            .with("user", lookup::user_name(exchange, owner))
            .with("name", name));
    }
    Ok(name)
}

/// Replaces a profile's table, wherever it is set (F-8).
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Which.
    pub profile: ProfileRef,
    /// The table from now on.
    pub rules: Vec<Rule>,
}

impl Decide for Rules {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let profile = lookup::profile(draft.exchange(), &self.profile)?;
        let state = lookup::profile_state(draft.exchange(), profile)?.clone();
        let rules = table(&self.rules)?;
        if state.rules.value == rules {
            return Ok(());
        }
        check_targets(draft, state.owner, &rules)?;
        draft.tell(ProfileRulesSet { profile, rules });
        for number in loops::numbers_using(draft.exchange(), profile, draft.now()) {
            loops::check(draft.exchange(), number, draft.now())?;
        }
        Ok(())
    }
}

/// Renames a profile.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Which.
    pub profile: ProfileRef,
    /// From now on.
    pub name: String,
}

impl Decide for Rename {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let profile = lookup::profile(draft.exchange(), &self.profile)?;
        let state = lookup::profile_state(draft.exchange(), profile)?;
        if state.name.value.known() == Some(self.name.trim()) {
            return Ok(());
        }
        let name = free_name(draft.exchange(), state.owner, &self.name)?;
        let name = Personal::new(KeyId::Person(state.owner), name);
        draft.tell_last(ProfileRenamed { profile, name });
        Ok(())
    }
}

/// Deletes a profile; where it is set it is unset first, if that is confirmed (F-7).
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Which.
    pub profile: ProfileRef,
    /// Unset it everywhere, and remove its schedules.
    #[serde(default)]
    pub confirm: Confirm,
}

impl Decide for Delete {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let before = draft.exchange().clone();
        let profile = lookup::profile(&before, &self.profile)?;
        let owner = lookup::profile_state(&before, profile)?.owner;
        let numbers = &lookup::user_state(&before, owner)?.numbers;
        let mut used = Vec::new();
        for &number in numbers {
            let state = lookup::number(&before, number)?;
            if state.manual.is_some_and(|choice| choice.value.profile == Some(profile)) {
                used.push(number.to_string());
                draft.tell(ProfileDeactivated { number, reach: Reach::UnderSchedules });
            }
            for &schedule in &state.schedules {
                let by = before.schedules.get(&schedule).is_some_and(|s| s.profile == profile);
                if by {
                    used.push(format!("{number} ({schedule})"));
                    draft.tell(ScheduleRemoved { schedule, number });
                }
            }
        }
        if !used.is_empty() && self.confirm == Confirm::No {
            return Err(Refusal::new(RefusalCode::ProfileInUse)
                .with("by", used.join(", "))
                .about(Subject::Profile(profile)));
        }
        draft.tell(ProfileDeleted { profile, owner });
        Ok(())
    }
}
