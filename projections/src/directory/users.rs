//! Users, and each user's matrix of numbers and slots (behaviour.md 1.1, 1.4).

use crate::halves;
use crate::names::Naming;
use crate::numbers::switch;
use crate::table::{Table, fact, maybe};
use crate::text;
use crate::text::{Text, counted, either};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::id::{SlotId, UserId};
use switchbook_core::number::Number;
use switchbook_core::permission::Permission;
use switchbook_core::personal::Personal;
use switchbook_core::position::Position;
use switchbook_core::slot::DeviceType;
use switchbook_core::user::{Language, User};

/// All users, by log-in name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UsersView {
    /// True at this position.
    pub position: Position,
    /// One row a user.
    pub users: Vec<UserRow>,
}

/// One user in the list.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UserRow {
    /// His id.
    pub id: UserId,
    /// Log-in name.
    pub username: Fact<String>,
    /// What called parties see.
    pub display_name: Fact<String>,
    /// His numbers.
    pub numbers: Vec<Number>,
    /// Phones he is logged in at.
    pub phones: Vec<String>,
    /// Do not disturb.
    pub do_not_disturb: bool,
    /// He is an administrator.
    pub admin: bool,
}

/// Everything about one user.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UserDetail {
    /// True at this position.
    pub position: Position,
    /// As in the list.
    #[serde(flatten)]
    pub row: UserRow,
    /// Mail address.
    pub email: Option<Fact<String>>,
    /// Mobile number.
    pub mobile: Option<Fact<String>>,
    /// Language of announcements.
    pub language: Option<Fact<Language>>,
    /// His own time zone.
    pub time_zone: Option<Fact<Tz>>,
    /// When his password was set; never what it is.
    pub password_set: Option<Position>,
    /// When his PIN was set.
    pub pin_set: Option<Position>,
    /// Do not disturb, with who set it.
    pub dnd: Option<Fact<bool>>,
    /// Shown to others instead of the number in use.
    pub caller_id: Option<Fact<Number>>,
    /// Groups he was put into; All Users holds him besides.
    pub groups: Vec<Fact<String>>,
    /// What he may (1.7).
    pub rights: Vec<super::PermissionRow>,
    /// Numbers and slots.
    pub matrix: Matrix,
    /// His forwarding profiles.
    pub profiles: Vec<super::ProfileRow>,
    /// Wait and ring seconds.
    pub follow_me: Vec<super::FollowMeRow>,
}

/// Numbers × slots of one user.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Matrix {
    /// Whose.
    pub user: String,
    /// True at this position.
    pub position: Position,
    /// The columns.
    pub slots: Vec<SlotRow>,
    /// The rows.
    pub numbers: Vec<MatrixRow>,
}

/// A column of the matrix.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SlotRow {
    /// Its id.
    pub id: SlotId,
    /// `ada/desk`
    pub slot: String,
    /// What it takes.
    pub device_type: DeviceType,
    /// The event that made it.
    pub at: Position,
    /// The device logged in.
    pub device: Option<Fact<String>>,
    /// The number for outgoing calls, if one was selected (3.3).
    pub selected: Option<Fact<Number>>,
}

/// A row of the matrix.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MatrixRow {
    /// The number.
    pub number: Number,
    /// One a column: the event that set the tick, or none.
    pub ticks: Vec<Option<Position>>,
}

/// All users.
#[must_use]
pub fn users(exchange: &Exchange) -> UsersView {
    let all: Vec<_> = exchange.users.iter().collect();
    let mut users = halves::each(&all, |(id, user)| row(exchange, **id, user));
    users.sort_by(|a, b| (&a.username.value, a.id).cmp(&(&b.username.value, b.id)));
    UsersView { position: exchange.position, users }
}

