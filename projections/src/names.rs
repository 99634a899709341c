//! Names instead of ids: of what is there ([`Naming`] on the exchange) and of everything that ever was ([`NameBook`]).
//!
//! The name book keeps the names of deleted things too: a history of a deleted user would be unreadable without.
//! Personal names stay sealed values, so that an erasure reaches them.

use crate::text;
use crate::text::Text;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::group::Member;
use switchbook_core::id::{
    CallId, DeviceId, GroupId, ProfileId, ScheduleId, SlotId, TrunkId, UserId,
};
use switchbook_core::number::Number;
use switchbook_core::personal::{HasPersonal, Personal};
use switchbook_core::position::Position;

/// Somebody who knows names. What it does not know is shown by its id.
pub trait Naming: Send + Sync {
    /// Log-in name.
    fn user_name(&self, id: UserId) -> Option<String>;
    /// Address of record.
    fn device_name(&self, id: DeviceId) -> Option<String>;
    /// Owner and name of a slot.
    fn slot_name(&self, id: SlotId) -> Option<(UserId, String)>;
    /// Internal name.
    fn group_name(&self, id: GroupId) -> Option<String>;
    /// Owner and name of a profile.
    fn profile_name(&self, id: ProfileId) -> Option<(UserId, String)>;
    /// Number and profile of a schedule entry.
    fn schedule_name(&self, id: ScheduleId) -> Option<(Number, ProfileId)>;
    /// Name of a trunk.
    fn trunk_name(&self, id: TrunkId) -> Option<String>;

    /// `ada`
    fn user(&self, id: UserId) -> String {
        self.user_name(id).unwrap_or_else(|| id.to_string())
    }

    /// `desk-1`
    fn device(&self, id: DeviceId) -> String {
        self.device_name(id).unwrap_or_else(|| id.to_string())
    }

    /// `ada/desk`
    fn slot(&self, id: SlotId) -> String {
        match self.slot_name(id) {
            Some((user, name)) => format!("{}/{name}", self.user(user)),
            None => id.to_string(),
        }
    }

    /// `admins`
    fn group(&self, id: GroupId) -> String {
        self.group_name(id).unwrap_or_else(|| id.to_string())
    }

    /// `ada/Urlaub`
    fn profile(&self, id: ProfileId) -> String {
        match self.profile_name(id) {
            Some((user, name)) => format!("{}/{name}", self.user(user)),
            None => id.to_string(),
        }
    }

    /// `amt`
    fn trunk(&self, id: TrunkId) -> String {
        self.trunk_name(id).unwrap_or_else(|| id.to_string())
    }

    /// `ada` or `desk-1`
    fn member(&self, member: Member) -> String {
        match member {
            Member::User(user) => self.user(user),
            Member::Device(device) => self.device(device),
        }
    }

    /// An object as it is written on the command line: `user:ada`, `slot:ada/desk`.
    fn subject(&self, subject: Subject) -> String {
        match subject {
            Subject::User(id) => format!("user:{}", self.user(id)),
            Subject::Number(number) => format!("number:{number}"),
            Subject::Slot(id) => format!("slot:{}", self.slot(id)),
            Subject::Device(id) => format!("device:{}", self.device(id)),
            Subject::Group(id) => format!("group:{}", self.group(id)),
            Subject::Profile(id) => format!("profile:{}", self.profile(id)),
            Subject::Schedule(id) => format!("schedule:{id}"),
            Subject::Trunk(id) => format!("trunk:{}", self.trunk(id)),
            Subject::Call(id) => format!("call:{id}"),
            Subject::Exchange => "exchange".into(),
        }
    }

    /// Who issued a command, for people.
    fn actor(&self, actor: Actor) -> Text {
        match actor {
            Actor::System => text!("the system", "das System"),
            Actor::Supervisor { uid } => {
                text!("the supervisor (console, uid {uid})", "der Supervisor (Konsole, uid {uid})")
            }
            Actor::Admin(user) => {
                let user = self.user(user);
                text!("administrator {user}", "Administrator {user}")
            }
            Actor::User(user) => {
                let user = self.user(user);
                text!("user {user}", "Benutzer {user}")
            }
            Actor::Phone(device) => {
                let device = self.device(device);
                text!("phone {device}", "Telefon {device}")
            }
            Actor::Schedule(schedule) => {
                text!("schedule {schedule}", "Zeitsteuerung {schedule}")
            }
            Actor::Auditor(user) => {
                let user = self.user(user);
                text!("auditor {user}", "Prüfer {user}")
            }
        }
    }

    /// Who issued the command an event came from, and with whose rights.
    fn maker(&self, envelope: &Envelope) -> Text {
        let mut maker = self.actor(envelope.actor);
        if let Some(user) = envelope.on_behalf_of {
            let user = self.user(user);
            maker.push(&text!(" on behalf of {user}", " im Namen von {user}"));
        }
        maker
    }
}

impl Naming for Exchange {
    fn user_name(&self, id: UserId) -> Option<String> {
        self.users.get(&id).map(|user| user.username.value.to_string())
    }

