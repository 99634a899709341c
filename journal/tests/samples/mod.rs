//! One event of every kind, for the tests that hold formats and folds to what they were. They hang together: one user
//! with a number, a slot, a device, a profile and a schedule, so that a fold of them fills every table.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use switchbook_core::call::*;
use switchbook_core::device::*;
use switchbook_core::envelope::Subject;
use switchbook_core::erasure::*;
use switchbook_core::event::Event;
use switchbook_core::forwarding::*;
use switchbook_core::group::*;
use switchbook_core::id::*;
use switchbook_core::number::*;
use switchbook_core::outside::OutsideNumber;
use switchbook_core::permission::*;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::refusal::*;
use switchbook_core::registration::*;
use switchbook_core::schedule::*;
use switchbook_core::seal::*;
use switchbook_core::settings::*;
use switchbook_core::slot::*;
use switchbook_core::trunk::*;
use switchbook_core::user::*;
use uuid::Uuid;

pub const USER: UserId = UserId(Uuid::from_u128(0x11));
pub const SLOT: SlotId = SlotId(Uuid::from_u128(0x12));
pub const DEVICE: DeviceId = DeviceId(Uuid::from_u128(0x13));
pub const GROUP: GroupId = GroupId(Uuid::from_u128(0x14));
pub const PROFILE: ProfileId = ProfileId(Uuid::from_u128(0x15));
pub const SCHEDULE: ScheduleId = ScheduleId(Uuid::from_u128(0x16));
pub const TRUNK: TrunkId = TrunkId(Uuid::from_u128(0x17));
pub const CALL: CallId = CallId(Uuid::from_u128(0x18));
pub const SECRET: SecretRef = SecretRef { id: SecretId(Uuid::from_u128(0x19)), version: 300 };
pub const AT: Moment = Moment(1_795_435_200_000_000);

pub fn number(text: &str) -> Number {
    text.parse().unwrap()
}

/// Sealed as a test can tell it again: no real cipher has a hand in it.
pub fn personal(key: KeyId, clear: &str) -> Personal {
    let mut value = Personal::new(key, clear);
    value.seal_with(|_, clear| clear.bytes().rev().collect());
    value
}

fn of_user(clear: &str) -> Personal {
    personal(KeyId::Person(USER), clear)
}

pub fn of_period(clear: &str) -> Personal {
    personal(KeyId::Period(202_611), clear)
}

pub fn outside(clear: &str) -> OutsideNumber {
    let mut number = OutsideNumber::new(KeyId::Period(202_611), clear);
    number.rest.seal_with(|_, clear| clear.bytes().rev().collect());
    number
}

fn weekly() -> Pattern {
    Pattern::Weekly { days: Days(0b1_1111), from: Minute(720), to: Minute(780) }
}

fn binding(cseq: u32) -> Binding {
    Binding {
        binding: BindingId(1),
        contact: of_period("sip:ada@192.0.2.7:5060"),
        parameters: ";methods=\"INVITE, BYE\"".into(),
        instance: Some("<urn:uuid:00000000-0000-1000-8000-0004f2000001>;reg-id=1".into()),
        source: of_period("192.0.2.7:5060"),
        behind_nat: true,
        granted: Seconds(300),
        expires_at: AT.plus_seconds(300),
        call_id: 0x1234_5678_9abc_def0,
        cseq,
        user_agent: Some("Example Phone 1.0".into()),
    }
}

fn rules(target: Target) -> Vec<ForwardingRule> {
    vec![
        ForwardingRule { condition: Condition::Always, origin: Origin::Internal, target },
        ForwardingRule {
            condition: Condition::NoAnswer { after: Seconds(20) },
            origin: Origin::External,
            target: Target::Voicemail,
        },
    ]
}

/// The newest version of every event, in the order of tags.
pub fn samples() -> Vec<Event> {
    let mut all = exchange();
    all.extend(users());
    all.extend(devices());
    all.extend(groups());
    all.extend(profiles());
    all.extend(trunks());
    all.extend(calls());
    all
}

