//! The test vectors of behaviour.md 3.7 on the routing function, and what they leave open.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use expect_test::expect;
use switchbook_core::device::Origin;
use switchbook_core::event::Event;
use switchbook_core::forwarding::{Condition, ProfileDeactivated, Reach, Target};
use switchbook_core::id::{DeviceId, TrunkId, UserId};
use switchbook_core::number::{BusyIfAny, BusyIfAnySet, CallWaitingSet, MatrixChanged};
use switchbook_core::position::{Position, Seconds};
use switchbook_core::routing::From;
use switchbook_core::routing::plan::{Says, Step};
use switchbook_core::schedule::{Days, Minute, Pattern};
use switchbook_core::settings::ForwardingTargetBlocked;
use switchbook_core::trunk::{TrunkAdded, TrunkRemoved};
use switchbook_core::user::{DoNotDisturbSet, UserDeleted};
use world::*;

fn on(number_: &str) -> CallWaitingSet {
    CallWaitingSet { number: number(number_), on: true }
}

fn busy_if_any(number_: &str) -> BusyIfAnySet {
    BusyIfAnySet { number: number(number_), scope: BusyIfAny::Calls }
}

#[test]
fn t1_an_idle_user_rings_on_the_slots_ticked_for_the_number() {
    let mut world = World::of_the_test_vectors();
    assert_eq!(world.from_outside("100"), "ring S1 0-60, S2 0-60 | no answer");
}

#[test]
fn t2_without_call_waiting_a_busy_device_is_left_out() {
    let mut world = World::of_the_test_vectors();
    world.busy(P1, "100");
    assert_eq!(world.from_inside(BOB, "100"), "ring S2 0-60 | no answer");
}

#[test]
fn t3_with_call_waiting_a_busy_device_rings_with_a_tone() {
    let mut world = World::of_the_test_vectors();
    world.busy(P1, "100");
    world.tell(on("100"));
    assert_eq!(world.from_inside(BOB, "100"), "ring S1 0-60 (call waiting), S2 0-60 | no answer");
}

fn t4() -> World {
    let mut world = World::of_the_test_vectors();
    world.busy(P1, "100");
    world.tell(on("100"));
    world.tell(busy_if_any("100"));
    world
}

#[test]
fn t4_busy_if_any_makes_the_number_busy_at_once() {
    assert_eq!(t4().from_inside(BOB, "100"), "busy");
}

#[test]
fn t5_busy_if_any_leaves_the_other_number_alone() {
    assert_eq!(t4().from_inside(BOB, "200"), "ring S2 0-60, S3 0-60 | no answer");
}

#[test]
fn t6_a_call_over_another_number_of_the_slot_counts_for_call_waiting() {
    let mut world = World::of_the_test_vectors();
    world.busy(P2, "200");
    world.tell(on("100"));
    assert_eq!(world.from_inside(BOB, "100"), "ring S1 0-60, S2 0-60 (call waiting) | no answer");
}

fn always(to: &str) -> Vec<switchbook_core::forwarding::ForwardingRule> {
    rules(&[(Condition::Always, Target::Number(number(to)))])
}

const LUNCH: Pattern =
    Pattern::Weekly { days: Days(0b111_1111), from: Minute(12 * 60), to: Minute(13 * 60) };

fn t13() -> World {
    let mut world = World::of_the_test_vectors();
    let by_hand = world.profile(A, 0x1001, always("300"));
    let at_noon = world.profile(A, 0x1002, always("400"));
    world.activate("100", by_hand, Reach::UnderSchedules);
    world.schedule(0x2001, "100", at_noon, LUNCH);
    world
}