fn row(exchange: &Exchange, id: UserId, user: &User) -> UserRow {
    let phone = |slot: &SlotId| Some(exchange.device(exchange.slots.get(slot)?.device?.value));
    UserRow {
        id,
        username: text(&user.username),
        display_name: text(&user.display_name),
        numbers: user.numbers.clone(),
        phones: user.slots.iter().filter_map(phone).collect(),
        do_not_disturb: user.do_not_disturb.is_some_and(|dnd| dnd.value),
        admin: exchange.holds(id, Permission::Admin).is_some(),
    }
}

fn text(personal: &Fact<Personal>) -> Fact<String> {
    Fact::new(personal.value.to_string(), personal.at)
}

/// Everything about one user; none when there is none of this id.
#[must_use]
pub fn user(exchange: &Exchange, id: UserId) -> Option<UserDetail> {
    let user = exchange.users.get(&id)?;
    let group = |group| {
        let members = &exchange.groups.get(group)?.users;
        let at = members.iter().find(|member| member.value == id)?.at;
        Some(Fact::new(exchange.group(*group), at))
    };
    Some(UserDetail {
        position: exchange.position,
        row: row(exchange, id, user),
        email: user.email.as_deref().map(text),
        mobile: user.mobile.as_deref().map(text),
        language: user.language,
        time_zone: user.time_zone,
        password_set: user.password.map(|password| password.at),
        pin_set: user.pin.map(|pin| pin.at),
        dnd: user.do_not_disturb,
        caller_id: user.caller_id,
        groups: user.groups.iter().filter_map(group).collect(),
        rights: super::rights_of(exchange, id),
        matrix: matrix(exchange, id)?,
        profiles: super::profiles(exchange, Some(id)).profiles,
        follow_me: super::follow_me(exchange, Some(id)).entries,
    })
}

/// The matrix of one user; none when there is none of this id.
#[must_use]
pub fn matrix(exchange: &Exchange, id: UserId) -> Option<Matrix> {
    let user = exchange.users.get(&id)?;
    let slot = |id: &SlotId| {
        let slot = exchange.slots.get(id)?;
        Some(SlotRow {
            id: *id,
            slot: exchange.slot(*id),
            device_type: slot.device_type,
            at: slot.at,
            device: slot.device.map(|device| Fact::new(exchange.device(device.value), device.at)),
            selected: slot.selected,
        })
    };
    let slots: Vec<SlotRow> = user.slots.iter().filter_map(slot).collect();
    let numbers = user
        .numbers
        .iter()
        .map(|number| {
            let state = exchange.numbers.get(number);
            let tick = |slot: &SlotRow| state?.tick(slot.id).map(|tick| tick.at);
            MatrixRow { number: *number, ticks: slots.iter().map(tick).collect() }
        })
        .collect();
    Some(Matrix { user: exchange.user(id), position: exchange.position, slots, numbers })
}

impl UsersView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("user", "Benutzer"),
            ("name", "Name"),
            ("numbers", "Rufnummern"),
            ("logged in at", "angemeldet an"),
            ("dnd", "Ruhe vor dem Telefon"),
            ("admin", "Admin"),
            ("added", "angelegt"),
        ];
        let mut table = Table::of(language, &text!("Users", "Benutzer"), &columns);
        for row in &self.users {
            let numbers: Vec<&str> = row.numbers.iter().map(Number::as_str).collect();
            table.row([
                row.username.value.clone(),
                fact(&row.display_name),
                numbers.join(", "),
                row.phones.join(", "),
                if row.do_not_disturb {
                    either(language, "on", "an").into()
                } else {
                    String::new()
                },
                if row.admin { either(language, "yes", "ja").into() } else { String::new() },
                row.username.at.to_string(),
            ]);
        }
        let (count, position) = (self.users.len(), self.position);
        let (en, de) = (counted(count, "user", "users"), counted(count, "Benutzer", "Benutzer"));
        let note = text!("{en}, as of {position}", "{de}, nach dem Stand von {position}");
        table.note(note.read(language));
        table
    }
}