fn exchange() -> Vec<Event> {
    vec![
        ExchangeFounded {
            book: BookId(Uuid::from_u128(0x5b)),
            realm: "pbx.example".into(),
            time_zone: "Europe/Berlin".parse().unwrap(),
            all_users: GroupId(Uuid::from_u128(0x21)),
            all_hosts: GroupId(Uuid::from_u128(0x22)),
            admins: GroupId(Uuid::from_u128(0x23)),
        }
        .into(),
        ServerStarted { version: "0.1.0".into(), clean: true }.into(),
        TimeZoneSet { time_zone: "Europe/Vienna".parse().unwrap() }.into(),
        DigestPolicySet { policy: DigestPolicy::Sha256Only }.into(),
        AttemptRefused {
            what: "AssignNumber".into(),
            code: "number_taken".into(),
            about: vec![Subject::User(USER), Subject::Number(number("416"))],
            suppressed: 2,
        }
        .into(),
        PersonalFieldsOpened { view: "call_log".into(), person: Some(USER) }.into(),
        ForwardingTargetBlocked { prefix: number("0900") }.into(),
        ForwardingTargetUnblocked { prefix: number("0900") }.into(),
        ServerStopped {}.into(),
        BookSealed {
            size: 300,
            root: Root([0xab; 32]),
            key: Position(42),
            checkpoint: "pbx.example/5b\n300\nq6s=\n\n\u{2014} pbx.example/5b AAAA\n".into(),
        }
        .into(),
        SealingKeyMade { secret: SECRET, verifier: "pbx.example/5b+0123abcd+AQ==".into() }.into(),
        BackupTaken { target: "pbx-2026-11-23.tar".into() }.into(),
        RetentionSet { months: Some(6) }.into(),
        PeriodErased { period: Period(202_605) }.into(),
    ]
}

fn users() -> Vec<Event> {
    let (user, secret, number) = (USER, SECRET, number("416"));
    vec![
        UserAdded {
            user,
            username: of_user("ada"),
            display_name: of_user("Ada Lovelace"),
            email: Some(of_user("ada@example.com")),
            mobile: Some(of_user("+49170000000")),
            language: Some(Language::German),
            time_zone: Some("Europe/London".parse().unwrap()),
        }
        .into(),
        UserDeleted {
            user,
            numbers_freed: vec![number],
            profiles_deleted: vec![PROFILE],
            schedules_removed: vec![SCHEDULE],
            slots_removed: vec![SLOT],
            devices_logged_out: vec![DEVICE],
            groups_left: vec![GROUP],
        }
        .into(),
        UserRenamed { user, display_name: of_user("Ada King") }.into(),
        PasswordSet { user, secret }.into(),
        PinSet { user, secret: SecretRef { version: 1, ..secret } }.into(),
        DoNotDisturbSet { user, on: true }.into(),
        CallerIdChosen { user, number: Some(number) }.into(),
        LanguageChosen { user, language: Some(Language::English) }.into(),
        UserTimeZoneSet { user, time_zone: Some("America/New_York".parse().unwrap()) }.into(),
        ContactDetailsChanged { user, email: Some(of_user("a@example.com")), mobile: None }.into(),
        PersonErased { user }.into(),
        NumberAssigned { number, user }.into(),
        NumberFreed { number, user, schedules: vec![SCHEDULE] }.into(),
        MatrixChanged { user, number, slot: SLOT, on: true }.into(),
        CallWaitingSet { number, on: true }.into(),
        BusyIfAnySet { number, scope: BusyIfAny::Calls }.into(),
        SlotAdded { slot: SLOT, user, name: "desk".into(), device_type: DeviceType::Desk }.into(),
        SlotRemoved { slot: SLOT, user }.into(),
        NumberSelected { slot: SLOT, number }.into(),
    ]
}

fn devices() -> Vec<Event> {
    let (user, slot, device) = (USER, SLOT, DEVICE);
    vec![
        DeviceAdded {
            device,
            name: "phone-1".into(),
            device_type: DeviceType::Dect,
            mac: Some("02005e000001".into()),
            service_number: Some(number("9001")),
        }
        .into(),
        DeviceRemoved { device }.into(),
        DeviceCredentialSet { device, secret: SECRET }.into(),
        DeviceLoggedIn { user, slot, device }.into(),
        DeviceLoggedOut { user, slot, device, reason: LogoutReason::Moved }.into(),
        FollowMeSet {
            user,
            entry: FollowMe {
                device,
                origin: Origin::External,
                enabled: true,
                wait: Seconds(5),
                ring: Seconds(60),
            },
        }
        .into(),
    ]
}

