//! Users (Benutzer): one account is one natural person, never a device or a number (behaviour.md 1.1).

use crate::device::FollowMe;
use crate::envelope::{Envelope, Subject};
use crate::erasure::Former;
use crate::event::{Evolve, nothing_personal, personal_fields};
use crate::exchange::{Exchange, edit};
use crate::fact::Fact;
use crate::id::{DeviceId, GroupId, ProfileId, ScheduleId, SecretId, SlotId, UserId};
use crate::number::Number;
use crate::personal::Personal;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A language of announcements and texts: two letters as in ISO 639-1 (`de`, `en`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Language {
    /// Deutsch.
    German,
    /// English.
    English,
}

/// An entry in the vault, by id and version: events name secrets and never hold them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SecretRef {
    /// Which entry.
    pub id: SecretId,
    /// Which version of it, from 1.
    pub version: u32,
}

/// A user as he is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// Log-in name (Anmeldename), unique among users.
    pub username: Fact<Personal>,
    /// What called parties see (Anzeigename).
    pub display_name: Fact<Personal>,
    /// Where voicemail and faxes go. Boxed, as few have one and all would hold the room for it.
    pub email: Option<Box<Fact<Personal>>>,
    /// His mobile phone.
    pub mobile: Option<Box<Fact<Personal>>>,
    /// Language of what he hears and reads himself.
    pub language: Option<Fact<Language>>,
    /// His time zone (F-6).
    pub time_zone: Option<Fact<Tz>>,
    /// Password hash, in the vault.
    pub password: Option<Fact<SecretRef>>,
    /// PIN hash for log-in at phones, in the vault.
    pub pin: Option<Fact<SecretRef>>,
    /// Do not disturb: no device of his rings (step 9).
    pub do_not_disturb: Option<Fact<bool>>,
    /// Shown to other subscribers instead of the number in use (1.15).
    pub caller_id: Option<Fact<Number>>,
    /// His numbers, in the order they were given.
    pub numbers: Vec<Number>,
    /// His slots, in the order they were made.
    pub slots: Vec<SlotId>,
    /// His forwarding profiles, in the order they were made.
    pub profiles: Vec<ProfileId>,
    /// Groups he was put into (All Users holds him besides).
    pub groups: Vec<GroupId>,
    /// Wait and ring seconds per device and origin (1.14, D-3).
    pub follow_me: Vec<Fact<FollowMe>>,
}

/// A user was added (U-1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserAdded {
    /// His id.
    pub user: UserId,
    /// Log-in name, lower case.
    pub username: Personal,
    /// What called parties see.
    pub display_name: Personal,
    /// Mail address.
    pub email: Option<Personal>,
    /// Mobile number.
    pub mobile: Option<Personal>,
    /// Preferred language.
    pub language: Option<Language>,
    /// Time zone, when it differs from the group's or the system's.
    pub time_zone: Option<Tz>,
}

/// A user was deleted, and with him everything that was his (U-4, U-5, U-7).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserDeleted {
    /// Who.
    pub user: UserId,
    /// Free again.
    pub numbers_freed: Vec<Number>,
    /// Gone; they cannot be transferred.
    pub profiles_deleted: Vec<ProfileId>,
    /// Gone with their numbers.
    pub schedules_removed: Vec<ScheduleId>,
    /// Gone.
    pub slots_removed: Vec<SlotId>,
    /// Phones that nobody is logged in on now.
    pub devices_logged_out: Vec<DeviceId>,
    /// Groups he was a member of.
    pub groups_left: Vec<GroupId>,
}

/// The display name was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserRenamed {
    /// Who.
    pub user: UserId,
    /// From now on.
    pub display_name: Personal,
}

/// A password was set; the hash is in the vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PasswordSet {
    /// Whose.
    pub user: UserId,
    /// Where the hash is.
    pub secret: SecretRef,
}

/// A PIN was set; the hash is in the vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PinSet {
    /// Whose.
    pub user: UserId,
    /// Where the hash is.
    pub secret: SecretRef,
}

/// Do not disturb was switched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoNotDisturbSet {
    /// Who.
    pub user: UserId,
    /// On or off.
    pub on: bool,
}

/// The number shown to other subscribers was chosen (1.15).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallerIdChosen {
    /// Who.
    pub user: UserId,
    /// The alternative number, or none for the number in use.
    pub number: Option<Number>,
}

/// The preferred language was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LanguageChosen {
    /// Who.
    pub user: UserId,
    /// From now on; none for the group's or the system's.
    pub language: Option<Language>,
}

