//! The register of all commands: stable name, struct, in one table.
//!
//! In JSON a command is one flat object: `{"command":"user.add","username":"ada",…}`. Fields that a command does not
//! have are refused by name. Commands of the server itself (registrations, call records, fired edges) have no JSON
//! form at all: nobody can send them from outside.

use crate::draft::Draft;
use crate::refusal::Refusal;
use crate::secret::SecretVisitor;
use crate::{
    audit, backup, call, device, erasure, forwarding, group, number, permission, phone, profile,
    registration, schedule, seal, settings, slot, trunk, user,
};
use serde::Deserialize;

/// What every command can do: decide.
pub(crate) trait Decide {
    /// Tells the draft what happens, or refuses. Who may, was asked before by [`authorise`](crate::authorise).
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal>;

    /// Shows every secret inside, before the Desk sees the command.
    fn each_secret(&mut self, _: SecretVisitor<'_>) {}
}

macro_rules! commands {
    (
        from outside { $($name:literal $variant:ident $module:ident :: $struct:ident;)+ }
        of the server { $($own_name:literal $own_variant:ident $own_module:ident :: $own_struct:ident;)+ }
    ) => {
        /// Everything that can be asked of the exchange.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(tag = "command")]
        pub enum Command {
            $(#[doc = concat!("`", $name, "`")]
            #[serde(rename = $name)]
            $variant($module::$struct),)+
            $(#[doc = concat!("`", $own_name, "`, by the server itself.")]
            #[serde(skip)]
            $own_variant($own_module::$own_struct),)+
        }

        $(impl From<$module::$struct> for Command {
            fn from(command: $module::$struct) -> Self {
                Self::$variant(command)
            }
        })+

        $(impl From<$own_module::$own_struct> for Command {
            fn from(command: $own_module::$own_struct) -> Self {
                Self::$own_variant(command)
            }
        })+

        impl Command {
            /// The stable names of all commands that can be sent, in the order of the manual.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The stable names of the server's own commands.
            pub const OWN_NAMES: &'static [&'static str] = &[$($own_name),+];

            /// The stable name (`user.add`).
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                    $(Self::$own_variant(_) => $own_name,)+
                }
            }

            pub(crate) fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
                match self {
                    $(Self::$variant(command) => command.decide(draft),)+
                    $(Self::$own_variant(command) => command.decide(draft),)+
                }
            }

            /// Shows every secret the command carries.
            pub fn each_secret(&mut self, visit: SecretVisitor<'_>) {
                match self {
                    $(Self::$variant(command) => command.each_secret(visit),)+
                    $(Self::$own_variant(command) => command.each_secret(visit),)+
                }
            }
        }
    };
}

commands! {
    from outside {
        "user.add" UserAdd user::Add;
        "user.delete" UserDelete user::Delete;
        "user.rename" UserRename user::Rename;
        "user.password" UserPassword user::Password;
        "user.pin" UserPin user::Pin;
        "user.dnd" UserDnd user::Dnd;
        "user.caller_id" UserCallerId user::CallerId;
        "user.language" UserLanguage user::ChooseLanguage;
        "user.time_zone" UserTimeZone user::TimeZone;
        "user.contact" UserContact user::Contact;

        "number.add" NumberAdd number::Add;
        "number.remove" NumberRemove number::Remove;
        "number.tick" NumberTick number::Tick;
        "number.untick" NumberUntick number::Untick;
        "number.swap" NumberSwap number::Swap;
        "number.call_waiting" NumberCallWaiting number::CallWaiting;
        "number.busy_if_any" NumberBusyIfAny number::SetBusyIfAny;

        "slot.add" SlotAdd slot::Add;
        "slot.remove" SlotRemove slot::Remove;
        "slot.select" SlotSelect slot::Select;

        "device.add" DeviceAdd device::Add;
        "device.remove" DeviceRemove device::Remove;
        "device.password" DevicePassword device::Password;
        "device.log_in" DeviceLogIn device::LogIn;
        "device.log_out" DeviceLogOut device::LogOut;
        "device.ring" DeviceRing device::Ring;

        "group.add" GroupAdd group::Add;
        "group.remove" GroupRemove group::Remove;
        "group.add_member" GroupAddMember group::AddMember;
        "group.remove_member" GroupRemoveMember group::RemoveMember;
        "group.time_zone" GroupTimeZone group::TimeZone;
        "group.retitle" GroupRetitle group::Retitle;

        "permission.grant" PermissionGrant permission::GrantRight;
        "permission.withdraw" PermissionWithdraw permission::Withdraw;

        "profile.add" ProfileAdd profile::Add;
        "profile.rules" ProfileRules profile::Rules;
        "profile.rename" ProfileRename profile::Rename;
        "profile.delete" ProfileDelete profile::Delete;

        "forwarding.set" ForwardingSet forwarding::Set;
        "forwarding.clear" ForwardingClear forwarding::Clear;

        "schedule.add" ScheduleAdd schedule::Add;
        "schedule.remove" ScheduleRemove schedule::Remove;

        "trunk.add" TrunkAdd trunk::Add;
        "trunk.remove" TrunkRemove trunk::Remove;
        "trunk.assign" TrunkAssign trunk::Assign;
        "trunk.free" TrunkFree trunk::Free;

        "settings.time_zone" SettingsTimeZone settings::TimeZone;
        "settings.digest" SettingsDigest settings::Digest;
        "settings.block_target" SettingsBlockTarget settings::BlockTarget;
        "settings.unblock_target" SettingsUnblockTarget settings::UnblockTarget;
        "settings.retention" SettingsRetention erasure::Retention;

        "person.erase" PersonErase erasure::ErasePerson;
        "period.erase" PeriodErase erasure::ErasePeriod;

        "call.hang_up" CallHangUp call::HangUp;

        "phone.log_in" PhoneLogIn phone::LogIn;
        "phone.log_out" PhoneLogOut phone::LogOut;
        "phone.dnd" PhoneDnd phone::Dnd;
        "phone.forward" PhoneForward phone::Forward;
    }
    of the server {
        "registration.register" Register registration::Register;
        "registration.expire" RegistrationExpire registration::Expire;
        "phone.claim" PhoneClaim phone::Claim;
        "call.record" CallRecord call::Record;
        "schedule.fire" ScheduleFire schedule::Fire;
        "schedule.missed" ScheduleMissed schedule::Missed;
        "exchange.found" ExchangeFound settings::Found;
        "server.start" ServerStart settings::Start;
        "server.stop" ServerStop settings::Stop;
        "audit.opened" AuditOpened audit::Opened;
        "backup.taken" BackupTaken backup::Taken;
        "audit.seal" AuditSeal seal::Seal;
        "erasure.apply" ErasureApply erasure::Apply;
    }
}