    fn device_name(&self, id: DeviceId) -> Option<String> {
        self.devices.get(&id).map(|device| device.name.clone())
    }

    fn slot_name(&self, id: SlotId) -> Option<(UserId, String)> {
        self.slots.get(&id).map(|slot| (slot.user, slot.name.clone()))
    }

    fn group_name(&self, id: GroupId) -> Option<String> {
        self.groups.get(&id).map(|group| group.name.clone())
    }

    fn profile_name(&self, id: ProfileId) -> Option<(UserId, String)> {
        self.profiles.get(&id).map(|profile| (profile.owner, profile.name.value.to_string()))
    }

    fn schedule_name(&self, id: ScheduleId) -> Option<(Number, ProfileId)> {
        self.schedules.get(&id).map(|schedule| (schedule.number, schedule.profile))
    }

    fn trunk_name(&self, id: TrunkId) -> Option<String> {
        self.trunks.get(&id).map(|trunk| trunk.name.clone())
    }
}

/// The names of everything that ever was, each with the position of the event that brought it in.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NameBook {
    position: Position,
    users: OrdMap<UserId, (Personal, Position)>,
    devices: OrdMap<DeviceId, (Arc<str>, Position)>,
    slots: OrdMap<SlotId, (UserId, Arc<str>, Position)>,
    groups: OrdMap<GroupId, (Arc<str>, Position)>,
    profiles: OrdMap<ProfileId, (UserId, Personal, Position)>,
    schedules: OrdMap<ScheduleId, (Number, ProfileId)>,
    trunks: OrdMap<TrunkId, (Arc<str>, Position)>,
}

/// An object that the book does not know by this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotFound {
    /// The form is wrong.
    #[error(
        "`{0}` names no object: write one of user:NAME, number:DIGITS, slot:USER/NAME, device:NAME, group:NAME, profile:USER/NAME, schedule:ID, trunk:NAME, call:ID, exchange"
    )]
    Form(String),
    /// The book has nothing of that name.
    #[error(
        "the book knows no {0} of the name `{1}`, today or earlier: check the spelling, or give the id; where personal fields are closed, users and profiles are found by id only"
    )]
    Name(&'static str, String),
}

impl NotFound {
    /// For people.
    #[must_use]
    pub fn text(&self) -> Text {
        let en = self.to_string();
        let de = match self {
            Self::Form(text) => format!(
                "`{text}` benennt kein Objekt: Schreiben Sie user:NAME, number:ZIFFERN, slot:BENUTZER/NAME, device:NAME, group:NAME, profile:BENUTZER/NAME, schedule:ID, trunk:NAME, call:ID oder exchange"
            ),
            Self::Name(noun, name) => {
                let among = among(noun);
                format!(
                    "das Buch kennt unter den {among} keinen Namen `{name}`, weder heute noch früher: Prüfen Sie die Schreibweise, oder nennen Sie die Id; wo personenbezogene Felder verschlossen sind, findet nur die Id Benutzer und Profile"
                )
            }
        };
        Text { en, de }
    }
}

/// Things of a kind, in German, after "unter den".
fn among(noun: &str) -> &str {
    match noun {
        "user" => "Benutzern",
        "number" => "Rufnummern",
        "slot" => "Slots",
        "device" => "Telefonen",
        "group" => "Gruppen",
        "profile" => "Profilen",
        "schedule" => "Zeitsteuerungen",
        "trunk" => "Ämtern",
        "call" => "Rufen",
        other => other,
    }
}

impl NameBook {
    /// The last event taken in.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Events up to this one went by that change nothing here.
    pub(crate) fn pass(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    /// Takes an event in; one that was taken in already changes nothing.
    pub fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.envelope.position;
        if at <= self.position {
            return;
        }
        self.position = at;
        match &recorded.event {
            Event::ExchangeFounded(e) => {
                for (id, name) in
                    [(e.all_users, "users"), (e.all_hosts, "hosts"), (e.admins, "admins")]
                {
                    self.groups.insert(id, (name.into(), at));
                }
            }
            Event::UserAdded(e) => {
                self.users.insert(e.user, (e.username.clone(), at));
            }
            Event::DeviceAdded(e) => {
                self.devices.insert(e.device, (e.name.as_str().into(), at));
            }
            Event::SlotAdded(e) => {
                self.slots.insert(e.slot, (e.user, e.name.as_str().into(), at));
            }
            Event::GroupAdded(e) => {
                self.groups.insert(e.group, (e.name.as_str().into(), at));
            }
            Event::ProfileAdded(e) => {
                self.profiles.insert(e.profile, (e.owner, e.name.clone(), at));
            }
            Event::ProfileRenamed(e) => {
                if let Some(entry) = self.profiles.get_mut(&e.profile) {
                    entry.1 = e.name.clone();
                }
            }
            Event::ScheduleAdded(e) => {
                self.schedules.insert(e.schedule, (e.number, e.profile));
            }
            Event::TrunkAdded(e) => {
                self.trunks.insert(e.trunk, (e.name.as_str().into(), at));
            }
            _ => {}
        }
    }