/// A user's own time zone was set (F-6).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserTimeZoneSet {
    /// Who.
    pub user: UserId,
    /// From now on; none for the group's or the system's.
    pub time_zone: Option<Tz>,
}

/// Mail address and mobile number were set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContactDetailsChanged {
    /// Who.
    pub user: UserId,
    /// From now on.
    pub email: Option<Personal>,
    /// From now on.
    pub mobile: Option<Personal>,
}

nothing_personal!(
    UserDeleted,
    PasswordSet,
    PinSet,
    DoNotDisturbSet,
    CallerIdChosen,
    LanguageChosen,
    UserTimeZoneSet
);
personal_fields!(UserAdded: username, display_name, email, mobile);
personal_fields!(UserRenamed: display_name);
personal_fields!(ContactDetailsChanged: email, mobile);

impl Evolve for UserAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::User(self.user));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let at = envelope.position;
        exchange.usernames.insert(|| self.username.known(), self.user);
        let user = User {
            username: Fact::new(self.username.clone(), at),
            display_name: Fact::new(self.display_name.clone(), at),
            email: self.email.clone().map(|mail| Fact::new(mail, at).into()),
            mobile: self.mobile.clone().map(|mobile| Fact::new(mobile, at).into()),
            language: self.language.map(|language| Fact::new(language, at)),
            time_zone: self.time_zone.map(|zone| Fact::new(zone, at)),
            password: None,
            pin: None,
            do_not_disturb: None,
            caller_id: None,
            numbers: Vec::new(),
            slots: Vec::new(),
            profiles: Vec::new(),
            groups: Vec::new(),
            follow_me: Vec::new(),
        };
        exchange.users.insert(self.user, user.into());
    }
}

impl Evolve for UserDeleted {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::User(self.user));
        out.extend(self.numbers_freed.iter().copied().map(Subject::Number));
        out.extend(self.profiles_deleted.iter().copied().map(Subject::Profile));
        out.extend(self.schedules_removed.iter().copied().map(Subject::Schedule));
        out.extend(self.slots_removed.iter().copied().map(Subject::Slot));
        out.extend(self.devices_logged_out.iter().copied().map(Subject::Device));
        out.extend(self.groups_left.iter().copied().map(Subject::Group));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        for &slot in &self.slots_removed {
            exchange.forget_slot(slot);
        }
        for &number in &self.numbers_freed {
            exchange.forget_number(number);
        }
        for profile in &self.profiles_deleted {
            exchange.profiles.remove(profile);
        }
        for group in &self.groups_left {
            edit(&mut exchange.groups, group, |group| {
                group.users.retain(|member| member.value != self.user);
            });
        }
        if let Some(user) = exchange.users.remove(&self.user) {
            exchange.usernames.remove(|| user.username.value.known());
        }
        let former = Former { deleted: envelope.position, erased: None };
        Arc::make_mut(&mut exchange.erasures).former.insert(self.user, former);
    }
}

/// Most events of a user set one field of his.
macro_rules! sets_field {
    ($($event:ident => |$user:ident, $this:ident, $at:ident| $body:expr;)+) => {$(
        impl Evolve for $event {
            fn subjects(&self, out: &mut Vec<Subject>) {
                out.push(Subject::User(self.user));
            }

            fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
                let ($this, $at) = (self, envelope.position);
                edit(&mut exchange.users, &self.user, |$user| $body);
            }
        }
    )+};
}

sets_field! {
    UserRenamed => |user, event, at| user.display_name = Fact::new(event.display_name.clone(), at);
    PasswordSet => |user, event, at| user.password = Some(Fact::new(event.secret, at));
    PinSet => |user, event, at| user.pin = Some(Fact::new(event.secret, at));
    DoNotDisturbSet => |user, event, at| user.do_not_disturb = Some(Fact::new(event.on, at));
    CallerIdChosen => |user, event, at| user.caller_id = event.number.map(|n| Fact::new(n, at));
    LanguageChosen => |user, event, at| user.language = event.language.map(|l| Fact::new(l, at));
    UserTimeZoneSet => |user, event, at| user.time_zone = event.time_zone.map(|z| Fact::new(z, at));
    ContactDetailsChanged => |user, event, at| {
        user.email = event.email.clone().map(|mail| Fact::new(mail, at).into());
        user.mobile = event.mobile.clone().map(|mobile| Fact::new(mobile, at).into());
    };
}
personal_fields!(User: username, display_name, email, mobile);
