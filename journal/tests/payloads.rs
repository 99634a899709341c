//! Payloads are for ever: every event in every version, and every variant of every enum that stands in the book, has a
//! row of bytes in `golden/payloads.txt`. Rows are added by hand and never changed; a row that does not hold means that
//! a released event was changed, which is what a new version is for (docs/journal-format.md).

#![allow(clippy::unwrap_used, missing_docs)]

mod samples;
mod support;

use samples::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use support::{command, commit};
use switchbook_core::call::{CallOutcome, CallStatus, Caller, Dialled};
use switchbook_core::device::{LogoutReason, Origin};
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::event::{Event, PayloadDecoder, PayloadEncoder};
use switchbook_core::forwarding::{Condition, Reach, Target};
use switchbook_core::group::{GroupKind, Member};
use switchbook_core::number::BusyIfAny;
use switchbook_core::permission::Permission;
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Position, Seconds};
use switchbook_core::schedule::{Days, Edge, Minute, Pattern};
use switchbook_core::settings::DigestPolicy;
use switchbook_core::slot::DeviceType;
use switchbook_core::user::Language;
use switchbook_journal::codec::Codec;
use switchbook_journal::record::{decode_record, encode_record};

/// Row by row: what comes before the bytes, and the bytes.
fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = include_str!("golden/payloads.txt").lines();
    let rows = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = BTreeMap::new();
    for (name, hex) in rows.map(|row| row.rsplit_once(' ').unwrap()) {
        assert_eq!(hex.len() % 2, 0, "{name}");
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        let before = all.insert(name, bytes.collect::<Result<Vec<u8>, _>>().unwrap());
        assert_eq!(before, None, "two rows for {name}");
    }
    all
}

