//! Commands about the exchange as a whole, and the server's own at its founding and start.

use crate::command::Decide;
use crate::draft::Draft;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{Word, Zone};
use chrono_tz::Tz;
use serde::Deserialize;
use switchbook_core::id::{BookId, GroupId};
use switchbook_core::number::Number;
use switchbook_core::settings::{
    DigestPolicy, DigestPolicySet, ExchangeFounded, ForwardingTargetBlocked,
    ForwardingTargetUnblocked, ServerStarted, ServerStopped, TimeZoneSet,
};

/// Sets the system's time zone (F-6, last resort).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeZone {
    /// From now on.
    pub time_zone: Zone,
}

impl Decide for TimeZone {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        if draft.settings()?.time_zone.value != self.time_zone.0 {
            draft.tell_last(TimeZoneSet { time_zone: self.time_zone.0 });
        }
        Ok(())
    }
}

/// Sets the offered digest algorithms, for the whole realm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// `md5-then-sha256` or `sha256-only`.
    pub policy: Word<DigestPolicy>,
}

impl Decide for Digest {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        if draft.settings()?.digest.value != self.policy.0 {
            draft.tell_last(DigestPolicySet { policy: self.policy.0 });
        }
        Ok(())
    }
}

/// Blocks a number or prefix as a forwarding target (F-8).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockTarget {
    /// Every number that begins with these digits.
    pub prefix: Number,
}

impl Decide for BlockTarget {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let present = &draft.settings()?.blocked_targets;
        if !present.iter().any(|block| block.value == self.prefix) {
            draft.tell_last(ForwardingTargetBlocked { prefix: self.prefix });
        }
        Ok(())
    }
}

/// Lifts a block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnblockTarget {
    /// As it was blocked.
    pub prefix: Number,
}

impl Decide for UnblockTarget {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let present = &draft.settings()?.blocked_targets;
        if !present.iter().any(|block| block.value == self.prefix) {
            let unknown = Refusal::new(RefusalCode::BlockUnknown);
            return Err(unknown.with("prefix", self.prefix));
        }
        draft.tell_last(ForwardingTargetUnblocked { prefix: self.prefix });
        Ok(())
    }
}

/// Begins the book: realm, zone and the built-in groups. Once.
#[derive(Clone, Debug)]
pub struct Found {
    /// The book's own id, made with its folder.
    pub book: BookId,
    /// Digest realm and SIP domain, for ever.
    pub realm: String,
    /// The system's time zone.
    pub time_zone: Tz,
}

impl Decide for Found {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        if draft.exchange().settings.is_some() {
            return Err(Refusal::new(RefusalCode::AlreadyFounded));
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
        if self.realm.is_empty() || self.realm.len() > 253 || !self.realm.bytes().all(fits) {
            return Err(Refusal::new(RefusalCode::ValueInvalid)
                .with("field", "realm")
                .with("why", "it is written like a host name"));
        }
        let book = self.book;
        let all_users = GroupId(draft.new_id());
        let all_hosts = GroupId(draft.new_id());
        let admins = GroupId(draft.new_id());
        let (realm, time_zone) = (self.realm.clone(), self.time_zone);
        draft.tell_last(ExchangeFounded { book, realm, time_zone, all_users, all_hosts, admins });
        Ok(())
    }
}

/// The server came up on this book.
#[derive(Clone, Debug)]
pub struct Start {
    /// Version of Switchbook.
    pub version: String,
    /// How it stopped before.
    pub stop_before: StopBefore,
}

/// How the server stopped the last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopBefore {
    /// On request, with everything written.
    Clean,
    /// Without notice: a crash, a power cut, a kill.
    Unclean,
}

impl Decide for Start {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let clean = self.stop_before == StopBefore::Clean;
        draft.tell_last(ServerStarted { version: self.version.clone(), clean });
        Ok(())
    }
}

/// The server stops on request: the last order of a run.
#[derive(Clone, Debug)]
pub struct Stop {}

impl Decide for Stop {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.tell_last(ServerStopped {});
        Ok(())
    }
}
