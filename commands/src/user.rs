//! Commands about users (behaviour.md 2.1).

use crate::command::Decide;
use crate::decide::keeps_an_administrator;
use crate::draft::{Confirm, Draft, Force};
use crate::form::{check_username, optional, text};
use crate::lookup;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::secret::{NewSecret, SecretFor, SecretVisitor};
use crate::wire::{Change, GroupRef, UserRef, Word, Zone};
use crate::{device, number, slot};
use serde::Deserialize;
use switchbook_core::device::LogoutReason;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::group::{GroupKind, GroupMemberAdded, Member};
use switchbook_core::id::{DeviceId, SlotId, UserId};
use switchbook_core::number::Number;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::user::{
    CallerIdChosen, ContactDetailsChanged, DoNotDisturbSet, Language, LanguageChosen, PasswordSet,
    PinSet, UserAdded, UserDeleted, UserRenamed, UserTimeZoneSet,
};

/// Adds a user (U-1, U-2), and with him, if wanted, his numbers, slots, devices and groups: all or nothing.
///
/// Every number is ticked for every slot unless `tick` is `none`; every device is logged in on its slot unless it says
/// otherwise. A device brings a slot of its type with it when none is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Log-in name.
    pub username: String,
    /// What called parties see.
    pub display_name: String,
    /// Where voicemail and faxes go.
    #[serde(default)]
    pub email: Option<String>,
    /// His mobile phone.
    #[serde(default)]
    pub mobile: Option<String>,
    /// Preferred language.
    #[serde(default)]
    pub language: Option<Word<Language>>,
    /// His own time zone.
    #[serde(default)]
    pub time_zone: Option<Zone>,
    /// For his client.
    #[serde(default)]
    pub password: Option<NewSecret>,
    /// For log-in at phones.
    #[serde(default)]
    pub pin: Option<NewSecret>,
    /// Numbers he gets.
    #[serde(default)]
    pub numbers: Vec<Number>,
    /// Slots he gets.
    #[serde(default)]
    pub slots: Vec<slot::NewSlot>,
    /// Devices made for him.
    #[serde(default)]
    pub devices: Vec<device::NewDevice>,
    /// User groups he is put into.
    #[serde(default)]
    pub groups: Vec<GroupRef>,
    /// Which ticks are set.
    #[serde(default)]
    pub tick: Ticks,
}

/// Which ticks a new user's matrix begins with (N-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ticks {
    /// Every number on every slot.
    #[default]
    All,
    /// None: they are set later.
    None,
}

impl Add {
    /// A user with nothing but his names.
    #[must_use]
    pub fn named(username: &str, display_name: &str) -> Self {
        Self {
            username: username.into(),
            display_name: display_name.into(),
            email: None,
            mobile: None,
            language: None,
            time_zone: None,
            password: None,
            pin: None,
            numbers: Vec::new(),
            slots: Vec::new(),
            devices: Vec::new(),
            groups: Vec::new(),
            tick: Ticks::All,
        }
    }
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.settings()?;
        check_username(&self.username)?;
        if draft.exchange().user_named(&self.username).is_some() {
            let taken = Refusal::new(RefusalCode::UsernameTaken);
            return Err(taken.with("username", &self.username));
        }
        let user = UserId(draft.new_id());
        let personal = |text: &String| Personal::new(KeyId::Person(user), text.trim());
        draft.tell(UserAdded {
            user,
            username: personal(&self.username),
            display_name: Personal::new(
                KeyId::Person(user),
                text(&self.display_name, "display_name")?,
            ),
            email: optional(&self.email, "email")?.map(&personal),
            mobile: optional(&self.mobile, "mobile")?.map(&personal),
            language: self.language.map(|word| word.0),
            time_zone: self.time_zone.map(|zone| zone.0),
        });
        if let Some(password) = &self.password {
            draft.tell(PasswordSet { user, secret: password.stored()? });
        }
        if let Some(pin) = &self.pin {
            draft.tell(PinSet { user, secret: pin.stored()? });
        }
        for reference in &self.groups {
            let group = lookup::group(draft.exchange(), reference)?;
            crate::group::fit_for_members(draft, group, GroupKind::User)?;
            draft.tell(GroupMemberAdded { group, member: Member::User(user) });
        }
        self.equip(draft, user)
    }

    fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        if let Some(password) = &mut self.password {
            visit(password, SecretFor::UserPassword);
        }
        if let Some(pin) = &mut self.pin {
            visit(pin, SecretFor::UserPin);
        }
        for device in &mut self.devices {
            device.each_secret(visit);
        }
    }
}