/// What is compared with the rows; it tells everything that does not hold at once.
struct Check {
    rows: BTreeMap<&'static str, Vec<u8>>,
    seen: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Check {
    fn row(&mut self, name: String, encoded: &[u8], holds: impl FnOnce(&[u8]) -> bool) {
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.rows.get(name.as_str()) {
            None => self.wrong.push(format!("no row; if it is new, this is it:\n{name} {hex}")),
            Some(row) if row != encoded => {
                self.wrong.push(format!("encodes to other bytes now:\n{name} {hex}"));
            }
            Some(row) if !holds(row) => {
                self.wrong.push(format!("its bytes decode to something else now:\n{name} {hex}"));
            }
            Some(_) => {}
        }
        assert!(self.seen.insert(name.clone()), "two samples for {name}");
    }

    /// A value as it stands inside payloads.
    fn value<T: Serialize + DeserializeOwned + PartialEq + Debug>(
        &mut self,
        name: &str,
        value: &T,
    ) {
        let mut encoded = Vec::new();
        PayloadEncoder::encode(&Codec::Bincode, value, &mut encoded).unwrap();
        let name = format!("value - {name}");
        self.row(name, &encoded, |row| {
            PayloadDecoder::decode::<T>(&Codec::Bincode, row).is_ok_and(|back| back == *value)
        });
    }

    /// A whole record, for what stands in the envelope.
    fn record(&mut self, name: &str, by: Actor, subject: Subject) {
        let mut commit = commit(Position(1), by, command(0xc1), samples()[1..2].to_vec());
        let record = &mut commit.records[0];
        record.envelope.subjects = vec![subject];
        let mut body = Vec::new();
        encode_record(record, true, Position(0), Codec::Bincode, &mut body).unwrap();
        self.row(format!("record - {name}"), &body, |row| {
            decode_record(row).is_ok_and(|back| back.recorded == *record)
        });
    }
}

/// A new variant does not compile here until it has a sample, and the test fails until the sample has a row.
macro_rules! variants {
    ($check:ident, $with:expr; $($kind:ident { $($variant:ident: $sample:expr),+ $(,)? })+) => {$({
        let _every = |value: &$kind| match value { $($kind::$variant { .. } => (),)+ };
        $({
            let sample: $kind = $sample;
            assert!(matches!(sample, $kind::$variant { .. }));
            $with(&mut $check, concat!(stringify!($kind), "::", stringify!($variant)), &sample);
        })+
    })+};
    ($check:ident; $($kind:ident { $($variants:tt)+ })+) => {$(
        variants!($check, Check::value; $kind { $($variants)+ });
    )+};
}

fn events(check: &mut Check) {
    let mut payload = |tag: u16, version: u8, name: &str, encoded: &[u8], event: &Event| {
        check.row(format!("{tag:#06x} {version} {name}"), encoded, |row| {
            Codec::Bincode.decode(tag, version, row).is_ok_and(|back| back == *event)
        });
    };
    for event in samples() {
        let mut encoded = Vec::new();
        Codec::Bincode.encode(&event, &mut encoded).unwrap();
        payload(event.tag(), event.version(), event.name(), &encoded, &event);
    }
    let (old, event) = schedule_added_v1();
    let mut encoded = Vec::new();
    PayloadEncoder::encode(&Codec::Bincode, &old, &mut encoded).unwrap();
    payload(event.tag(), 1, event.name(), &encoded, &event);
    for (tag, newest, name) in Event::REGISTER {
        for version in 1..=*newest {
            let row = format!("{tag:#06x} {version} {name}");
            if !check.seen.contains(&row) {
                check.wrong.push(format!("no sample of {row}"));
            }
        }
    }
}

fn values(check: &mut Check) {
    let mut check = check;
    let number = number("416");
    variants! { check;
        Origin { Internal: Origin::Internal, External: Origin::External, Team: Origin::Team }
        Permission {
            Roaming: Permission::Roaming, Admin: Permission::Admin, Audit: Permission::Audit,
            AuditPersonal: Permission::AuditPersonal, Outbound: Permission::Outbound, Fax: Permission::Fax,
        }
        GroupKind {
            User: GroupKind::User, Host: GroupKind::Host, Fax: GroupKind::Fax,
            Queue: GroupKind::Queue, ModuleGui: GroupKind::ModuleGui,
        }
        DeviceType {
            Desk: DeviceType::Desk, Dect: DeviceType::Dect, Softphone: DeviceType::Softphone,
            Mobile: DeviceType::Mobile, Analog: DeviceType::Analog,
        }
        Condition {
            Always: Condition::Always, LoggedOff: Condition::LoggedOff, Busy: Condition::Busy,
            NoAnswer: Condition::NoAnswer { after: Seconds(20) },
        }
        Target { Number: Target::Number(number), Voicemail: Target::Voicemail }
        Reach {
            UnderSchedules: Reach::UnderSchedules, UntilWindowEnds: Reach::UntilWindowEnds(AT),
            UntilFurtherNotice: Reach::UntilFurtherNotice,
        }
        Pattern {
            Weekly: Pattern::Weekly { days: Days(0b10_0000), from: Minute(540), to: Minute(720) },
            Dated: Pattern::Dated {
                from: "2026-12-24T12:00:00".parse().unwrap(),
                to: "2026-12-27T00:00:00".parse().unwrap(),
            },
        }
        Edge { Begins: Edge::Begins, Ends: Edge::Ends }
        BusyIfAny {
            Off: BusyIfAny::Off, Calls: BusyIfAny::Calls,
            CallsAndTeamCalls: BusyIfAny::CallsAndTeamCalls,
        }
        DigestPolicy {
            Md5ThenSha256: DigestPolicy::Md5ThenSha256, Sha256Only: DigestPolicy::Sha256Only,
        }
        LogoutReason {
            User: LogoutReason::User, Moved: LogoutReason::Moved, Admin: LogoutReason::Admin,
            LastNumber: LogoutReason::LastNumber, SlotRemoved: LogoutReason::SlotRemoved,
            UserDeleted: LogoutReason::UserDeleted, DeviceRemoved: LogoutReason::DeviceRemoved,
        }
        CallStatus {
            Busy: CallStatus::Busy, Rejected: CallStatus::Rejected, NoAnswer: CallStatus::NoAnswer,
            NotAvailable: CallStatus::NotAvailable,
        }
        CallOutcome {
            HungUpByCaller: CallOutcome::HungUpByCaller, HungUpByCallee: CallOutcome::HungUpByCallee,
            Cancelled: CallOutcome::Cancelled, Busy: CallOutcome::Busy,
            NoAnswer: CallOutcome::NoAnswer, NotAvailable: CallOutcome::NotAvailable,
            UnknownNumber: CallOutcome::UnknownNumber, NotPermitted: CallOutcome::NotPermitted,
            Rejected: CallOutcome::Rejected, Loop: CallOutcome::Loop, Failed: CallOutcome::Failed,
            FeatureCode: CallOutcome::FeatureCode,
        }
        Caller {
            Device: Caller::Device { device: DEVICE, number: Some(number) },
            Trunk: Caller::Trunk { trunk: TRUNK, number: Some(outside("+4930555")) },
        }
        Dialled {
            Inside: Dialled::Inside(number), Outside: Dialled::Outside(outside("+4930555")),
            Other: Dialled::Other(of_period("anna@example.com")),
        }
        Language { German: Language::German, English: Language::English }
        Member { User: Member::User(USER), Device: Member::Device(DEVICE) }
        KeyId { Person: KeyId::Person(USER), Period: KeyId::Period(202_611) }
        SocketAddr {
            V4: "192.0.2.9:5060".parse().unwrap(), V6: "[2001:db8::9]:5060".parse().unwrap(),
        }
    }
    variants! { check, |check: &mut Check, name: &str, subject: &Subject| {
            check.value(name, subject);
            check.record(name, Actor::System, *subject);
        };
        Subject {
            User: Subject::User(USER), Number: Subject::Number(number), Slot: Subject::Slot(SLOT),
            Device: Subject::Device(DEVICE), Group: Subject::Group(GROUP),
            Profile: Subject::Profile(PROFILE), Schedule: Subject::Schedule(SCHEDULE),
            Trunk: Subject::Trunk(TRUNK), Call: Subject::Call(CALL), Exchange: Subject::Exchange,
        }
    }
    variants! { check, |check: &mut Check, name: &str, by: &Actor| {
            check.record(name, *by, Subject::Exchange);
        };
        Actor {
            System: Actor::System, Supervisor: Actor::Supervisor { uid: 1000 },
            Admin: Actor::Admin(USER), User: Actor::User(USER), Phone: Actor::Phone(DEVICE),
            Schedule: Actor::Schedule(SCHEDULE), Auditor: Actor::Auditor(USER),
        }
    }
}

#[test]
fn every_event_and_every_variant_has_the_bytes_it_always_had() {
    let mut check = Check { rows: golden(), seen: BTreeSet::new(), wrong: Vec::new() };
    events(&mut check);
    values(&mut check);
    for name in check.rows.keys().filter(|name| !check.seen.contains(**name)) {
        check.wrong.push(format!(
            "a row without a sample, what the book holds is never taken out: {name}"
        ));
    }
    assert!(check.wrong.is_empty(), "\n{}\n", check.wrong.join("\n"));
}
