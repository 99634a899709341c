//! The register of all events: name, stable tag, version, codec entry and upcasters in one table.
//!
//! Tags and versions are for ever: a tag is never reused, a struct that was released never changes. A new shape
//! is a new version with a struct of its own; the old struct stays, with an upcaster to the newest.

use crate::envelope::{Envelope, Subject};
use crate::exchange::Exchange;
use crate::personal::{HasPersonal, Personal, ShowsPersonal};
use crate::{
    call, device, erasure, forwarding, group, number, permission, refusal, registration, schedule,
    seal, settings, slot, trunk, user,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An event's effect on the state, and what it concerns. `evolve` cannot fail: an event is a fact.
pub trait Evolve {
    /// Adds the objects whose history this event belongs to.
    fn subjects(&self, out: &mut Vec<Subject>);
    /// Folds the event into the state.
    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope);
}

/// What the register knows of an event type.
pub trait EventType:
    Serialize + DeserializeOwned + HasPersonal + ShowsPersonal + Evolve + Into<Event>
{
    /// The stable number in the book.
    const TAG: u16;
    /// The newest version of the struct.
    const VERSION: u8;
    /// The name in pages and exports.
    const NAME: &'static str;
}

/// Turns payload bytes into a struct: the journal's codecs implement this, `core` knows no byte format.
pub trait PayloadDecoder {
    /// What a codec reports.
    type Error;
    /// Decodes one frozen struct.
    ///
    /// # Errors
    /// When the bytes are not this struct in this codec.
    fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, Self::Error>;
}

/// Turns a struct into payload bytes.
pub trait PayloadEncoder {
    /// What a codec reports.
    type Error;
    /// Appends the encoded struct to `out`.
    ///
    /// # Errors
    /// When the codec cannot express the struct (never for the shapes used here).
    fn encode<T: Serialize>(&self, event: &T, out: &mut Vec<u8>) -> Result<(), Self::Error>;
}

/// Why a payload could not become an event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError<E> {
    /// The book was written by a newer Switchbook.
    #[error(
        "event tag {tag:#06x} version {version} is not known to this version of Switchbook: the book was written by a newer one; use that, or a newer one still"
    )]
    Unknown {
        /// The tag found.
        tag: u16,
        /// The version found.
        version: u8,
    },
    /// The codec refused the bytes.
    #[error("the payload of event tag {tag:#06x} version {version} cannot be decoded: {source}")]
    Payload {
        /// The tag found.
        tag: u16,
        /// The version found.
        version: u8,
        /// What the codec said.
        source: E,
    },
}

/// Marks event types without personal fields.
macro_rules! nothing_personal {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::personal::HasPersonal for $name {
            fn each_personal(&mut self, _: &mut dyn FnMut(&mut $crate::personal::Personal)) {}
        }

        impl $crate::personal::ShowsPersonal for $name {
            fn any_personal(&self, _: &dyn Fn(&$crate::personal::Personal) -> bool) -> bool {
                false
            }
        }
    )+};
}

/// Lists the personal fields of a type, in the order they are sealed.
macro_rules! personal_fields {
    ($name:ty: $($field:ident),+) => {
        impl $crate::personal::HasPersonal for $name {
            fn each_personal(&mut self, visit: &mut dyn FnMut(&mut $crate::personal::Personal)) {
                $($crate::personal::HasPersonal::each_personal(&mut self.$field, visit);)+
            }
        }

        impl $crate::personal::ShowsPersonal for $name {
            fn any_personal(&self, is: &dyn Fn(&$crate::personal::Personal) -> bool) -> bool {
                false $(|| $crate::personal::ShowsPersonal::any_personal(&self.$field, is))+
            }
        }
    };
}

pub(crate) use {nothing_personal, personal_fields};

