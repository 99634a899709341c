//! Forwardings of all users (X-7, F-12), their profiles, and wait and ring seconds (1.14).

use crate::halves;
use crate::names::Naming;
use crate::numbers::in_force;
use crate::sentence;
use crate::table::{Table, fact};
use crate::text;
use crate::text::{Text, When, either};
use serde::Serialize;
use switchbook_core::device::{FollowMe, Origin};
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::forwarding::{ForwardingRule, Reach};
use switchbook_core::id::{ProfileId, UserId};
use switchbook_core::number::{Number, NumberState};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::user::Language;

/// One row for every number and every profile of its owner, at T.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ForwardingsView {
    /// True at this position.
    pub position: Position,
    /// And this moment.
    pub at: When,
    /// By number, then in the order the profiles were made.
    pub forwardings: Vec<ForwardingRow>,
}

/// A profile on a number.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ForwardingRow {
    /// The number.
    pub number: Number,
    /// Whose.
    pub owner: String,
    /// `ada/Urlaub`
    pub profile: String,
    /// Its id.
    pub profile_id: ProfileId,
    /// In force at T.
    pub active: bool,
    /// Set by hand, by this event (F-1), reaching so far over schedules (F-5).
    pub by_hand: Option<Fact<Reach>>,
    /// So many schedule entries name it for this number.
    pub schedules: usize,
    /// Why it is in force.
    pub because: Option<Text>,
    /// The event that made it so.
    pub because_at: Option<Position>,
    /// Its table.
    pub rules: Fact<Vec<ForwardingRule>>,
}

/// The list of F-12: every number of every user with every profile of his, active or not.
#[must_use]
pub fn forwardings(exchange: &Exchange, at: Moment) -> ForwardingsView {
    let all: Vec<_> = exchange.numbers.iter().collect();
    let rows = halves::each(&all, |(number, state)| of_number(exchange, **number, state, at));
    let forwardings = rows.into_iter().flatten().collect();
    ForwardingsView { position: exchange.position, at: When(at), forwardings }
}

fn of_number(
    exchange: &Exchange,
    number: Number,
    state: &NumberState,
    at: Moment,
) -> Vec<ForwardingRow> {
    let owner = exchange.users.get(&state.owner.value).filter(|owner| !owner.profiles.is_empty());
    let Some(owner) = owner else { return Vec::new() };
    let decided = switchbook_core::routing::profile::in_force(exchange, number, at).profile;
    let told = in_force(exchange, number, at);
    let row = |id: &ProfileId| {
        let profile = exchange.profiles.get(id)?;
        let active = decided.as_ref().is_some_and(|(decided, _)| decided == id);
        let by_hand = state.manual.filter(|choice| choice.value.profile == Some(*id));
        let named =
            |schedule| exchange.schedules.get(schedule).is_some_and(|entry| entry.profile == *id);
        Some(ForwardingRow {
            number,
            owner: exchange.user(state.owner.value),
            profile: exchange.profile(*id),
            profile_id: *id,
            active,
            by_hand: by_hand.map(|choice| Fact::new(choice.value.reach, choice.at)),
            schedules: state.schedules.iter().filter(|schedule| named(*schedule)).count(),
            because: told.as_ref().filter(|_| active).map(|told| told.because.clone()),
            because_at: told.as_ref().filter(|_| active).map(|told| told.at),
            rules: profile.rules.clone(),
        })
    };
    owner.profiles.iter().filter_map(row).collect()
}

/// Profiles with their tables.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProfilesView {
    /// True at this position.
    pub position: Position,
    /// By owner, in the order they were made.
    pub profiles: Vec<ProfileRow>,
}

/// One profile.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProfileRow {
    /// Its id.
    pub id: ProfileId,
    /// Whose.
    pub owner: String,
    /// What he calls it.
    pub name: Fact<String>,
    /// Its place among his profiles, from 1: the digit of the feature code.
    pub place: usize,
    /// Its table.
    pub rules: Fact<Vec<ForwardingRule>>,
    /// Its table in words.
    pub told: Vec<Text>,
}

/// Profiles: all, or those of one user.
#[must_use]
pub fn profiles(exchange: &Exchange, owner: Option<UserId>) -> ProfilesView {
    let mut profiles = Vec::new();
    for (id, user) in &exchange.users {
        if owner.is_some_and(|owner| owner != *id) {
            continue;
        }
        for (place, profile_id) in user.profiles.iter().enumerate() {
            let Some(profile) = exchange.profiles.get(profile_id) else { continue };
            profiles.push(ProfileRow {
                id: *profile_id,
                owner: exchange.user(*id),
                name: Fact::new(profile.name.value.to_string(), profile.name.at),
                place: place + 1,
                rules: profile.rules.clone(),
                told: profile.rules.value.iter().map(sentence::rule).collect(),
            });
        }
    }
    profiles.sort_by(|a, b| (&a.owner, a.place).cmp(&(&b.owner, b.place)));
    ProfilesView { position: exchange.position, profiles }
}

