//! Who may: one function, and nobody passes by default.

use crate::command::Command;
use crate::lookup;
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{DeviceRef, ProfileRef, SlotRef, UserRef};
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, ScheduleId, UserId};
use switchbook_core::number::Number;
use switchbook_core::permission::Permission;

/// Whose rights an order has, after actor and impersonation were looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The server itself.
    System,
    /// The local console.
    Supervisor,
    /// A user who holds `admin`, in the admin client.
    Administrator(UserId),
    /// A user in his own client: his own things only.
    User(UserId),
    /// A phone.
    Phone(DeviceId),
    /// A schedule.
    Schedule(ScheduleId),
    /// A reader with the right `audit`.
    Auditor(UserId),
}

impl Standing {
    /// May it do what the admin client does?
    #[must_use]
    pub const fn administers(self) -> bool {
        matches!(self, Self::Supervisor | Self::Administrator(_))
    }
}

/// What a command asks of the one who gives it.
enum Needs {
    /// The admin client.
    Admin,
    /// The admin client, or this user himself.
    AdminOr(UserId),
    /// Any phone (who is logged in there, is decided later).
    APhone,
    /// This phone.
    ThisPhone(DeviceId),
    /// This phone, or the server.
    SystemOr(Option<DeviceId>),
    /// This schedule.
    ThisSchedule(ScheduleId),
    /// The server.
    System,
    /// The admin client, or the server by itself at set times.
    AdminOrSystem,
    /// A reader of the book who holds `audit.personal`, or the console.
    Reader,
}

/// May the one who gives this order do so? Nothing but this function says yes.
///
/// # Errors
/// `FORBIDDEN`; or `…_UNKNOWN` when the thing whose owner decides does not exist.
pub fn authorise(exchange: &Exchange, order: &Order) -> Result<Standing, Refusal> {
    let forbidden = || forbidden(exchange, order);
    let standing = standing(exchange, order).ok_or_else(forbidden)?;
    let needs = needs(exchange, &order.command)?;
    if passes(exchange, &needs, standing) {
        return Ok(standing);
    }
    // `--as` gives that user's rights: his own things as in his client, else the admin client if he holds it.
    if let (Actor::Supervisor { .. }, Standing::User(user)) = (order.actor, standing)
        && exchange.holds(user, Permission::Admin).is_some()
        && passes(exchange, &needs, Standing::Administrator(user))
    {
        return Ok(Standing::Administrator(user));
    }
    // The same for an auditor's rights: the event names the console and the user both.
    if let (Actor::Supervisor { .. }, Standing::User(user)) = (order.actor, standing)
        && exchange.holds(user, Permission::Audit).is_some()
        && passes(exchange, &needs, Standing::Auditor(user))
    {
        return Ok(Standing::Auditor(user));
    }
    Err(forbidden())
}

fn passes(exchange: &Exchange, needs: &Needs, standing: Standing) -> bool {
    match (needs, standing) {
        (Needs::Admin | Needs::AdminOr(_) | Needs::AdminOrSystem, standing)
            if standing.administers() =>
        {
            true
        }
        (Needs::AdminOr(owner), Standing::User(user)) => *owner == user,
        (Needs::APhone, Standing::Phone(_)) => true,
        (Needs::ThisPhone(device), Standing::Phone(phone)) => *device == phone,
        (Needs::SystemOr(_) | Needs::System | Needs::AdminOrSystem, Standing::System) => true,
        (Needs::SystemOr(Some(device)), Standing::Phone(phone)) => *device == phone,
        (Needs::ThisSchedule(schedule), Standing::Schedule(own)) => *schedule == own,
        (Needs::Reader, Standing::Supervisor) => true,
        (Needs::Reader, Standing::Auditor(user)) => {
            exchange.holds(user, Permission::AuditPersonal).is_some()
        }
        _ => false,
    }
}

/// Whose rights count. `None`: nobody's.
fn standing(exchange: &Exchange, order: &Order) -> Option<Standing> {
    let exists = |user: &UserId| exchange.users.contains_key(user);
    let holds = |user, right| exchange.holds(user, right).is_some();
    match (order.actor, order.on_behalf_of) {
        (Actor::System, None) => Some(Standing::System),
        (Actor::Supervisor { .. }, None) => Some(Standing::Supervisor),
        (Actor::Supervisor { .. }, Some(user)) => exists(&user).then_some(Standing::User(user)),
        (Actor::Admin(user), None) => {
            holds(user, Permission::Admin).then_some(Standing::Administrator(user))
        }
        // RO-16, I-3: with the user's rights, not the administrator's; I-5: never another administrator's.
        (Actor::Admin(admin), Some(user)) => {
            let may = holds(admin, Permission::Admin) && !holds(user, Permission::Admin);
            (may && exists(&user)).then_some(Standing::User(user))
        }
        (Actor::User(user), None) => exists(&user).then_some(Standing::User(user)),
        (Actor::Phone(device), None) => {
            exchange.devices.contains_key(&device).then_some(Standing::Phone(device))
        }
        (Actor::Schedule(schedule), None) => Some(Standing::Schedule(schedule)),
        (Actor::Auditor(user), None) => {
            holds(user, Permission::Audit).then_some(Standing::Auditor(user))
        }
        (
            Actor::System
            | Actor::User(_)
            | Actor::Phone(_)
            | Actor::Schedule(_)
            | Actor::Auditor(_),
            Some(_),
        ) => None,
    }
}

