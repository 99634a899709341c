//! Commands about devices: making them, their passwords, log-in and log-out by clients, ring times.

use crate::command::Decide;
use crate::draft::{Draft, Force};
use crate::lookup;
use crate::number;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::roaming;
use crate::secret::{NewSecret, SecretFor, SecretVisitor};
use crate::wire::{DeviceRef, GroupRef, SlotRef, UserRef, Word};
use serde::Deserialize;
use switchbook_core::device::{
    DeviceAdded, DeviceCredentialSet, DeviceLoggedIn, DeviceRemoved, FollowMe, FollowMeSet,
    LogoutReason, Origin,
};
use switchbook_core::exchange::Exchange;
use switchbook_core::group::{GroupKind, GroupMemberAdded, Member};
use switchbook_core::id::{DeviceId, SlotId, UserId};
use switchbook_core::number::Number;
use switchbook_core::position::Seconds;
use switchbook_core::slot::DeviceType;

/// A device to be made with its user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// What it registers as.
    pub name: String,
    /// Kind of device.
    #[serde(rename = "type")]
    pub device_type: Word<DeviceType>,
    /// For its registration.
    #[serde(default)]
    pub password: Option<NewSecret>,
    /// Hardware address.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its own number while nobody is logged in.
    #[serde(default)]
    pub service_number: Option<Number>,
    /// The name of the slot it is logged in on; else one of its type.
    #[serde(default)]
    pub slot: Option<String>,
    /// Whether the user is logged in at once.
    #[serde(default)]
    pub log_in: OnAdding,
}

/// What happens when a user's device was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnAdding {
    /// The user is logged in on his slot.
    #[default]
    LogIn,
    /// Nobody is.
    Leave,
}

impl<'de> Deserialize<'de> for OnAdding {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if bool::deserialize(deserializer)? { Self::LogIn } else { Self::Leave })
    }
}

impl NewDevice {
    /// A device without password or address.
    #[must_use]
    pub fn named(name: &str, device_type: DeviceType) -> Self {
        Self {
            name: name.into(),
            device_type: Word(device_type),
            password: None,
            mac: None,
            service_number: None,
            slot: None,
            log_in: OnAdding::LogIn,
        }
    }

    pub(crate) fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        if let Some(password) = &mut self.password {
            visit(password, SecretFor::NewDevice(self.name.clone()));
        }
    }
}

/// Makes a device, with its password if it brings one.
pub(crate) fn add(draft: &mut Draft<'_, '_>, new: &NewDevice) -> Result<DeviceId, Refusal> {
    draft.settings()?;
    check_name(draft.exchange(), &new.name)?;
    let mac = new.mac.as_deref().map(|mac| check_mac(draft.exchange(), mac)).transpose()?;
    if let Some(service) = new.service_number {
        number::check_internal(draft.exchange(), service)?;
        if let Some(owner) = number::owner_of(draft.exchange(), service) {
            let taken = Refusal::new(RefusalCode::NumberTaken);
            return Err(taken.with("number", service).with("owner", owner));
        }
    }
    let device = DeviceId(draft.new_id());
    draft.tell(DeviceAdded {
        device,
        name: new.name.clone(),
        device_type: new.device_type.0,
        mac,
        service_number: new.service_number,
    });
    match &new.password {
        Some(password) => draft.tell(DeviceCredentialSet { device, secret: password.stored()? }),
        None => {
            draft.warn(Warning::new(WarningCode::DeviceWithoutPassword).with("device", &new.name))
        }
    }
    Ok(device)
}

/// Logs a new device in on a slot that nobody uses.
pub(crate) fn attach(
    draft: &mut Draft<'_, '_>,
    user: UserId,
    slot: SlotId,
    device: DeviceId,
) -> Result<(), Refusal> {
    roaming::fitting(draft.exchange(), slot, device)?;
    draft.tell(DeviceLoggedIn { user, slot, device });
    Ok(())
}