impl Add {
    /// Numbers, slots, ticks, devices, log-ins: in the order an administrator would take.
    fn equip(&self, draft: &mut Draft<'_, '_>, user: UserId) -> Result<(), Refusal> {
        for &number in &self.numbers {
            number::assign(draft, user, number)?;
        }
        let mut slots = Vec::new();
        for new in &self.slots {
            slots.push(slot::add(draft, user, new)?);
        }
        let mut homes: Vec<SlotId> = Vec::new();
        for new in &self.devices {
            homes.push(self.home(draft, user, new, &mut slots, &homes)?);
        }
        if self.tick == Ticks::All {
            for &number in &self.numbers {
                for &slot in &slots {
                    number::tick(draft, number, slot)?;
                }
            }
        }
        for (new, &home) in self.devices.iter().zip(&homes) {
            let device = device::add(draft, new)?;
            if new.log_in == device::OnAdding::LogIn {
                device::attach(draft, user, home, device)?;
            }
        }
        for &slot in slots.iter().filter(|slot| !homes.contains(slot)) {
            slot::own_softphone(draft, slot)?;
        }
        let bare = self.tick == Ticks::None || slots.is_empty();
        for number in self.numbers.iter().filter(|_| bare) {
            draft.warn(Warning::new(WarningCode::NumberUnreachable).with("number", number));
        }
        Ok(())
    }

    /// The slot of a new device: the named one, else a free one of its type, else a new one.
    fn home(
        &self,
        draft: &mut Draft<'_, '_>,
        user: UserId,
        new: &device::NewDevice,
        slots: &mut Vec<SlotId>,
        taken: &[SlotId],
    ) -> Result<SlotId, Refusal> {
        let state = |id: &SlotId| draft.exchange().slots.get(id);
        let free = slots.iter().find(|id| {
            let named = |name| state(id).is_some_and(|slot| slot.name == name);
            let fits = state(id).is_some_and(|slot| slot.device_type == new.device_type.0);
            !taken.contains(id) && new.slot.as_deref().map_or(fits, named)
        });
        if let Some(&slot) = free {
            return Ok(slot);
        }
        let wanted = slot::NewSlot { device_type: new.device_type, name: new.slot.clone() };
        let slot = slot::add(draft, user, &wanted)?;
        slots.push(slot);
        Ok(slot)
    }
}

/// Deletes a user and everything that was his (U-4 to U-7).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Whom.
    pub user: UserRef,
    /// He knows that others forward to the freed numbers (U-5).
    #[serde(default)]
    pub confirm: Confirm,
    /// Even during a call of his (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for Delete {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let before = draft.exchange().clone();
        let user = lookup::user(&before, &self.user)?;
        let state = lookup::user_state(&before, user)?;
        number::not_referenced(draft, &state.numbers, Some(user), self.confirm)?;
        let devices: Vec<DeviceId> = state
            .slots
            .iter()
            .filter_map(|slot| Some(before.slots.get(slot)?.device?.value))
            .collect();
        for &device in &devices {
            draft.log_out(device, LogoutReason::UserDeleted, self.force)?;
        }
        let schedules = state.numbers.iter().filter_map(|number| before.numbers.get(number));
        number::release(draft, &state.numbers, Some(user));
        draft.tell(UserDeleted {
            user,
            numbers_freed: state.numbers.clone(),
            profiles_deleted: state.profiles.clone(),
            schedules_removed: schedules.flat_map(|n| n.schedules.iter().copied()).collect(),
            slots_removed: state.slots.clone(),
            devices_logged_out: devices,
            groups_left: state.groups.clone(),
        });
        keeps_an_administrator(&before, draft).map_err(|refusal| refusal.about(Subject::User(user)))
    }
}

/// Changes the display name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Whose.
    pub user: UserRef,
    /// From now on.
    pub display_name: String,
}

impl Decide for Rename {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let name = text(&self.display_name, "display_name")?;
        let same = {
            let state = lookup::user_state(draft.exchange(), user)?;
            state.display_name.value.known() == Some(name)
        };
        if !same {
            let display_name = Personal::new(KeyId::Person(user), name);
            draft.tell_last(UserRenamed { user, display_name });
        }
        Ok(())
    }
}

/// Sets the password for the user's client (U-2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Whose.
    pub user: UserRef,
    /// At least eight characters.
    pub password: NewSecret,
}