fn needs(exchange: &Exchange, command: &Command) -> Result<Needs, Refusal> {
    let of_user = |user: &UserRef| lookup::user(exchange, user).map(Needs::AdminOr);
    let of_number =
        |number: Number| Ok(Needs::AdminOr(lookup::number(exchange, number)?.owner.value));
    let of_slot = |slot: &SlotRef| {
        let slot = lookup::slot(exchange, slot)?;
        Ok(Needs::AdminOr(lookup::slot_state(exchange, slot)?.user))
    };
    let of_profile = |profile: &ProfileRef| {
        let profile = lookup::profile(exchange, profile)?;
        Ok(Needs::AdminOr(lookup::profile_state(exchange, profile)?.owner))
    };
    let of_login = |device: &DeviceRef| {
        let device = lookup::device(exchange, device)?;
        let login = lookup::device_state(exchange, device)?.login;
        let slot = login.and_then(|login| exchange.slots.get(&login.value));
        Ok(slot.map_or(Needs::Admin, |slot| Needs::AdminOr(slot.user)))
    };
    Ok(match command {
        Command::UserAdd(_)
        | Command::UserDelete(_)
        | Command::UserRename(_)
        | Command::NumberAdd(_)
        | Command::NumberRemove(_)
        | Command::SlotAdd(_)
        | Command::SlotRemove(_)
        | Command::DeviceAdd(_)
        | Command::DeviceRemove(_)
        | Command::DevicePassword(_)
        | Command::GroupAdd(_)
        | Command::GroupRemove(_)
        | Command::GroupAddMember(_)
        | Command::GroupRemoveMember(_)
        | Command::GroupTimeZone(_)
        | Command::GroupRetitle(_)
        | Command::PermissionGrant(_)
        | Command::PermissionWithdraw(_)
        | Command::TrunkAdd(_)
        | Command::TrunkRemove(_)
        | Command::TrunkAssign(_)
        | Command::TrunkFree(_)
        | Command::CallHangUp(_)
        | Command::SettingsTimeZone(_)
        | Command::SettingsDigest(_)
        | Command::SettingsBlockTarget(_)
        | Command::SettingsUnblockTarget(_)
        | Command::SettingsRetention(_)
        | Command::PersonErase(_)
        | Command::PeriodErase(_)
        // only levels that may.
        | Command::BackupTaken(_) => Needs::Admin,

        Command::UserPassword(c) => of_user(&c.user)?,
        Command::UserPin(c) => of_user(&c.user)?,
        Command::UserDnd(c) => of_user(&c.user)?,
        Command::UserCallerId(c) => of_user(&c.user)?,
        Command::UserLanguage(c) => of_user(&c.user)?,
        Command::UserTimeZone(c) => of_user(&c.user)?,
        Command::UserContact(c) => of_user(&c.user)?,
        Command::DeviceRing(c) => of_user(&c.user)?,
        Command::ProfileAdd(c) => of_user(&c.user)?,

        Command::NumberTick(c) => of_number(c.number)?,
        Command::NumberUntick(c) => of_number(c.number)?,
        Command::NumberCallWaiting(c) => of_number(c.number)?,
        Command::NumberBusyIfAny(c) => of_number(c.number)?,
        Command::ForwardingSet(c) => of_number(c.number)?,
        Command::ForwardingClear(c) => of_number(c.number)?,
        Command::ScheduleAdd(c) => of_number(c.number)?,
        Command::ScheduleRemove(c) => of_number(lookup::schedule(exchange, &c.schedule)?.1.number)?,

        Command::NumberSwap(c) => of_slot(&c.slot)?,
        Command::SlotSelect(c) => of_slot(&c.slot)?,

        Command::ProfileRules(c) => of_profile(&c.profile)?,
        Command::ProfileRename(c) => of_profile(&c.profile)?,
        Command::ProfileDelete(c) => of_profile(&c.profile)?,

        Command::DeviceLogIn(c) => Needs::AdminOr(c.who(exchange)?),
        Command::DeviceLogOut(c) => of_login(&c.device)?,

        Command::PhoneLogIn(_)
        | Command::PhoneLogOut(_)
        | Command::PhoneDnd(_)
        | Command::PhoneForward(_) => Needs::APhone,

        Command::Register(c) => Needs::ThisPhone(c.device),
        Command::PhoneClaim(c) => Needs::ThisPhone(c.device),
        Command::CallRecord(c) => Needs::SystemOr(c.caller()),
        Command::ScheduleFire(c) => Needs::ThisSchedule(c.schedule),
        Command::RegistrationExpire(_)
        | Command::ScheduleMissed(_)
        | Command::ExchangeFound(_)
        | Command::ServerStart(_)
        | Command::ServerStop(_)
        | Command::ErasureApply(_) => Needs::System,
        Command::AuditSeal(_) => Needs::AdminOrSystem,
        Command::AuditOpened(_) => Needs::Reader,
    })
}

fn forbidden(exchange: &Exchange, order: &Order) -> Refusal {
    let name = |user| lookup::user_name(exchange, user);
    let (who, about) = match (order.actor, order.on_behalf_of) {
        (Actor::System, _) => ("the server".into(), Subject::Exchange),
        (Actor::Supervisor { .. }, None) => ("the console".into(), Subject::Exchange),
        (Actor::Supervisor { .. } | Actor::Admin(_), Some(user)) => {
            (name(user), Subject::User(user))
        }
        (Actor::Admin(user) | Actor::User(user) | Actor::Auditor(user), _) => {
            (name(user), Subject::User(user))
        }
        (Actor::Phone(device), _) => {
            (lookup::device_name(exchange, device), Subject::Device(device))
        }
        (Actor::Schedule(schedule), _) => (schedule.to_string(), Subject::Schedule(schedule)),
    };
    Refusal::new(RefusalCode::Forbidden)
        .with("who", who)
        .with("command", order.command.name())
        .about(about)
}