/// Adds a device that nobody is logged in on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// What it registers as.
    pub name: String,
    /// Kind of device.
    #[serde(rename = "type")]
    pub device_type: Word<DeviceType>,
    /// For its registration.
    #[serde(default)]
    pub password: Option<NewSecret>,
    /// Hardware address.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its own number while nobody is logged in.
    #[serde(default)]
    pub service_number: Option<Number>,
    /// Host groups it is put into.
    #[serde(default)]
    pub groups: Vec<GroupRef>,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let new = NewDevice {
            password: self.password.clone(),
            mac: self.mac.clone(),
            service_number: self.service_number,
            ..NewDevice::named(&self.name, self.device_type.0)
        };
        let device = add(draft, &new)?;
        for reference in &self.groups {
            let group = lookup::group(draft.exchange(), reference)?;
            crate::group::fit_for_members(draft, group, GroupKind::Host)?;
            draft.tell(GroupMemberAdded { group, member: Member::Device(device) });
        }
        Ok(())
    }

    fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        if let Some(password) = &mut self.password {
            visit(password, SecretFor::NewDevice(self.name.clone()));
        }
    }
}

/// Removes a device; who is logged in there is logged off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub device: DeviceRef,
    /// Even if it is in a call (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let device = lookup::device(draft.exchange(), &self.device)?;
        draft.not_in_call(device, self.force)?;
        draft.log_out(device, LogoutReason::DeviceRemoved, self.force)?;
        draft.tell(DeviceRemoved { device });
        Ok(())
    }
}

/// Sets a device's password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Which.
    pub device: DeviceRef,
    /// At least eight characters.
    pub password: NewSecret,
}

impl Decide for Password {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let device = lookup::device(draft.exchange(), &self.device)?;
        draft.tell_last(DeviceCredentialSet { device, secret: self.password.stored()? });
        Ok(())
    }

    fn each_secret(&mut self, visit: SecretVisitor<'_>) {
        visit(&mut self.password, SecretFor::Device(self.device.clone()));
    }
}

/// Logs a user in at a phone, from a client (RO-1, RO-2, RO-11). User or slot has to be named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// At which phone.
    pub device: DeviceRef,
    /// Who; his slot is chosen (RO-10).
    #[serde(default)]
    pub user: Option<UserRef>,
    /// On which slot.
    #[serde(default)]
    pub slot: Option<SlotRef>,
    /// Even if a phone that is logged off by it is in a call (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl LogIn {
    /// Who would be logged in.
    pub(crate) fn who(&self, exchange: &Exchange) -> Result<UserId, Refusal> {
        let owner = match &self.slot {
            Some(slot) => {
                let slot = lookup::slot(exchange, slot)?;
                Some(lookup::slot_state(exchange, slot)?.user)
            }
            None => None,
        };
        let named = self.user.as_ref().map(|user| lookup::user(exchange, user)).transpose()?;
        match (named, owner) {
            (Some(user), Some(owner)) if user != owner => {
                let slot = self.slot.as_ref().map(ToString::to_string).unwrap_or_default();
                Err(Refusal::new(RefusalCode::WrongOwner)
                    .with("what", lookup::user_name(exchange, user))
                    .with("other", slot))
            }
            (Some(user), _) | (None, Some(user)) => Ok(user),
            (None, None) => Err(Refusal::new(RefusalCode::ValueInvalid)
                .with("field", "user")
                .with("why", "neither `user` nor `slot` is named")),
        }
    }
}

impl Decide for LogIn {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = self.who(draft.exchange())?;
        let device = lookup::device(draft.exchange(), &self.device)?;
        let wanted =
            self.slot.as_ref().map(|slot| lookup::slot(draft.exchange(), slot)).transpose()?;
        roaming::log_in(draft, user, device, wanted, self.force)
    }
}

