//! behaviour.md 2.3: who may be logged in and out where. T8, T9 and every RO rule that a decision takes.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use switchbook_commands::phone::LogIn;
use switchbook_commands::secret::PinEntry;
use switchbook_core::event::Event;
use world::*;

#[test]
fn ro1_a_free_slot_may_be_logged_in_by_anybody() {
    let mut world = World::with_ada().without_roaming();
    world.console(r#"{"command":"slot.add","user":"ada","type":"desk","name":"spare"}"#);
    let ada = world.user("ada");
    let said = world.tries_command(world.phone("q1"), logs_in(ada, "100"));
    assert_eq!(said, "DeviceLoggedIn");
    assert_eq!(world.log_ins(&["p1", "q1"]), "p1: ada/S1, q1: ada/spare");
}

#[test]
fn t8_ro2_without_roaming_an_occupied_slot_stays_where_it_is() {
    let mut world = World::with_ada().without_roaming();
    let ada = world.user("ada");
    assert_eq!(world.tries_command(world.phone("q1"), logs_in(ada, "100")), "SLOT_OCCUPIED");
    assert_eq!(world.log_ins(&["p1", "q1"]), "p1: ada/S1, q1: -");
}

#[test]
fn t9_ro2_with_roaming_the_slot_moves_in_one_step() {
    let mut world = World::with_ada();
    let ada = world.user("ada");
    let said = world.tries_command(world.phone("q1"), logs_in(ada, "100"));
    assert_eq!(said, "DeviceLoggedOut DeviceLoggedIn");
    assert_eq!(world.log_ins(&["p1", "q1"]), "p1: -, q1: ada/S1");
}

#[test]
fn ro3_logging_out_at_the_phone_needs_roaming() {
    let mut world = World::with_ada();
    let out = r#"{"command":"phone.log_out"}"#;
    assert_eq!(world.tries(world.phone("p1"), out), "DeviceLoggedOut");
    assert_eq!(world.tries(world.phone("p1"), out), "NOBODY_LOGGED_IN");
    let mut world = World::with_ada().without_roaming();
    assert_eq!(world.tries(world.phone("p1"), out), "ROAMING_DENIED");
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
}

#[test]
fn ro5_n6_changing_the_number_on_a_slot_keeps_the_log_in() {
    let mut world = World::with_ada().without_roaming();
    let swap = r#"{"command":"number.swap","slot":"ada/S1","off":"100","on":"200"}"#;
    assert_eq!(world.tries(world.as_user("ada"), swap), "MatrixChanged MatrixChanged");
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
    assert_eq!(world.numbers_on("ada/S1"), "200");
}

#[test]
fn ro6_an_administrator_logs_anybody_off() {
    let mut world = World::with_ada().without_roaming();
    let out = r#"{"command":"device.log_out","device":"p1"}"#;
    assert_eq!(world.tries(world.as_user("ada"), out), "ROAMING_DENIED");
    let decision = world.console(out);
    assert!(matches!(&decision.events[..], [Event::DeviceLoggedOut(out)]
        if out.reason == switchbook_core::device::LogoutReason::Admin));
}

#[test]
fn ro7_ro15_do_not_disturb_and_forwarding_touch_no_log_in() {
    let mut world = World::with_ada().without_roaming();
    world.console(
        r#"{"command":"profile.add","user":"ada","name":"V","rules":[{"when":"always","to":"300"}]}"#,
    );
    let phone = world.phone("p1");
    assert_eq!(world.tries(phone, r#"{"command":"phone.dnd","on":true}"#), "DoNotDisturbSet");
    let forward = r#"{"command":"phone.forward","profile":1}"#;
    assert_eq!(world.tries(phone, forward), "ProfileActivated");
    assert_eq!(world.tries(phone, r#"{"command":"phone.forward"}"#), "ProfileDeactivated");
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
}

#[test]
fn ro8_ro9_a_right_withdrawn_or_granted_counts_from_the_next_command() {
    let mut world = World::with_ada().without_roaming();
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1", "withdrawal logs nobody off");
    let out = r#"{"command":"phone.log_out"}"#;
    assert_eq!(world.tries(world.phone("p1"), out), "ROAMING_DENIED");
    world.console(
        r#"{"command":"permission.grant","group":"users","permission":"roaming","on":"hosts"}"#,
    );
    assert_eq!(world.tries(world.phone("p1"), out), "DeviceLoggedOut");
}

#[test]
fn ro10_the_slot_last_used_on_the_phone_goes_before_a_lower_one() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"slot.add","user":"ada","type":"desk","name":"spare"}"#);
    world.console(r#"{"command":"device.log_in","device":"q1","slot":"ada/spare"}"#);
    world.console(r#"{"command":"device.log_out","device":"q1"}"#);
    world.console(r#"{"command":"device.log_out","device":"p1"}"#);
    let ada = world.user("ada");
    world.obey(world.phone("q1"), logs_in(ada, "100")).unwrap();
    assert_eq!(world.log_ins(&["q1"]), "q1: ada/spare");
    world.obey(world.phone("p1"), logs_in(ada, "100")).unwrap();
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
}

#[test]
fn ro10_a_slot_takes_only_its_type_of_phone() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"device.add","name":"m1","type":"mobile"}"#);
    let ada = world.user("ada");
    assert_eq!(world.tries_command(world.phone("m1"), logs_in(ada, "100")), "NO_SLOT_FITS");
    let there = r#"{"command":"device.log_in","device":"m1","slot":"ada/S1"}"#;
    assert_eq!(world.tries(CONSOLE, there), "SLOT_TYPE_MISMATCH");
}

#[test]
fn ro11_a_phone_changes_hands_only_if_its_holder_may_leave_it() {
    for roaming in [true, false] {
        let mut world = World::with_ada();
        world.console(
            r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["300"],"slots":["desk"]}"#,
        );
        if !roaming {
            world = world.without_roaming();
        }
        let bob = world.user("bob");
        let said = world.tries_command(world.phone("p1"), logs_in(bob, "300"));
        if roaming {
            assert_eq!(said, "DeviceLoggedOut DeviceLoggedIn");
            assert_eq!(world.log_ins(&["p1"]), "p1: bob/desk");
        } else {
            assert_eq!(said, "DEVICE_HELD");
            assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
        }
    }
}

#[test]
fn ro12_a_failed_log_in_gives_no_hint_which_part_was_wrong() {
    let mut world = World::with_ada();
    let phone = world.phone("q1");
    let with = |extension: &str, pin| LogIn { extension: number(extension), pin }.into();
    let ada = world.user("ada");
    let wrong = world.order(phone, with("100", PinEntry::Wrong));
    let unknown = world.order(phone, with("999", PinEntry::Wrong));
    let moved = world.order(phone, with("999", PinEntry::Right(ada)));
    let answers = [&wrong, &unknown, &moved].map(|order| world.decide(order).unwrap_err());
    assert_eq!(answers[0].to_string(), answers[1].to_string());
    assert!(answers.iter().all(|refusal| refusal == &answers[0]));
    let locked = world.tries_command(phone, with("100", PinEntry::Locked { seconds: 10 }));
    assert_eq!(locked, "LOGIN_LOCKED");
}

#[test]
fn ro13_the_host_that_is_left_counts() {
    let mut world = World::with_ada().without_roaming();
    world.console(r#"{"command":"group.add","name":"lobby","kind":"host"}"#);
    world.console(r#"{"command":"group.add_member","group":"lobby","device":"q1"}"#);
    world.console(
        r#"{"command":"permission.grant","group":"users","permission":"roaming","on":"lobby"}"#,
    );
    let ada = world.user("ada");
    // From p1, which is not in the lobby, nobody gets away …
    assert_eq!(world.tries_command(world.phone("q1"), logs_in(ada, "100")), "SLOT_OCCUPIED");
    world.console(r#"{"command":"device.log_in","device":"q1","slot":"ada/S1"}"#);
    assert_eq!(world.log_ins(&["p1", "q1"]), "p1: -, q1: ada/S1");
    // … from the lobby everybody does.
    assert_eq!(
        world.tries_command(world.phone("p1"), logs_in(ada, "100")),
        "DeviceLoggedOut DeviceLoggedIn"
    );
}

#[test]
fn ro14_a_call_in_progress_is_never_cut_silently() {
    let mut world = World::with_ada();
    world.calls.0.insert(world.device("p1"));
    let (ada, out) = (world.user("ada"), r#"{"command":"phone.log_out"}"#);
    assert_eq!(world.tries(world.phone("p1"), out), "IN_CALL");
    assert_eq!(world.tries_command(world.phone("q1"), logs_in(ada, "100")), "IN_CALL");
    let force = r#"{"command":"device.log_out","device":"p1","force":true}"#;
    assert_eq!(world.tries(world.as_user("ada"), force), "IN_CALL", "users cannot force");
    let untick = r#"{"command":"number.untick","number":"100","slot":"ada/S1"}"#;
    assert_eq!(world.tries(world.as_user("ada"), untick), "IN_CALL");
    let plain = r#"{"command":"device.log_out","device":"p1"}"#;
    assert_eq!(world.tries(CONSOLE, plain), "IN_CALL", "nor an administrator by accident");
    assert_eq!(world.tries(CONSOLE, force), "DeviceLoggedOut");
}

#[test]
fn ro16_x25_with_another_users_rights_nobody_does_more_than_he() {
    let mut world = World::with_ada().without_roaming();
    world.console(
        r#"{"command":"user.add","username":"root","display_name":"Root","groups":["admins"]}"#,
    );
    let (ada, root) = (world.user("ada"), world.user("root"));
    let admin = switchbook_core::envelope::Actor::Admin(root);
    let out = || command(r#"{"command":"device.log_out","device":"p1"}"#);
    for actor in [admin, CONSOLE] {
        let order = world.order(actor, out()).on_behalf_of(ada);
        assert_eq!(code(world.decide(&order)).as_str(), "ROAMING_DENIED");
        let add =
            world.order(actor, command(r#"{"command":"number.add","user":"ada","number":"777"}"#));
        assert_eq!(code(world.decide(&add.on_behalf_of(ada))).as_str(), "FORBIDDEN");
    }
    // I-5: not with another administrator's rights.
    let order = world.order(admin, out()).on_behalf_of(root);
    assert_eq!(code(world.decide(&order)).as_str(), "FORBIDDEN");
    assert_eq!(world.tries_command(admin, out()), "DeviceLoggedOut");
}

#[test]
fn ro17_a_slot_stays_occupied_whether_the_phone_registers_or_not() {
    let mut world = World::with_ada().without_roaming();
    let p1 = world.device("p1");
    assert!(!world.exchange.registrations.contains_key(&p1));
    let ada = world.user("ada");
    assert_eq!(world.tries_command(world.phone("q1"), logs_in(ada, "100")), "SLOT_OCCUPIED");
}

#[test]
fn who_is_logged_in_here_already_stays() {
    let mut world = World::with_ada().without_roaming();
    let ada = world.user("ada");
    assert_eq!(world.tries_command(world.phone("p1"), logs_in(ada, "100")), "");
    assert_eq!(world.log_ins(&["p1"]), "p1: ada/S1");
}