fn groups() -> Vec<Event> {
    let group = GROUP;
    let grant = Grant {
        subject: group,
        permission: Permission::Roaming,
        target: Some(GroupId(Uuid::from_u128(0x22))),
    };
    vec![
        GroupAdded { group, kind: GroupKind::User, name: "sales".into(), title: "Sales".into() }
            .into(),
        GroupRemoved { group }.into(),
        GroupMemberAdded { group, member: Member::User(USER) }.into(),
        GroupMemberRemoved { group, member: Member::User(USER) }.into(),
        GroupTimeZoneSet { group, time_zone: Some("Asia/Tokyo".parse().unwrap()) }.into(),
        GroupRetitled { group, title: "Vertrieb".into() }.into(),
        PermissionGranted { grant }.into(),
        PermissionWithdrawn { grant }.into(),
    ]
}

fn profiles() -> Vec<Event> {
    let (profile, schedule, number) = (PROFILE, SCHEDULE, number("416"));
    let to = Target::Number("417".parse().unwrap());
    vec![
        ProfileAdded { profile, owner: USER, name: of_user("Urlaub"), rules: rules(to) }.into(),
        ProfileRulesSet { profile, rules: rules(Target::Voicemail) }.into(),
        ProfileRenamed { profile, name: of_user("Ferien") }.into(),
        ProfileDeleted { profile, owner: USER }.into(),
        ProfileActivated { number, profile, reach: Reach::UntilWindowEnds(AT) }.into(),
        ProfileDeactivated { number, reach: Reach::UntilFurtherNotice }.into(),
        ScheduleAdded { schedule, number, profile, pattern: weekly(), priority: Priority(3) }
            .into(),
        ScheduleRemoved { schedule, number }.into(),
        ScheduleFired {
            schedule,
            number,
            profile,
            edge: Edge::Begins,
            due: AT,
            utc_offset: -3600,
            tz_data: "2026a".into(),
            late: true,
        }
        .into(),
        ScheduleEdgesMissed { after: Moment(-2), until: AT, edges: 70_000 }.into(),
    ]
}

/// What was written before a struct got its next version: tag, version, the struct of then, and what it means today.
pub fn schedule_added_v1() -> (ScheduleAddedV1, Event) {
    let old = ScheduleAddedV1 {
        schedule: SCHEDULE,
        number: number("416"),
        profile: PROFILE,
        pattern: weekly(),
    };
    (old.clone(), ScheduleAdded::from(old).into())
}

fn trunks() -> Vec<Event> {
    let (trunk, device) = (TRUNK, DEVICE);
    let dialled = || "4930123416".to_owned();
    vec![
        TrunkAdded {
            trunk,
            name: "carrier".into(),
            peer: "192.0.2.9:5060".parse().unwrap(),
            outbound_prefix: "0".into(),
            base_number: Some("4930123".into()),
        }
        .into(),
        TrunkRemoved { trunk }.into(),
        InboundNumberAssigned {
            trunk,
            rule: Inbound { dialled: dialled(), number: number("416") },
        }
        .into(),
        InboundNumberFreed { trunk, dialled: dialled() }.into(),
        PhoneRegistered { device, binding: binding(17).into() }.into(),
        RegistrationChanged { device, binding: binding(18).into() }.into(),
        RegistrationRemoved { device, binding: BindingId(1) }.into(),
        RegistrationExpired { device, binding: BindingId(1), expired_at: AT }.into(),
    ]
}

fn calls() -> Vec<Event> {
    let call = CALL;
    vec![
        CallPlaced {
            call,
            caller: Caller::Trunk { trunk: TRUNK, number: Some(outside("+4930555")) },
            dialled: Dialled::Inside(number("416")),
            origin: Origin::External,
            facts: Facts {
                devices: vec![DeviceFact {
                    device: DEVICE,
                    registered: true,
                    calls: vec![None, Some(number("416"))],
                }],
                numbers_in_use: vec![number("416")],
            },
            decided_on: Position(70_000),
            decided_for: AT,
            plan: "{}".into(),
        }
        .into(),
        CallAnswered {
            call,
            device: Some(DEVICE),
            number: Some(number("416")),
            answered_at: AT.plus_seconds(4),
        }
        .into(),
        CallDiverted {
            call,
            from: number("416"),
            to: number("417"),
            status: Some(CallStatus::Busy),
        }
        .into(),
        CallEnded {
            call,
            outcome: CallOutcome::HungUpByCallee,
            ended_at: AT.plus_seconds(60),
            cause: ReleaseCause::NORMAL,
            rang: vec![DEVICE],
        }
        .into(),
        CallLost { call }.into(),
        CallRecordsMissed { from: AT, until: AT.plus_seconds(1), records: 5_000_000_000 }.into(),
        HangUpOrdered { call }.into(),
    ]
}