#[test]
fn t13_a_schedule_goes_before_the_choice_by_hand_and_gives_way_when_its_window_ends() {
    let mut world = t13();
    for (time, expected) in [
        ("2026-11-23T10:59:59.999999Z", "forward to 300: ring bob 0-60 | no answer"),
        ("2026-11-23T11:00:00Z", "forward to 400: ring cyd 0-60 | no answer"),
        ("2026-11-23T11:59:59Z", "forward to 400: ring cyd 0-60 | no answer"),
        ("2026-11-23T12:00:00Z", "forward to 300: ring bob 0-60 | no answer"),
    ] {
        world.now = at(time);
        assert_eq!(world.from_inside(CYD, "100"), expected, "{time}");
    }
}

#[test]
fn f5_a_choice_made_inside_a_window_holds_until_it_ends_or_until_further_notice() {
    let mut world = t13();
    let by_hand = switchbook_core::id::ProfileId(id(0x1001));
    world.now = at("2026-11-23T11:30:00Z");
    world.activate("100", by_hand, Reach::UntilWindowEnds(at("2026-11-23T12:00:00Z")));
    assert_eq!(world.from_inside(CYD, "100"), "forward to 300: ring bob 0-60 | no answer");
    world.now = at("2026-11-24T11:30:00Z");
    assert_eq!(world.from_inside(CYD, "100"), "forward to 400: ring cyd 0-60 | no answer");
    world.tell(ProfileDeactivated { number: number("100"), reach: Reach::UntilFurtherNotice });
    world.now = at("2026-11-25T11:30:00Z");
    assert_eq!(world.from_inside(CYD, "100"), "ring S1 0-60, S2 0-60 | no answer");
}

#[test]
fn t14_a_profile_is_set_for_one_number_and_not_for_the_others() {
    let mut world = World::of_the_test_vectors();
    let profile = world.profile(A, 0x1001, always("300"));
    world.activate("100", profile, Reach::UnderSchedules);
    assert_eq!(world.from_inside(BOB, "200"), "ring S2 0-60, S3 0-60 | no answer");
}

#[test]
fn t15_with_do_not_disturb_the_busy_rule_applies() {
    let mut world = World::of_the_test_vectors();
    let busy = rules(&[(Condition::Busy, Target::Number(number("300")))]);
    let profile = world.profile(A, 0x1001, busy);
    world.activate("100", profile, Reach::UnderSchedules);
    world.tell(DoNotDisturbSet { user: A, on: true });
    assert_eq!(world.from_inside(CYD, "100"), "forward to 300: ring bob 0-60 | no answer");
    assert_eq!(world.from_inside(CYD, "200"), "busy");
}

#[test]
fn t16_devices_ring_by_their_wait_and_ring_seconds_until_no_answer_ends_it() {
    let mut world = World::of_the_test_vectors();
    world.ring_times(P1, Origin::External, 0, 20);
    world.ring_times(P2, Origin::External, 10, 20);
    let after = Condition::NoAnswer { after: Seconds(25) };
    let no_answer = rules(&[(after, Target::Voicemail)]);
    let profile = world.profile(A, 0x1001, no_answer);
    world.activate("100", profile, Reach::UnderSchedules);
    assert_eq!(world.from_outside("100"), "ring S1 0-20, S2 10-25 | voicemail of 100");
}

#[test]
fn t18_after_a_deletion_the_number_is_unknown() {
    let mut world = World::of_the_test_vectors();
    world.tell(UserDeleted {
        user: A,
        numbers_freed: vec![number("100"), number("200")],
        profiles_deleted: vec![],
        schedules_removed: vec![],
        slots_removed: vec![S1, S2, S3],
        devices_logged_out: vec![P1, P2, P3],
        groups_left: vec![],
    });
    assert_eq!(world.from_inside(BOB, "100"), "unknownnumber");
    assert!(world.exchange.devices.values().filter(|d| d.login.is_some()).count() == 2);
}

#[test]
fn nobody_registered_is_not_available_and_has_a_rule_of_its_own() {
    let mut world = World::of_the_test_vectors();
    world.unregister(P1);
    world.unregister(P2);
    assert_eq!(world.from_inside(BOB, "100"), "notavailable");
    let off = rules(&[(Condition::LoggedOff, Target::Number(number("400")))]);
    let profile = world.profile(A, 0x1001, off);
    world.activate("100", profile, Reach::UnderSchedules);
    assert_eq!(world.from_inside(BOB, "100"), "forward to 400: ring cyd 0-60 | no answer");
}