/// Wait and ring seconds that were set.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FollowMeView {
    /// True at this position.
    pub position: Position,
    /// By user, in the order they were set.
    pub entries: Vec<FollowMeRow>,
}

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FollowMeRow {
    /// Whose.
    pub user: String,
    /// Which device.
    pub device: String,
    /// For calls of this origin.
    pub origin: Origin,
    /// It rings at all.
    pub enabled: bool,
    /// Waits.
    pub wait: Seconds,
    /// Rings.
    pub ring: Seconds,
    /// The event that set it.
    pub at: Position,
}

/// Wait and ring seconds: all, or those of one user.
#[must_use]
pub fn follow_me(exchange: &Exchange, owner: Option<UserId>) -> FollowMeView {
    let mut entries = Vec::new();
    for (id, user) in &exchange.users {
        if owner.is_some_and(|owner| owner != *id) {
            continue;
        }
        entries.extend(user.follow_me.iter().map(|entry| {
            let FollowMe { device, origin, enabled, wait, ring } = entry.value;
            let (user, device) = (exchange.user(*id), exchange.device(device));
            FollowMeRow { user, device, origin, enabled, wait, ring, at: entry.at }
        }));
    }
    entries.sort_by(|a, b| (&a.user, &a.device, a.origin).cmp(&(&b.user, &b.device, b.origin)));
    FollowMeView { position: exchange.position, entries }
}

impl ForwardingsView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("number", "Rufnummer"),
            ("owner", "Besitzer"),
            ("profile", "Profil"),
            ("active", "aktiv"),
            ("by hand", "von Hand"),
            ("schedules", "Zeitsteuerungen"),
            ("why", "warum"),
        ];
        let mut table = Table::of(language, &text!("Forwardings", "Rufumleitungen"), &columns);
        for row in &self.forwardings {
            let why = row.because.as_ref().zip(row.because_at);
            table.row([
                row.number.to_string(),
                row.owner.clone(),
                row.profile.clone(),
                if row.active { either(language, "active", "aktiv").into() } else { String::new() },
                row.by_hand.map(|choice| choice.at.to_string()).unwrap_or_default(),
                if row.schedules > 0 { row.schedules.to_string() } else { String::new() },
                why.map(|(why, at)| format!("{} {at}", why.read(language))).unwrap_or_default(),
            ]);
        }
        let (position, at) = (self.position, self.at);
        let note = text!("as of {position}, {at}", "nach dem Stand von {position}, {at}");
        table.note(note.read(language));
        table
    }
}

impl ProfilesView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("owner", "Besitzer"),
            ("no", "Nr"),
            ("profile", "Profil"),
            ("rules", "Regeln"),
            ("set", "gesetzt"),
        ];
        let title = text!("Forwarding profiles", "Rufumleitungsprofile");
        let mut table = Table::of(language, &title, &columns);
        for row in &self.profiles {
            let rules: Vec<&str> = row.told.iter().map(|rule| rule.read(language)).collect();
            table.row([
                row.owner.clone(),
                row.place.to_string(),
                fact(&row.name),
                rules.join("; "),
                row.rules.at.to_string(),
            ]);
        }
        table.as_of(language, self.position);
        table
    }
}

impl FollowMeView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("user", "Benutzer"),
            ("device", "Telefon"),
            ("calls", "Anrufe"),
            ("waits", "wartet"),
            ("rings", "klingelt"),
            ("set", "gesetzt"),
        ];
        let title = text!("Wait and ring times", "Warte- und Klingelzeiten");
        let mut table = Table::of(language, &title, &columns);
        for row in &self.entries {
            let (wait, ring) = match row.enabled {
                true => (row.wait.to_string(), row.ring.to_string()),
                false => ("–".into(), either(language, "off", "aus").into()),
            };
            table.row([
                row.user.clone(),
                row.device.clone(),
                sentence::origin(row.origin).read(language).to_owned(),
                wait,
                ring,
                row.at.to_string(),
            ]);
        }
        let default = FollowMe::DEFAULT_RING;
        let note = text!(
            "what is not set: rings at once, for {default}",
            "was nicht gesetzt ist: klingelt sofort, {default} lang"
        );
        table.note(note.read(language));
        table.as_of(language, self.position);
        table
    }
}
