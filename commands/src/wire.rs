//! How commands are written down: words for closed lists, references by id or by name, changes that can also clear.

use chrono_tz::Tz;
use serde::de::{Deserialize, Deserializer, Error as _};
use std::fmt;
use std::ops::Deref;
use switchbook_core::device::Origin;
use switchbook_core::group::GroupKind;
use switchbook_core::number::BusyIfAny;
use switchbook_core::permission::Permission;
use switchbook_core::settings::DigestPolicy;
use switchbook_core::slot::DeviceType;
use switchbook_core::user::Language;

/// A closed list of words that stand for values.
pub trait Words: Copy + 'static {
    /// What the list is called in messages.
    const WHAT: &'static str;
    /// Every word with its value, in the order of lists.
    const LIST: &'static [(&'static str, Self)];
}

/// A value written as a word (`desk`, `external`, `de`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<T>(pub T);

impl<T> Deref for Word<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Words> std::str::FromStr for Word<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hit = T::LIST.iter().find(|(word, _)| *word == text);
        hit.map(|(_, value)| Self(*value)).ok_or_else(|| {
            let words: Vec<&str> = T::LIST.iter().map(|(word, _)| *word).collect();
            format!("`{text}` is no {}: it is one of {}", T::WHAT, words.join(", "))
        })
    }
}

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Words for DeviceType {
    const WHAT: &'static str = "device type";
    const LIST: &'static [(&'static str, Self)] = &[
        ("desk", Self::Desk),
        ("dect", Self::Dect),
        ("softphone", Self::Softphone),
        ("mobile", Self::Mobile),
        ("analog", Self::Analog),
    ];
}

impl Words for Origin {
    const WHAT: &'static str = "origin of a call";
    const LIST: &'static [(&'static str, Self)] =
        &[("internal", Self::Internal), ("external", Self::External), ("team", Self::Team)];
}

impl Words for Language {
    const WHAT: &'static str = "language";
    const LIST: &'static [(&'static str, Self)] = &[("de", Self::German), ("en", Self::English)];
}

impl Words for GroupKind {
    const WHAT: &'static str = "kind of group";
    const LIST: &'static [(&'static str, Self)] = &[
        ("user", Self::User),
        ("host", Self::Host),
        ("fax", Self::Fax),
        ("queue", Self::Queue),
        ("module_gui", Self::ModuleGui),
    ];
}

impl Words for Permission {
    const WHAT: &'static str = "permission";
    const LIST: &'static [(&'static str, Self)] = &[
        ("roaming", Self::Roaming),
        ("admin", Self::Admin),
        ("audit", Self::Audit),
        ("audit.personal", Self::AuditPersonal),
        ("outbound", Self::Outbound),
        ("fax", Self::Fax),
    ];
}

impl Words for BusyIfAny {
    const WHAT: &'static str = "scope of busy-if-any";
    const LIST: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("calls", Self::Calls),
        ("calls-and-team-calls", Self::CallsAndTeamCalls),
    ];
}

impl Words for DigestPolicy {
    const WHAT: &'static str = "digest policy";
    const LIST: &'static [(&'static str, Self)] =
        &[("md5-then-sha256", Self::Md5ThenSha256), ("sha256-only", Self::Sha256Only)];
}

/// How far a choice made by hand reaches over schedules, as asked for (F-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Until {
    /// Inside a window until that window ends; outside one, schedules go before it.
    #[default]
    Default,
    /// Schedules go before it, also the one in force now.
    UnderSchedules,
    /// It holds until the window that is open now ends.
    WindowEnd,
    /// It holds until the next choice by hand.
    FurtherNotice,
}

impl Words for Until {
    const WHAT: &'static str = "end of a choice";
    const LIST: &'static [(&'static str, Self)] = &[
        ("default", Self::Default),
        ("under-schedules", Self::UnderSchedules),
        ("window-end", Self::WindowEnd),
        ("further-notice", Self::FurtherNotice),
    ];
}

impl Default for Word<Until> {
    fn default() -> Self {
        Self(Until::Default)
    }
}

/// A time zone by its name in the tz database (`Europe/Berlin`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zone(pub Tz);

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(|_| {
            D::Error::custom(format!("`{name}` is no time zone: write it like `Europe/Berlin`"))
        })
    }
}

/// A field of a command that keeps, clears or sets: absent keeps, `null` clears.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// `null`.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Change<T> {
    /// What stands afterwards, given what stands now.
    pub fn over(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

macro_rules! references {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    )+};
}

references! {
    /// A user: log-in name or id.
    UserRef;
    /// A device: what it registers as, or id.
    DeviceRef;
    /// A group: internal name or id.
    GroupRef;
    /// A slot: `log-in name/slot name` (`ada/desk`) or id.
    SlotRef;
    /// A forwarding profile: `log-in name/profile name` (`ada/Urlaub`) or id.
    ProfileRef;
    /// A trunk: name or id.
    TrunkRef;
    /// A schedule entry: its id.
    ScheduleRef;
    /// A call in progress: its id, or the position of the event that placed it (`#123`).
    CallRef;
}

macro_rules! from_ids {
    ($($reference:ident <- $id:ident),+) => {$(
        impl From<switchbook_core::id::$id> for $reference {
            fn from(id: switchbook_core::id::$id) -> Self {
                Self(id.to_string())
            }
        }
    )+};
}

from_ids!(UserRef <- UserId, DeviceRef <- DeviceId, GroupRef <- GroupId, SlotRef <- SlotId,
    ProfileRef <- ProfileId, TrunkRef <- TrunkId, ScheduleRef <- ScheduleId);
