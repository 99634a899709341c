//! behaviour.md 2.1: users. T18 and U-2 to U-7, and how commands are written.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use expect_test::expect;
use switchbook_commands::Command;
use world::*;

#[test]
fn one_line_makes_a_whole_user() {
    let mut world = World::founded();
    let said = world.tries(
        CONSOLE,
        r#"{"command":"user.add","username":"ada","display_name":"Ada","pin":"4711","numbers":["100"],
            "devices":[{"name":"ada-phone","type":"softphone","password":"secret-secret"}]}"#,
    );
    expect!["UserAdded PinSet NumberAssigned SlotAdded MatrixChanged DeviceAdded DeviceCredentialSet DeviceLoggedIn"]
        .assert_eq(&said);
    assert_eq!(world.log_ins(&["ada-phone"]), "ada-phone: ada/softphone");
    assert_eq!(world.numbers_on("ada/softphone"), "100");
}

#[test]
fn u2_a_log_in_name_is_lower_case_and_one_persons() {
    let mut world = World::with_ada();
    let add =
        |name: &str| format!(r#"{{"command":"user.add","username":"{name}","display_name":"X"}}"#);
    for bad in ["Ada", "", "a/b", "1a", "a b", "00000000-0000-0000-0000-00000000000a"] {
        assert_eq!(world.tries(CONSOLE, &add(bad)), "USERNAME_INVALID", "{bad}");
    }
    assert_eq!(world.tries(CONSOLE, &add("ada")), "USERNAME_TAKEN");
    assert_eq!(world.tries(CONSOLE, &add("jürgen.o-neill_2")), "UserAdded");
}

#[test]
fn t18_u4_u7_a_deleted_user_leaves_free_numbers_and_no_profiles() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"profile.add","user":"ada","name":"V"}"#);
    let said = world.tries(CONSOLE, r#"{"command":"user.delete","user":"ada"}"#);
    assert_eq!(said, "DeviceLoggedOut DeviceLoggedOut DeviceLoggedOut UserDeleted");
    assert_eq!(world.log_ins(&["p1", "p2", "p3"]), "p1: -, p2: -, p3: -");
    assert!(world.exchange.numbers.is_empty() && world.exchange.profiles.is_empty());
    assert!(world.exchange.slots.is_empty() && world.exchange.user_named("ada").is_none());
    let again = r#"{"command":"user.add","username":"ada","display_name":"A","numbers":["100"]}"#;
    assert_eq!(world.tries(CONSOLE, again), "UserAdded NumberAssigned");
}

#[test]
fn u5_what_others_forward_to_is_listed_first() {
    let mut world = World::with_ada();
    world.console(
        r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["300"]}"#,
    );
    world.console(
        r#"{"command":"profile.add","user":"bob","name":"B","rules":[{"when":"busy","to":"100"}]}"#,
    );
    let order = world.order(CONSOLE, command(r#"{"command":"user.delete","user":"ada"}"#));
    expect!["REFERENCED: 100, 200 is still a target elsewhere: bob/B. Those would lead nowhere; repeat with `confirm` if that is meant."]
        .assert_eq(&world.decide(&order).unwrap_err().to_string());
    let confirmed = r#"{"command":"user.delete","user":"ada","confirm":true}"#;
    assert!(world.tries(CONSOLE, confirmed).ends_with("UserDeleted"));
}

#[test]
fn u6_the_last_administrator_stays_one() {
    let mut world = World::with_ada();
    world.console(r#"{"command":"group.add_member","group":"admins","user":"ada"}"#);
    for json in [
        r#"{"command":"user.delete","user":"ada"}"#,
        r#"{"command":"group.remove_member","group":"admins","user":"ada"}"#,
        r#"{"command":"permission.withdraw","group":"admins","permission":"admin"}"#,
    ] {
        assert_eq!(world.tries(CONSOLE, json), "LAST_ADMIN", "{json}");
    }
    world.console(
        r#"{"command":"user.add","username":"bob","display_name":"Bob","groups":["admins"]}"#,
    );
    assert!(
        world.tries(CONSOLE, r#"{"command":"user.delete","user":"ada"}"#).ends_with("UserDeleted")
    );
}

#[test]
fn i6_what_was_changed_since_one_looked_is_stale() {
    let mut world = World::with_ada();
    let seen = world.exchange.position;
    world.console(r#"{"command":"user.rename","user":"ada","display_name":"Ada L."}"#);
    let mut order = world
        .order(CONSOLE, command(r#"{"command":"user.rename","user":"ada","display_name":"A"}"#));
    order.seen = Some(seen);
    assert_eq!(code(world.decide(&order)).as_str(), "STALE");
    order.seen = Some(world.exchange.position);
    assert!(world.decide(&order).is_ok());
}

#[test]
fn a_dry_run_is_the_real_run() {
    let mut world = World::with_ada();
    let json = r#"{"command":"number.remove","number":"100"}"#;
    let order = world.order(CONSOLE, command(json));
    let dry = world.decide(&order).unwrap();
    assert_eq!(world.carry_out(&order).unwrap(), dry);
}

#[test]
fn commands_are_flat_objects_and_unknown_fields_are_named() {
    let error = |json: &str| serde_json::from_str::<Command>(json).unwrap_err().to_string();
    let said = [
        error(r#"{"command":"user.rename","user":"ada","displayname":"A"}"#),
        error(r#"{"command":"number.add","user":"ada","number":"12a"}"#),
        error(r#"{"command":"slot.add","user":"ada","type":"phone"}"#),
        error(r#"{"command":"registration.register"}"#).split(',').next().unwrap().to_owned(),
        error(
            r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"mo 1-2"}}"#,
        ),
        error(r#"{"command":"user.language","user":"ada","language":"fr"}"#),
    ];
    expect![[r#"
        unknown field `displayname`, expected `user` or `display_name`
        a number has 1 to 15 digits 0-9 and nothing else
        `phone` is no device type: it is one of desk, dect, softphone, mobile, analog
        unknown variant `registration.register`
        `1` is no time of day: write it like 07:30, up to 24:00
        `fr` is no language: it is one of de, en"#]]
    .assert_eq(&said.join("\n"));
}
