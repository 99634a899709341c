//! What a phone asks for, by feature code or key: the phone is the actor, whoever is logged in there is meant.

use crate::command::Decide;
use crate::draft::{Draft, Force};
use crate::forwarding;
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use crate::roaming;
use crate::secret::PinEntry;
use crate::wire::Until;
use crate::{authorise::Standing, user};
use serde::Deserialize;
use switchbook_core::envelope::Subject;
use switchbook_core::id::{DeviceId, UserId};
use switchbook_core::number::Number;
use switchbook_core::routing::outbound::{CallingAs, calling_as};

/// Logs a user in at this phone with extension and PIN. The Desk's front checks the PIN before (RO-12).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// One of his numbers.
    pub extension: Number,
    /// His PIN.
    pub pin: PinEntry,
}

impl Decide for LogIn {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let device = this_phone(draft)?;
        let failed = || Refusal::new(RefusalCode::LoginFailed).about(Subject::Device(device));
        let user = match self.pin {
            PinEntry::Right(user) => user,
            PinEntry::Wrong | PinEntry::Clear(_) => return Err(failed()),
            PinEntry::Locked { seconds } => {
                return Err(Refusal::new(RefusalCode::LoginLocked)
                    .with("seconds", seconds)
                    .about(Subject::Device(device)));
            }
        };
        // The number may have changed hands between the check and now.
        let owner = draft.exchange().numbers.get(&self.extension).map(|n| n.owner.value);
        if owner != Some(user) {
            return Err(failed());
        }
        roaming::log_in(draft, user, device, None, Force::No)
    }
}

/// Logs off whoever is logged in at this phone (RO-3).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOut {}

impl Decide for LogOut {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let device = this_phone(draft)?;
        roaming::log_out(draft, device, Force::No)
    }
}

/// Switches do-not-disturb of whoever is logged in here (RO-7).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dnd {
    /// On or off.
    pub on: bool,
}

impl Decide for Dnd {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (_, user) = here(draft)?;
        user::disturb(draft, user, self.on)
    }
}

/// Sets a forwarding profile for the number in use at this phone, or none (RO-7, F-1).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Which of the user's profiles, from 1 in the order they were made; none switches off.
    #[serde(default)]
    pub profile: Option<u8>,
    /// How far it reaches over schedules.
    #[serde(default)]
    pub until: crate::wire::Word<Until>,
}

impl Decide for Forward {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (device, user) = here(draft)?;
        let number = match calling_as(draft.exchange(), device) {
            CallingAs::User { number, .. } => number,
            CallingAs::NoNumberOnSlot { slot, .. } => {
                return Err(Refusal::new(RefusalCode::NoNumberOnSlot)
                    .with("slot", lookup::slot_name(draft.exchange(), slot))
                    .about(Subject::Slot(slot)));
            }
            CallingAs::Device { .. } => return Err(nobody(draft, device)),
        };
        let profile = match self.profile {
            None => None,
            Some(nth) => {
                let state = lookup::user_state(draft.exchange(), user)?;
                let found = state.profiles.get(usize::from(nth).wrapping_sub(1)).copied();
                let unknown = || Refusal::new(RefusalCode::ProfileUnknown).with("profile", nth);
                Some(found.ok_or_else(unknown)?)
            }
        };
        forwarding::choose(draft, number, profile, self.until.0)
    }
}

/// A phone that authenticated as itself has registered or called under another's name (checklist 8, 11, 14). The phones'
/// room has refused it already; the refusal here puts it into the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The phone whose password was right.
    pub device: DeviceId,
    /// The phone it spoke for; none: no phone has that name.
    pub claimed: Option<DeviceId>,
}

impl Decide for Claim {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let name = |device| lookup::device_name(draft.exchange(), device);
        let mut refusal = Refusal::new(RefusalCode::AddressNotYours)
            .with("device", name(self.device))
            .with("claimed", self.claimed.map_or_else(|| "–".to_owned(), name))
            .about(Subject::Device(self.device));
        refusal.about.extend(self.claimed.map(Subject::Device));
        Err(refusal)
    }
}

fn this_phone(draft: &Draft<'_, '_>) -> Result<DeviceId, Refusal> {
    match draft.standing {
        Standing::Phone(device) => Ok(device),
        _ => Err(Refusal::new(RefusalCode::Forbidden)
            .with("who", "this client")
            .with("command", "phone")),
    }
}

fn here(draft: &Draft<'_, '_>) -> Result<(DeviceId, UserId), Refusal> {
    let device = this_phone(draft)?;
    Ok((device, roaming::logged_in(draft.exchange(), device)?))
}

fn nobody(draft: &Draft<'_, '_>, device: DeviceId) -> Refusal {
    Refusal::new(RefusalCode::NobodyLoggedIn)
        .with("device", lookup::device_name(draft.exchange(), device))
        .about(Subject::Device(device))
}