/// Logs off whoever is logged in at a phone, from a client (RO-3, RO-6).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOut {
    /// At which phone.
    pub device: DeviceRef,
    /// Even during a call; administrators only (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for LogOut {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let device = lookup::device(draft.exchange(), &self.device)?;
        roaming::log_out(draft, device, self.force)
    }
}

/// Sets when and how long a user's device rings (1.14, D-2, D-3). What is not named stays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// Whose setting.
    pub user: UserRef,
    /// For which device.
    pub device: DeviceRef,
    /// For calls of this origin; else of all.
    #[serde(default)]
    pub origin: Option<Word<Origin>>,
    /// Whether it rings at all.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Seconds before it begins.
    #[serde(default)]
    pub wait: Option<u32>,
    /// Seconds it rings.
    #[serde(default)]
    pub ring: Option<u32>,
}

/// The longest wait or ring time: nobody listens to a ringing tone for an hour.
pub const LONGEST_RING: u32 = 3600;

impl Decide for Ring {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = lookup::user(draft.exchange(), &self.user)?;
        let device = lookup::device(draft.exchange(), &self.device)?;
        let too_long = |seconds: Option<u32>| seconds.is_some_and(|s| s > LONGEST_RING);
        if too_long(self.wait) || too_long(self.ring) || self.ring == Some(0) {
            return Err(Refusal::new(RefusalCode::ValueInvalid)
                .with("field", "wait or ring")
                .with("why", "wait is 0 to 3600 seconds, ring 1 to 3600"));
        }
        let all = [Origin::Internal, Origin::External, Origin::Team];
        let origins = all.into_iter().filter(|o| self.origin.is_none_or(|only| only.0 == *o));
        for origin in origins {
            let state = lookup::user_state(draft.exchange(), user)?;
            let same = |e: &&FollowMe| e.device == device && e.origin == origin;
            let now = state.follow_me.iter().map(|fact| &fact.value).find(same).copied();
            let old = now.unwrap_or(FollowMe {
                device,
                origin,
                enabled: true,
                wait: Seconds(0),
                ring: FollowMe::DEFAULT_RING,
            });
            let entry = FollowMe {
                enabled: self.enabled.unwrap_or(old.enabled),
                wait: self.wait.map_or(old.wait, Seconds),
                ring: self.ring.map_or(old.ring, Seconds),
                ..old
            };
            if now != Some(entry) {
                draft.tell(FollowMeSet { user, entry });
            }
        }
        Ok(())
    }
}

/// What a device registers as is half of its address of record: plain ASCII, free.
fn check_name(exchange: &Exchange, name: &str) -> Result<(), Refusal> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    let id = uuid::Uuid::try_parse(name).is_ok();
    if name.is_empty() || name.len() > 64 || id || !name.bytes().all(fits) {
        return Err(Refusal::new(RefusalCode::DeviceNameInvalid).with("name", name));
    }
    if exchange.device_named(name).is_some() {
        return Err(Refusal::new(RefusalCode::DeviceNameTaken).with("name", name));
    }
    Ok(())
}

/// The nearest usable name: what does not fit becomes a hyphen.
pub(crate) fn usable_name(wanted: &str) -> String {
    let fit = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c) => c,
        _ => '-',
    };
    wanted.chars().map(fit).take(56).collect()
}

/// Twelve lower-case hexadecimal digits, that no other device has.
fn check_mac(exchange: &Exchange, given: &str) -> Result<String, Refusal> {
    let mac: String =
        given.chars().filter(|c| !":-.".contains(*c)).map(|c| c.to_ascii_lowercase()).collect();
    if mac.len() != 12 || !mac.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Refusal::new(RefusalCode::MacInvalid).with("mac", given));
    }
    let holder = exchange.devices.values().find(|device| device.mac.as_deref() == Some(&mac));
    match holder {
        Some(device) => {
            Err(Refusal::new(RefusalCode::MacTaken).with("mac", mac).with("device", &device.name))
        }
        None => Ok(mac),
    }
}