macro_rules! events {
    ($($tag:literal v $version:literal $module:ident :: $name:ident $( { $($old:literal => $was:ident),+ } )?;)+) => {
        /// Everything that can have happened.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Event {
            $(#[doc = concat!("Tag ", stringify!($tag), ", version ", stringify!($version), ".")]
            $name($module::$name),)+
        }

        $(
            impl EventType for $module::$name {
                const TAG: u16 = $tag;
                const VERSION: u8 = $version;
                const NAME: &'static str = stringify!($name);
            }

            impl From<$module::$name> for Event {
                fn from(event: $module::$name) -> Self {
                    Self::$name(event)
                }
            }
        )+

        impl Event {
            /// Every (tag, newest version, name), in the order of tags: for documents and golden tests.
            pub const REGISTER: &'static [(u16, u8, &'static str)] =
                &[$(($tag, $version, stringify!($name))),+];

            /// The stable number in the book.
            #[must_use]
            pub const fn tag(&self) -> u16 {
                match self { $(Self::$name(_) => $tag,)+ }
            }

            /// The version this event is written with.
            #[must_use]
            pub const fn version(&self) -> u8 {
                match self { $(Self::$name(_) => $version,)+ }
            }

            /// The name in pages and exports.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)+ }
            }

            /// The objects whose history this event belongs to.
            #[must_use]
            pub fn subjects(&self) -> Vec<Subject> {
                let mut out = Vec::with_capacity(3);
                match self { $(Self::$name(event) => event.subjects(&mut out),)+ }
                out
            }

            /// Folds the event into the state; what surrounds all events is the exchange's business.
            pub(crate) fn apply(&self, exchange: &mut Exchange, envelope: &Envelope) {
                match self { $(Self::$name(event) => event.evolve(exchange, envelope),)+ }
            }

            /// Appends the payload, as this event's version has it.
            ///
            /// # Errors
            /// The codec's.
            pub fn encode<C: PayloadEncoder>(&self, codec: &C, out: &mut Vec<u8>) -> Result<(), C::Error> {
                match self { $(Self::$name(event) => codec.encode(event, out),)+ }
            }

            /// The event that a payload of this tag and version means today: old versions are upcast.
            ///
            /// # Errors
            /// [`DecodeError::Unknown`] for a tag or version of a newer Switchbook, else the codec's.
            pub fn decode<C: PayloadDecoder>(
                tag: u16,
                version: u8,
                payload: &[u8],
                codec: &C,
            ) -> Result<Self, DecodeError<C::Error>> {
                let bad = |source| DecodeError::Payload { tag, version, source };
                match (tag, version) {
                    $(($tag, $version) => codec.decode::<$module::$name>(payload).map(Self::$name).map_err(bad),
                    $($(($tag, $old) => codec
                        .decode::<$module::$was>(payload)
                        .map(|old| Self::$name(old.into()))
                        .map_err(bad),)+)?)+
                    _ => Err(DecodeError::Unknown { tag, version }),
                }
            }
        }

        impl HasPersonal for Event {
            fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
                match self { $(Self::$name(event) => event.each_personal(visit),)+ }
            }
        }

        impl ShowsPersonal for Event {
            fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
                match self { $(Self::$name(event) => event.any_personal(is),)+ }
            }
        }

        impl Serialize for Event {
            /// For people and exports: the bare payload. The book writes payloads through [`Event::encode`].
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$name(event) => event.serialize(serializer),)+ }
            }
        }
    };
}