#[test]
fn a_forwarding_loop_ends_and_names_all_numbers() {
    let mut world = World::of_the_test_vectors();
    let to_300 = world.profile(A, 0x1001, always("300"));
    let to_100 = world.profile(UserId(id(0x300)), 0x1002, always("100"));
    world.activate("100", to_300, Reach::UnderSchedules);
    world.activate("300", to_100, Reach::UnderSchedules);
    let plan = world.call(From::Device(CYD), "100").plan;
    assert_eq!(tell(&plan), "forward to 300: loop");
    assert_eq!(plan.warnings, ["forwarding loop: 100 → 300 → 100"]);
}

#[test]
fn a_web_of_forwardings_makes_no_endless_plan() {
    let mut world = World::founded();
    for n in 0u128..20 {
        let (user, slot, device) = (
            UserId(id(0x5000 + n)),
            switchbook_core::id::SlotId(id(0x6000 + n)),
            DeviceId(id(0x7000 + n)),
        );
        world.user(user, &format!("u{n}"));
        world.phone(user, slot, switchbook_core::slot::DeviceType::Desk, device);
        world.number(user, &format!("5{n:02}"), &[slot]);
        let next = |k| Target::Number(number(&format!("5{:02}", (n + k) % 20)));
        let web = rules(&[
            (Condition::Busy, next(1)),
            (Condition::NoAnswer { after: Seconds(5) }, next(2)),
            (Condition::LoggedOff, next(3)),
        ]);
        let profile = world.profile(user, 0x8000 + n, web);
        world.activate(&format!("5{n:02}"), profile, Reach::UnderSchedules);
    }
    let plan = world.call(From::Device(DeviceId(id(0x7000))), "501").plan;
    assert!(plan.steps.len() < 1000, "{}", plan.steps.len());
    assert!(plan.warnings.iter().any(|warning| warning.contains("cut")));
}

#[test]
fn a_blocked_target_counts_as_failed() {
    let mut world = World::of_the_test_vectors();
    let busy = rules(&[(Condition::Busy, Target::Number(number("300")))]);
    let profile = world.profile(A, 0x1001, busy);
    world.activate("100", profile, Reach::UnderSchedules);
    world.tell(DoNotDisturbSet { user: A, on: true });
    world.tell(ForwardingTargetBlocked { prefix: number("30") });
    assert_eq!(world.from_inside(CYD, "100"), "busy");
}

#[test]
fn emergency_works_from_any_phone_and_outside_needs_a_right() {
    let mut world = World::of_the_test_vectors();
    assert_eq!(world.from_inside(BOB, "112"), "dial out (emergency), strip 0");
    assert_eq!(world.from_inside(BOB, "0110"), "dial out (emergency), strip 1");
    assert_eq!(world.from_inside(BOB, "0030123456"), "dial out, strip 1");
    assert_eq!(world.from_inside(BOB, "999"), "unknownnumber");
    let spare = DeviceId(id(0xeee));
    world.tell(switchbook_core::device::DeviceAdded {
        device: spare,
        name: "spare".into(),
        device_type: switchbook_core::slot::DeviceType::Desk,
        mac: None,
        service_number: Some(number("95001")),
    });
    assert_eq!(world.from_inside(spare, "112"), "dial out (emergency), strip 0");
    assert_eq!(world.from_inside(spare, "0030123456"), "notpermitted");
    assert_eq!(world.from_inside(spare, "300"), "ring bob 0-60 | no answer");
}

