//! behaviour.md 2.2: numbers, slots and ticks. T10, T11, T12 and the N rules.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use expect_test::expect;
use world::*;

const UNTICK: &str = r#"{"command":"number.untick","number":"100","slot":"ada/S1"}"#;

#[test]
fn n1_a_number_has_one_owner() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"user.add","username":"bob","display_name":"Bob"}"#);
    world.console(r#"{"command":"device.add","name":"hall","type":"desk","service_number":"950"}"#);
    let give = |n: &str| format!(r#"{{"command":"number.add","user":"bob","number":"{n}"}}"#);
    assert_eq!(world.tries(CONSOLE, &give("100")), "NUMBER_TAKEN");
    assert_eq!(world.tries(CONSOLE, &give("950")), "NUMBER_TAKEN");
    for bad in ["7", "0123", "110", "112"] {
        assert_eq!(world.tries(CONSOLE, &give(bad)), "NUMBER_INVALID", "{bad}");
    }
    world.console(r#"{"command":"number.remove","number":"100"}"#);
    assert_eq!(world.tries(CONSOLE, &give("100")), "NumberAssigned");
    world.console(r#"{"command":"device.remove","device":"hall"}"#);
    assert_eq!(world.tries(CONSOLE, &give("950")), "NumberAssigned");
}

#[test]
fn n2_a_new_number_has_no_ticks_and_the_sender_is_told() {
    let mut world = World::with_ada();
    let decision = world.console(r#"{"command":"number.add","user":"ada","number":"300"}"#);
    assert_eq!(decision.warnings[0].code.as_str(), "NUMBER_UNREACHABLE");
    assert!(world.exchange.numbers[&number("300")].slots.is_empty());
}

#[test]
fn n3_x15_a_new_slot_is_empty_but_a_softphone_brings_its_device() {
    let mut world = World::with_ada();
    let said = world.tries(CONSOLE, r#"{"command":"slot.add","user":"ada","type":"desk"}"#);
    assert_eq!(said, "SlotAdded");
    let said = world.tries(CONSOLE, r#"{"command":"slot.add","user":"ada","type":"softphone"}"#);
    assert_eq!(said, "SlotAdded DeviceAdded DeviceLoggedIn");
    assert_eq!(world.log_ins(&["ada-softphone"]), "ada-softphone: ada/softphone");
}

#[test]
fn n4_ticks_are_set_by_the_user_and_nobody_else_but_administrators() {
    let mut world = World::with_ada();
    world.console(
        r#"{"command":"user.add","username":"bob","display_name":"Bob","slots":["desk"]}"#,
    );
    let tick = r#"{"command":"number.tick","number":"200","slot":"ada/S1"}"#;
    assert_eq!(world.tries(world.as_user("bob"), tick), "FORBIDDEN");
    assert_eq!(world.tries(world.as_user("ada"), tick), "MatrixChanged");
    assert_eq!(world.tries(world.as_user("ada"), tick), "", "already so");
    let foreign = r#"{"command":"number.tick","number":"200","slot":"bob/desk"}"#;
    assert_eq!(world.tries(CONSOLE, foreign), "WRONG_OWNER");
}

#[test]
fn t10_n5_without_roaming_the_last_number_stays_on_its_slot() {
    let mut world = World::with_ada().without_roaming();
    assert_eq!(world.tries(world.as_user("ada"), UNTICK), "LAST_NUMBER_ON_SLOT");
    assert_eq!(world.numbers_on("ada/S1"), "100");
    let one_of_two = r#"{"command":"number.untick","number":"100","slot":"ada/S2"}"#;
    assert_eq!(world.tries(world.as_user("ada"), one_of_two), "MatrixChanged");
}

#[test]
fn n5_with_roaming_taking_the_last_number_is_a_log_off() {
    let mut world = World::with_ada();
    assert_eq!(world.tries(world.as_user("ada"), UNTICK), "DeviceLoggedOut MatrixChanged");
    assert_eq!(world.log_ins(&["p1"]), "p1: -");
}

#[test]
fn t11_a_swap_keeps_the_log_in() {
    let mut world = World::with_ada().without_roaming();
    let swap = r#"{"command":"number.swap","slot":"ada/S1","off":"100","on":"200"}"#;
    assert_eq!(world.tries(world.as_user("ada"), swap), "MatrixChanged MatrixChanged");
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
    assert_eq!(world.tries(world.as_user("ada"), swap), "NUMBER_NOT_ON_SLOT");
}

#[test]
fn t12_an_administrator_takes_the_last_number_and_the_phone_is_logged_off() {
    let mut world = World::with_ada().without_roaming();
    assert_eq!(world.tries(CONSOLE, UNTICK), "DeviceLoggedOut MatrixChanged");
    assert_eq!(world.log_ins(&["p1"]), "p1: -");
}

#[test]
fn n7_the_transition_counts_also_on_a_slot_without_a_phone() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"device.log_out","device":"p1"}"#);
    let mut locked = world;
    let with = locked.tries(locked.as_user("ada"), UNTICK);
    assert_eq!(with, "MatrixChanged");
    let mut world = World::with_ada();
    world.console(r#"{"command":"device.log_out","device":"p1"}"#);
    let mut world = world.without_roaming();
    assert_eq!(world.tries(world.as_user("ada"), UNTICK), "LAST_NUMBER_ON_SLOT");
}

#[test]
fn n9_a_removed_slot_logs_its_phone_off_and_only_administrators_remove_one() {
    let mut world = World::with_ada();
    let remove = r#"{"command":"slot.remove","slot":"ada/S1"}"#;
    assert_eq!(world.tries(world.as_user("ada"), remove), "FORBIDDEN");
    assert_eq!(world.tries(CONSOLE, remove), "DeviceLoggedOut SlotRemoved");
    assert_eq!(world.log_ins(&["p1"]), "p1: -");
}

#[test]
fn n9_x8_a_removed_number_takes_its_settings_along_and_the_phone_off_but_leaves_the_profiles() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"profile.add","user":"ada","name":"V"}"#);
    world.console(
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"daily 12:00-13:00"}}"#,
    );
    let remove = r#"{"command":"number.remove","number":"100"}"#;
    assert_eq!(world.tries(world.as_user("ada"), remove), "FORBIDDEN");
    // The effect is shown first: as a dry run does.
    let order = world.order(CONSOLE, command(remove));
    let shown = world.decide(&order).unwrap();
    let sentence = shown.warnings[0].sentence(switchbook_core::user::Language::English);
    expect!["Phone p1 is logged off by this."].assert_eq(&sentence);
    assert_eq!(world.tries(CONSOLE, remove), "DeviceLoggedOut NumberFreed");
    assert_eq!(world.log_ins(&["p1", "p2"]), "p1: -, p2: ada/S2");
    assert!(world.exchange.schedules.is_empty());
    assert_eq!(world.exchange.profiles.len(), 1);
}

/// Bob shows himself as 100, and the trunk leads 89100 and 89101 to it.
fn named_elsewhere() -> World {
    let mut world = World::with_ada();
    for json in [
        r#"{"command":"user.add","username":"bob","display_name":"Bob"}"#,
        r#"{"command":"user.caller_id","user":"bob","number":"100"}"#,
        r#"{"command":"user.caller_id","user":"ada","number":"100"}"#,
        r#"{"command":"trunk.add","name":"telco","peer":"192.0.2.1:5060","outbound_prefix":"0"}"#,
        r#"{"command":"trunk.assign","trunk":"telco","dialled":"89100","number":"100"}"#,
        r#"{"command":"trunk.assign","trunk":"telco","dialled":"89101","number":"100"}"#,
    ] {
        world.console(json);
    }
    world
}

#[test]
fn n9_u4_what_named_a_number_goes_before_it_by_events_of_its_own() {
    let mut world = named_elsewhere();
    let remove = r#"{"command":"number.remove","number":"100","confirm":true}"#;
    let freed = "InboundNumberFreed InboundNumberFreed";
    assert_eq!(
        world.tries(CONSOLE, remove),
        format!("DeviceLoggedOut {freed} CallerIdChosen CallerIdChosen NumberFreed")
    );
    assert!(world.exchange.trunks.values().all(|trunk| trunk.inbound.is_empty()));
    assert!(world.exchange.users.values().all(|user| user.caller_id.is_none()));
    let mut world = named_elsewhere();
    let delete = r#"{"command":"user.delete","user":"ada","confirm":true}"#;
    let said = world.tries(CONSOLE, delete);
    assert!(said.ends_with(&format!("{freed} CallerIdChosen UserDeleted")), "{said}");
    assert!(world.exchange.users.values().all(|user| user.caller_id.is_none()));
}

#[test]
fn what_named_a_group_goes_before_it_by_events_of_its_own() {
    let mut world = World::with_ada();
    for json in [
        r#"{"command":"group.add","name":"sales","kind":"user"}"#,
        r#"{"command":"group.add","name":"hall","kind":"host"}"#,
        r#"{"command":"group.add_member","group":"sales","user":"ada"}"#,
        r#"{"command":"group.add_member","group":"hall","device":"p1"}"#,
        r#"{"command":"permission.grant","group":"sales","permission":"audit"}"#,
        r#"{"command":"permission.grant","group":"sales","permission":"roaming","on":"hall"}"#,
    ] {
        world.console(json);
    }
    let hall = r#"{"command":"group.remove","group":"hall"}"#;
    let gone = "PermissionWithdrawn GroupMemberRemoved GroupRemoved";
    assert_eq!(world.tries(CONSOLE, hall), gone);
    let sales = r#"{"command":"group.remove","group":"sales"}"#;
    assert_eq!(world.tries(CONSOLE, sales), gone);
    assert!(world.exchange.users.values().all(|user| user.groups.is_empty()));
}

#[test]
fn the_number_for_outgoing_calls_is_one_of_the_slots() {
    let mut world = World::with_ada();
    let select = r#"{"command":"slot.select","slot":"ada/S2","number":"200"}"#;
    assert_eq!(world.tries(world.as_user("ada"), select), "NumberSelected");
    assert_eq!(world.tries(world.as_user("ada"), select), "");
    let other = r#"{"command":"slot.select","slot":"ada/S1","number":"200"}"#;
    assert_eq!(world.tries(world.as_user("ada"), other), "NUMBER_NOT_ON_SLOT");
}

/// An extension 9112 behind a trunk with prefix 9 once called the fire brigade.
#[test]
fn n1_no_number_is_a_call_for_help_behind_a_trunks_prefix() {
    let mut world = World::founded();
    let trunk = |prefix: &str| {
        format!(
            r#"{{"command":"trunk.add","name":"t{prefix}","peer":"192.0.2.1:5060","outbound_prefix":"{prefix}"}}"#
        )
    };
    let user = |number: &str| {
        format!(
            r#"{{"command":"user.add","username":"u{number}","display_name":"U","numbers":["{number}"]}}"#
        )
    };
    let console = switchbook_core::envelope::Actor::Supervisor { uid: 0 };
    world.console(&trunk("9"));
    assert_eq!(world.tries(console, &user("9112")), "NUMBER_INVALID");
    world.console(&user("8110"));
    assert_eq!(world.tries(console, &trunk("8")), "VALUE_INVALID");
    world.console(&trunk("7"));
}