events! {
    0x0001 v 1 settings::ExchangeFounded;
    0x0002 v 1 settings::ServerStarted;
    0x0003 v 1 settings::TimeZoneSet;
    0x0004 v 1 settings::DigestPolicySet;
    0x0005 v 1 refusal::AttemptRefused;
    0x0006 v 1 refusal::PersonalFieldsOpened;
    0x0007 v 1 settings::ForwardingTargetBlocked;
    0x0008 v 1 settings::ForwardingTargetUnblocked;
    0x0009 v 1 settings::ServerStopped;
    0x000b v 1 seal::BookSealed;
    0x000c v 1 seal::SealingKeyMade;
    0x000d v 1 erasure::RetentionSet;
    0x000e v 1 erasure::PeriodErased;
    0x000f v 1 refusal::BackupTaken;

    0x0101 v 1 user::UserAdded;
    0x0102 v 1 user::UserDeleted;
    0x0103 v 1 user::UserRenamed;
    0x0104 v 1 user::PasswordSet;
    0x0105 v 1 user::PinSet;
    0x0106 v 1 user::DoNotDisturbSet;
    0x0107 v 1 user::CallerIdChosen;
    0x0108 v 1 user::LanguageChosen;
    0x0109 v 1 user::UserTimeZoneSet;
    0x010a v 1 user::ContactDetailsChanged;
    0x010b v 1 erasure::PersonErased;

    0x0201 v 1 number::NumberAssigned;
    0x0202 v 1 number::NumberFreed;
    0x0203 v 1 number::MatrixChanged;
    0x0204 v 1 number::CallWaitingSet;
    0x0205 v 1 number::BusyIfAnySet;

    0x0301 v 1 slot::SlotAdded;
    0x0302 v 1 slot::SlotRemoved;
    0x0303 v 1 slot::NumberSelected;

    0x0401 v 1 device::DeviceAdded;
    0x0402 v 1 device::DeviceRemoved;
    0x0403 v 1 device::DeviceCredentialSet;
    0x0404 v 1 device::DeviceLoggedIn;
    0x0405 v 1 device::DeviceLoggedOut;
    0x0406 v 1 device::FollowMeSet;

    0x0501 v 1 group::GroupAdded;
    0x0502 v 1 group::GroupRemoved;
    0x0503 v 1 group::GroupMemberAdded;
    0x0504 v 1 group::GroupMemberRemoved;
    0x0505 v 1 group::GroupTimeZoneSet;
    0x0506 v 1 group::GroupRetitled;

    0x0601 v 1 permission::PermissionGranted;
    0x0602 v 1 permission::PermissionWithdrawn;

    0x0701 v 1 forwarding::ProfileAdded;
    0x0702 v 1 forwarding::ProfileRulesSet;
    0x0703 v 1 forwarding::ProfileRenamed;
    0x0704 v 1 forwarding::ProfileDeleted;
    0x0705 v 1 forwarding::ProfileActivated;
    0x0706 v 1 forwarding::ProfileDeactivated;

    0x0801 v 2 schedule::ScheduleAdded { 1 => ScheduleAddedV1 };
    0x0802 v 1 schedule::ScheduleRemoved;
    0x0803 v 1 schedule::ScheduleFired;
    0x0804 v 1 schedule::ScheduleEdgesMissed;

    0x0901 v 1 trunk::TrunkAdded;
    0x0902 v 1 trunk::TrunkRemoved;
    0x0903 v 1 trunk::InboundNumberAssigned;
    0x0904 v 1 trunk::InboundNumberFreed;

    0x0a01 v 1 registration::PhoneRegistered;
    0x0a02 v 1 registration::RegistrationChanged;
    0x0a03 v 1 registration::RegistrationRemoved;
    0x0a04 v 1 registration::RegistrationExpired;

    0x0b01 v 1 call::CallPlaced;
    0x0b02 v 1 call::CallAnswered;
    0x0b03 v 1 call::CallDiverted;
    0x0b04 v 1 call::CallEnded;
    0x0b05 v 1 call::CallLost;
    0x0b06 v 1 call::CallRecordsMissed;
    0x0b07 v 1 call::HangUpOrdered;
}

impl Event {
    /// Is it about a binding? Those hold the address they came from themselves.
    #[must_use]
    pub const fn is_registration(&self) -> bool {
        matches!(
            self,
            Self::PhoneRegistered(_)
                | Self::RegistrationChanged(_)
                | Self::RegistrationRemoved(_)
                | Self::RegistrationExpired(_)
        )
    }
}