#[test]
fn emergency_tries_the_next_trunk_when_one_fails() {
    let mut world = World::of_the_test_vectors();
    let other = TrunkId(id(0x1));
    world.tell(TrunkAdded {
        trunk: other,
        name: "mobile".into(),
        peer: "127.0.0.1:5098".parse().unwrap(),
        outbound_prefix: "9".into(),
        base_number: None,
    });
    // The older trunk first, although the other one's id is lower.
    assert_eq!(
        world.from_inside(BOB, "112"),
        "dial out (emergency), strip 0 | silent 5 s or refused: dial out through another trunk (emergency), strip 0"
    );
    // The trunk that was asked for first; the bare number on every way.
    assert_eq!(
        world.from_inside(BOB, "9112"),
        "dial out through another trunk (emergency), strip 1 | silent 5 s or refused: dial out (emergency), strip 1"
    );
    // Any other call stays with its trunk.
    assert_eq!(world.from_inside(BOB, "930123456"), "dial out through another trunk, strip 1");
    let plan = world.call(From::Device(BOB), "112").plan;
    let said: Vec<_> = plan.steps.iter().flat_map(Step::because).map(|why| &why.says).collect();
    assert!(said.contains(&&Says::NextTrunk { after: TRUNK }), "{said:?}");
}

#[test]
fn emergency_without_a_trunk_is_refused_and_says_so() {
    let mut world = World::of_the_test_vectors();
    world.tell(TrunkRemoved { trunk: TRUNK });
    assert_eq!(world.from_inside(BOB, "112"), "notrunk");
    assert_eq!(world.from_inside(BOB, "0112"), "unknownnumber");
}

#[test]
fn a_slot_without_numbers_cannot_call_out_but_for_emergency() {
    let mut world = World::of_the_test_vectors();
    let (bob, slot) = (UserId(id(0x300)), switchbook_core::id::SlotId(id(0x301)));
    world.tell(MatrixChanged { user: bob, number: number("300"), slot, on: false });
    assert_eq!(world.from_inside(BOB, "100"), "nonumberonslot");
    assert_eq!(world.from_inside(BOB, "112"), "dial out (emergency), strip 0");
}

#[test]
fn every_reason_with_a_position_names_an_event_that_exists() {
    let mut world = t13();
    world.now = at("2026-11-23T11:30:00Z");
    let plan = world.call(From::Device(CYD), "100").plan;
    let Step::Forward { because, .. } = plan.step(plan.start).unwrap() else { panic!() };
    let schedule = world.exchange.schedules.values().next().unwrap();
    assert!(because.iter().any(
        |reason| matches!(reason.says, Says::Schedule { .. }) && reason.at == Some(schedule.at)
    ));
    for reason in plan.steps.iter().flat_map(Step::because) {
        assert!(reason.at.is_none_or(|at| at > Position::START && at <= world.exchange.position));
    }
}

#[test]
fn the_plan_of_a_scheduled_forwarding_reads_like_an_explanation() {
    let mut world = t13();
    world.now = at("2026-11-23T11:30:00Z");
    let plan = world.call(From::Device(CYD), "100").plan;
    let Step::Forward { because, .. } = plan.step(plan.start).unwrap() else { panic!() };
    let text = serde_json::to_string_pretty(because).unwrap();
    expect![[r#"
        [
          {
            "rule": "F-5",
            "says": "schedule",
            "schedule": "00000000-0000-0000-0000-000000002001",
            "profile": "00000000-0000-0000-0000-000000001002",
            "from": 1795431600000000,
            "to": 1795435200000000,
            "at": 34
          },
          {
            "rule": "3.1 step 8",
            "says": "rule",
            "profile": "00000000-0000-0000-0000-000000001002",
            "condition": "Always",
            "target": {
              "Number": "400"
            },
            "at": 32
          }
        ]"#]]
    .assert_eq(&text);
}

#[test]
fn an_event_register_has_no_tag_twice() {
    let mut tags: Vec<u16> = Event::REGISTER.iter().map(|(tag, ..)| *tag).collect();
    let count = tags.len();
    tags.dedup();
    assert_eq!(tags.len(), count, "tags must be unique and in order");
    assert!(tags.is_sorted());
}