impl Matrix {
    /// For people: a tick is the position of the event that set it.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("slot", "Slot"),
            ("type", "Typ"),
            ("device", "Telefon"),
            ("selected", "gewählt"),
            ("numbers ticked", "angehakte Rufnummern"),
        ];
        let user = &self.user;
        let title = text!("Matrix of {user}", "Rufnummernkonfiguration von {user}");
        let mut table = Table::of(language, &title, &columns);
        for (column, slot) in self.slots.iter().enumerate() {
            let ticked = self.numbers.iter().filter_map(|row| {
                let at = row.ticks.get(column).copied().flatten()?;
                Some(format!("{} {at}", row.number))
            });
            table.row([
                slot.slot.clone(),
                slot.device_type.to_string(),
                slot.device.as_ref().map(fact).unwrap_or_default(),
                slot.selected.as_ref().map(fact).unwrap_or_default(),
                ticked.collect::<Vec<_>>().join(", "),
            ]);
        }
        let nowhere: Vec<&str> = self
            .numbers
            .iter()
            .filter(|row| row.ticks.iter().all(Option::is_none))
            .map(|row| row.number.as_str())
            .collect();
        if !nowhere.is_empty() {
            let nowhere = nowhere.join(", ");
            let note = text!(
                "ticked nowhere, so not reachable (N-2): {nowhere}",
                "nirgends angehakt, also nicht erreichbar (N-2): {nowhere}"
            );
            table.note(note.read(language));
        }
        table.as_of(language, self.position);
        table
    }
}

impl UserDetail {
    /// For people: one line a field.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let name = &self.row.username.value;
        let title = text!("User {name}", "Benutzer {name}");
        let mut table = Table::of(language, &title, &[("field", "Feld"), ("value", "Wert")]);
        let mut line = |en, de, value: String| table.row([either(language, en, de).into(), value]);
        let list = |items: Vec<String>| items.join(", ");
        line("id", "Id", self.row.id.to_string());
        line("log-in name", "Anmeldename", fact(&self.row.username));
        line("display name", "Anzeigename", fact(&self.row.display_name));
        line("e-mail", "E-Mail", self.email.as_ref().map(fact).unwrap_or_default());
        line("mobile", "Mobilnummer", self.mobile.as_ref().map(fact).unwrap_or_default());
        let his = self
            .language
            .map(|his| format!("{} {}", language_word(his.value).read(language), his.at));
        line("language", "Sprache", his.unwrap_or_default());
        line("time zone", "Zeitzone", self.time_zone.as_ref().map(fact).unwrap_or_default());
        line("password set", "Kennwort gesetzt", maybe(self.password_set.as_ref()));
        line("PIN set", "PIN gesetzt", maybe(self.pin_set.as_ref()));
        let dnd = self.dnd.map(|dnd| format!("{} {}", switch(dnd.value).read(language), dnd.at));
        line(
            "do not disturb",
            "Ruhe vor dem Telefon",
            dnd.unwrap_or_else(|| either(language, "off", "aus").into()),
        );
        line(
            "shown number",
            "angezeigte Rufnummer",
            self.caller_id.as_ref().map(fact).unwrap_or_default(),
        );
        line("groups", "Gruppen", list(self.groups.iter().map(fact).collect()));
        line(
            "rights",
            "Rechte",
            list(self.rights.iter().map(super::PermissionRow::short).collect()),
        );
        line(
            "numbers",
            "Rufnummern",
            list(self.row.numbers.iter().map(ToString::to_string).collect()),
        );
        line(
            "slots",
            "Slots",
            list(self.matrix.slots.iter().map(|slot| slot.slot.clone()).collect()),
        );
        line("logged in at", "angemeldet an", self.row.phones.join(", "));
        line(
            "profiles",
            "Profile",
            list(self.profiles.iter().map(|p| p.name.value.clone()).collect()),
        );
        table.as_of(language, self.position);
        table
    }
}

fn language_word(language: Language) -> Text {
    match language {
        Language::English => text!("English", "Englisch"),
        Language::German => text!("German", "Deutsch"),
    }
}