    /// The object that a person means by `user:ada`, `slot:ada/desk`, `call:…`: by name or by id. Of several that
    /// had the name one after another, the newest.
    ///
    /// # Errors
    /// [`NotFound`], with what to do.
    pub fn find(&self, text: &str) -> Result<Subject, NotFound> {
        if text == "exchange" {
            return Ok(Subject::Exchange);
        }
        let form = || NotFound::Form(text.into());
        let (kind, name) = text.split_once(':').ok_or_else(form)?;
        let id = uuid::Uuid::parse_str(name).ok();
        let missing = |kind| NotFound::Name(kind, name.into());
        match kind {
            "user" => id
                .map(UserId)
                .or_else(|| self.user_called(name))
                .map(Subject::User)
                .ok_or_else(|| missing("user")),
            "number" => name.parse().map(Subject::Number).map_err(|_| form()),
            "device" => id
                .map(DeviceId)
                .or_else(|| newest(&self.devices, |(n, at)| (**n == *name).then_some(*at)))
                .map(Subject::Device)
                .ok_or_else(|| missing("device")),
            "group" => id
                .map(GroupId)
                .or_else(|| newest(&self.groups, |(n, at)| (**n == *name).then_some(*at)))
                .map(Subject::Group)
                .ok_or_else(|| missing("group")),
            "trunk" => id
                .map(TrunkId)
                .or_else(|| newest(&self.trunks, |(n, at)| (**n == *name).then_some(*at)))
                .map(Subject::Trunk)
                .ok_or_else(|| missing("trunk")),
            "slot" => {
                let of = |owner: UserId, wanted: &str| {
                    newest(&self.slots, |(user, n, at)| {
                        (*user == owner && **n == *wanted).then_some(*at)
                    })
                };
                id.map(SlotId)
                    .or_else(|| self.of_user(name, of))
                    .map(Subject::Slot)
                    .ok_or_else(|| missing("slot"))
            }
            "profile" => {
                let of = |owner: UserId, wanted: &str| {
                    newest(&self.profiles, |(user, n, at)| {
                        (*user == owner && n.known() == Some(wanted)).then_some(*at)
                    })
                };
                id.map(ProfileId)
                    .or_else(|| self.of_user(name, of))
                    .map(Subject::Profile)
                    .ok_or_else(|| missing("profile"))
            }
            "schedule" => id.map(|id| Subject::Schedule(ScheduleId(id))).ok_or_else(form),
            "call" => id.map(|id| Subject::Call(CallId(id))).ok_or_else(form),
            _ => Err(form()),
        }
    }

    /// The newest user who had this log-in name.
    #[must_use]
    pub fn user_called(&self, name: &str) -> Option<UserId> {
        newest(&self.users, |(n, at)| (n.known() == Some(name)).then_some(*at))
    }

    fn of_user<K>(&self, text: &str, of: impl Fn(UserId, &str) -> Option<K>) -> Option<K> {
        let (user, name) = text.split_once('/')?;
        let by_id = uuid::Uuid::parse_str(user).ok().map(UserId);
        of(by_id.or_else(|| self.user_called(user))?, name)
    }
}

fn newest<K: Ord + Copy, V>(
    table: &OrdMap<K, V>,
    hit: impl Fn(&V) -> Option<Position>,
) -> Option<K> {
    table.iter().filter_map(|(id, entry)| Some((hit(entry)?, *id))).max().map(|(_, id)| id)
}

impl Naming for NameBook {
    fn user_name(&self, id: UserId) -> Option<String> {
        self.users.get(&id).map(|(name, _)| name.to_string())
    }

    fn device_name(&self, id: DeviceId) -> Option<String> {
        self.devices.get(&id).map(|(name, _)| name.to_string())
    }

    fn slot_name(&self, id: SlotId) -> Option<(UserId, String)> {
        self.slots.get(&id).map(|(user, name, _)| (*user, name.to_string()))
    }

    fn group_name(&self, id: GroupId) -> Option<String> {
        self.groups.get(&id).map(|(name, _)| name.to_string())
    }

    fn profile_name(&self, id: ProfileId) -> Option<(UserId, String)> {
        self.profiles.get(&id).map(|(user, name, _)| (*user, name.to_string()))
    }

    fn schedule_name(&self, id: ScheduleId) -> Option<(Number, ProfileId)> {
        self.schedules.get(&id).copied()
    }

    fn trunk_name(&self, id: TrunkId) -> Option<String> {
        self.trunks.get(&id).map(|(name, _)| name.to_string())
    }
}

impl HasPersonal for NameBook {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        self.users = std::mem::take(&mut self.users)
            .into_iter()
            .map(|(id, (mut name, at))| {
                visit(&mut name);
                (id, (name, at))
            })
            .collect();
        self.profiles = std::mem::take(&mut self.profiles)
            .into_iter()
            .map(|(id, (user, mut name, at))| {
                visit(&mut name);
                (id, (user, name, at))
            })
            .collect();
    }
}