impl Decide for Password {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        draft.tell_last(PasswordSet { user, secret: self.password.stored()? });
        Ok(())
    }

    fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        visit(&mut self.password, SecretFor::UserPassword);
    }
}

/// Sets the PIN for log-in at phones (U-2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Whose.
    pub user: UserRef,
    /// At least four digits.
    pub pin: NewSecret,
}

impl Decide for Pin {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        draft.tell_last(PinSet { user, secret: self.pin.stored()? });
        Ok(())
    }

    fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        visit(&mut self.pin, SecretFor::UserPin);
    }
}

/// Switches do-not-disturb; nobody is logged off by it (RO-7, RO-15).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dnd {
    /// Whose.
    pub user: UserRef,
    /// On or off.
    pub on: bool,
}

impl Decide for Dnd {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        disturb(draft, user, self.on)
    }
}

/// Tells that do-not-disturb was switched, if that is a change.
pub(crate) fn disturb(draft: &mut Draft<'_, '_>, user: UserId, on: bool) -> Result<(), Refusal> {
    let now = lookup::user_state(draft.exchange(), user)?.do_not_disturb;
    if now.is_some_and(|fact| fact.value) != on {
        draft.tell_last(DoNotDisturbSet { user, on });
    }
    Ok(())
}

/// Chooses the number shown to other subscribers (1.15); none for the number in use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerId {
    /// Whose.
    pub user: UserRef,
    /// One of his own; an administrator may choose any.
    #[serde(default)]
    pub number: Option<Number>,
}

impl Decide for CallerId {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let state = lookup::user_state(draft.exchange(), user)?;
        if let Some(number) = self.number
            && !draft.standing.administers()
            && !state.numbers.contains(&number)
        {
            return Err(Refusal::new(RefusalCode::CallerIdNotYours)
                .with("number", number)
                .about(Subject::User(user)));
        }
        if state.caller_id.map(|fact| fact.value) != self.number {
            draft.tell_last(CallerIdChosen { user, number: self.number });
        }
        Ok(())
    }
}

/// Chooses the language of what the user hears and reads himself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChooseLanguage {
    /// Whose.
    pub user: UserRef,
    /// None for the group's or the system's.
    #[serde(default)]
    pub language: Option<Word<Language>>,
}

impl Decide for ChooseLanguage {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let now = lookup::user_state(draft.exchange(), user)?.language.map(|fact| fact.value);
        let language = self.language.map(|word| word.0);
        if now != language {
            draft.tell_last(LanguageChosen { user, language });
        }
        Ok(())
    }
}

/// Sets a user's own time zone (F-6).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeZone {
    /// Whose.
    pub user: UserRef,
    /// None for the group's or the system's.
    #[serde(default)]
    pub time_zone: Option<Zone>,
}

impl Decide for TimeZone {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let now = lookup::user_state(draft.exchange(), user)?.time_zone.map(|fact| fact.value);
        let time_zone = self.time_zone.map(|zone| zone.0);
        if now != time_zone {
            draft.tell_last(UserTimeZoneSet { user, time_zone });
        }
        Ok(())
    }
}

/// Changes mail address and mobile number: absent keeps, `null` clears.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Whose.
    pub user: UserRef,
    /// Mail address.
    #[serde(default)]
    pub email: Change<String>,
    /// Mobile number.
    #[serde(default)]
    pub mobile: Change<String>,
}

impl Decide for Contact {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let state = lookup::user_state(draft.exchange(), user)?;
        let changed = |change: &Change<String>, now: Option<&Personal>, field| match change {
            Change::Keep => Ok(now.cloned()),
            Change::Clear => Ok(None),
            Change::Set(new) => match now {
                Some(now) if now.known() == Some(new.trim()) => Ok(Some(now.clone())),
                _ => Ok(Some(Personal::new(KeyId::Person(user), text(new, field)?))),
            },
        };
        let (old_email, old_mobile) =
            (state.email.as_ref().map(|f| &f.value), state.mobile.as_ref().map(|f| &f.value));
        let email = changed(&self.email, old_email, "email")?;
        let mobile = changed(&self.mobile, old_mobile, "mobile")?;
        if (email.as_ref(), mobile.as_ref()) != (old_email, old_mobile) {
            draft.tell_last(ContactDetailsChanged { user, email, mobile });
        }
        Ok(())
    }
}

/// What people call the owner of a number.
pub(crate) fn owner_name(exchange: &Exchange, number: Number) -> Option<String> {
    let owner = exchange.numbers.get(&number)?.owner.value;
    Some(lookup::user_name(exchange, owner))
}
