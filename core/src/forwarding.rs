//! Forwarding profiles (Rufumleitungsprofile): condition × origin → target (behaviour.md 1.8, F-*).

use crate::device::Origin;
use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal, personal_fields};
use crate::exchange::{Exchange, add, edit};
use crate::fact::Fact;
use crate::id::{ProfileId, UserId};
use crate::number::Number;
use crate::personal::Personal;
use crate::position::{Moment, Position, Seconds};
use serde::{Deserialize, Serialize};

/// When a rule applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// At once, before any device rings (sofort); tested before DND (step 8).
    Always,
    /// Nobody logged in or nothing registered (abgemeldet): status NOT_AVAILABLE.
    LoggedOff,
    /// Status BUSY, do-not-disturb and rejection included.
    Busy,
    /// Nobody answered within so many seconds (keine Antwort nach … Sekunden).
    NoAnswer {
        /// Rings no longer than this (11e).
        after: Seconds,
    },
}

impl Condition {
    /// Two conditions of the same kind stand in the same cell of the table, whatever their seconds.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::Always => 0,
            Self::LoggedOff => 1,
            Self::Busy => 2,
            Self::NoAnswer { .. } => 3,
        }
    }

    /// The word used in commands and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::LoggedOff => "logged-off",
            Self::Busy => "busy",
            Self::NoAnswer { .. } => "no-answer",
        }
    }
}

/// Where a rule sends the call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Target {
    /// Another number of this exchange (3.4 c).
    Number(Number),
    /// The owner's voicemail box.
    Voicemail,
}

/// One cell of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ForwardingRule {
    /// Row.
    pub condition: Condition,
    /// Column: internal or external.
    pub origin: Origin,
    /// What happens.
    pub target: Target,
}

/// A profile as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// Whose; usable on any of his numbers and on nobody else's (F-2).
    pub owner: UserId,
    /// What he calls it.
    pub name: Fact<Personal>,
    /// The table, at most one rule a cell.
    pub rules: Fact<Vec<ForwardingRule>>,
}

impl Profile {
    /// The rule of a cell. Calls of a team are no column of a personal profile.
    #[must_use]
    pub fn rule(&self, kind: u8, origin: Origin) -> Option<ForwardingRule> {
        let hit = |rule: &&ForwardingRule| rule.condition.kind() == kind && rule.origin == origin;
        self.rules.value.iter().find(hit).copied()
    }
}

/// How far a choice made by hand reaches over schedules (F-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reach {
    /// Schedules go before it, as usual.
    UnderSchedules,
    /// It was made inside a window and holds against schedules until that window ends.
    UntilWindowEnds(Moment),
    /// It holds against schedules until the next choice by hand.
    UntilFurtherNotice,
}

/// The profile chosen by hand for a number, or the choice of none (F-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManualChoice {
    /// The profile, or "no profile".
    pub profile: Option<ProfileId>,
    /// How far it reaches.
    pub reach: Reach,
}

/// A profile was added; it is set nowhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileAdded {
    /// Its id.
    pub profile: ProfileId,
    /// Whose.
    pub owner: UserId,
    /// What he calls it.
    pub name: Personal,
    /// The table.
    pub rules: Vec<ForwardingRule>,
}

/// A profile's table was replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileRulesSet {
    /// Which.
    pub profile: ProfileId,
    /// The table from now on.
    pub rules: Vec<ForwardingRule>,
}

/// A profile was renamed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileRenamed {
    /// Which.
    pub profile: ProfileId,
    /// From now on.
    pub name: Personal,
}

/// A profile was deleted; where it was set, it had been unset before, by events of their own (F-7).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileDeleted {
    /// Which.
    pub profile: ProfileId,
    /// Whose it was.
    pub owner: UserId,
}

/// A profile was set for a number by hand (F-1, X-22).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileActivated {
    /// The number.
    pub number: Number,
    /// The profile.
    pub profile: ProfileId,
    /// How far the choice reaches over schedules.
    pub reach: Reach,
}

/// "No profile" was chosen for a number by hand (F-1, X-22).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProfileDeactivated {
    /// The number.
    pub number: Number,
    /// How far the choice reaches over schedules.
    pub reach: Reach,
}

nothing_personal!(ProfileRulesSet, ProfileDeleted, ProfileActivated, ProfileDeactivated);
personal_fields!(ProfileAdded: name);
personal_fields!(ProfileRenamed: name);
personal_fields!(Profile: name);

impl Evolve for ProfileAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Profile(self.profile), Subject::User(self.owner)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let profile = Profile {
            owner: self.owner,
            name: Fact::new(self.name.clone(), envelope.position),
            rules: Fact::new(self.rules.clone(), envelope.position),
        };
        exchange.profiles.insert(self.profile, profile.into());
        edit(&mut exchange.users, &self.owner, |user| add(&mut user.profiles, self.profile));
    }
}

impl Evolve for ProfileRulesSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Profile(self.profile));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.profiles, &self.profile, |profile| {
            profile.rules = Fact::new(self.rules.clone(), envelope.position);
        });
    }
}

impl Evolve for ProfileRenamed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Profile(self.profile));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.profiles, &self.profile, |profile| {
            profile.name = Fact::new(self.name.clone(), envelope.position);
        });
    }
}

impl Evolve for ProfileDeleted {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Profile(self.profile), Subject::User(self.owner)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.profiles.remove(&self.profile);
        edit(&mut exchange.users, &self.owner, |user| {
            user.profiles.retain(|id| *id != self.profile);
        });
    }
}

fn choose(exchange: &mut Exchange, number: Number, choice: ManualChoice, at: Position) {
    edit(&mut exchange.numbers, &number, |number| number.manual = Some(Fact::new(choice, at)));
}

impl Evolve for ProfileActivated {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Number(self.number), Subject::Profile(self.profile)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let choice = ManualChoice { profile: Some(self.profile), reach: self.reach };
        choose(exchange, self.number, choice, envelope.position);
    }
}

impl Evolve for ProfileDeactivated {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Number(self.number));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let choice = ManualChoice { profile: None, reach: self.reach };
        choose(exchange, self.number, choice, envelope.position);
    }
}
