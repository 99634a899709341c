//! Every command × every kind of actor: who passes the one authorisation function, as a table.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use expect_test::expect;
use std::fmt::Write;
use switchbook_commands::call::Record;
use switchbook_commands::phone::Claim;
use switchbook_commands::registration::{Ask, Expire, Register};
use switchbook_commands::schedule::{Fire, Lateness, Missed};
use switchbook_commands::settings::{Found, Start, Stop, StopBefore};
use switchbook_commands::{Command, Order, audit, authorise, erasure, seal};
use switchbook_core::call::CallRecordsMissed;
use switchbook_core::envelope::Actor;
use switchbook_core::erasure::Period;
use switchbook_core::id::*;
use switchbook_core::position::{Moment, Seconds};
use switchbook_core::registration::BindingId;
use switchbook_core::schedule::Edge;
use switchbook_core::seal::Root;
use uuid::Uuid;
use world::*;

/// One of each command; what belongs to somebody belongs to ada, whose phone is p1.
fn all(world: &World) -> Vec<Command> {
    let schedule = world.exchange.schedules.keys().next().copied().unwrap();
    let json = [
        r#"{"command":"user.add","username":"x","display_name":"X"}"#,
        r#"{"command":"user.delete","user":"ada"}"#,
        r#"{"command":"user.rename","user":"ada","display_name":"A"}"#,
        r#"{"command":"user.password","user":"ada","password":"12345678"}"#,
        r#"{"command":"user.pin","user":"ada","pin":"1234"}"#,
        r#"{"command":"user.dnd","user":"ada","on":true}"#,
        r#"{"command":"user.caller_id","user":"ada","number":"100"}"#,
        r#"{"command":"user.language","user":"ada"}"#,
        r#"{"command":"user.time_zone","user":"ada"}"#,
        r#"{"command":"user.contact","user":"ada"}"#,
        r#"{"command":"number.add","user":"ada","number":"300"}"#,
        r#"{"command":"number.remove","number":"100"}"#,
        r#"{"command":"number.tick","number":"100","slot":"ada/S1"}"#,
        r#"{"command":"number.untick","number":"100","slot":"ada/S1"}"#,
        r#"{"command":"number.swap","slot":"ada/S1","off":"100","on":"200"}"#,
        r#"{"command":"number.call_waiting","number":"100","on":true}"#,
        r#"{"command":"number.busy_if_any","number":"100","scope":"calls"}"#,
        r#"{"command":"slot.add","user":"ada","type":"desk"}"#,
        r#"{"command":"slot.remove","slot":"ada/S1"}"#,
        r#"{"command":"slot.select","slot":"ada/S1","number":"100"}"#,
        r#"{"command":"device.add","name":"x","type":"desk"}"#,
        r#"{"command":"device.remove","device":"p1"}"#,
        r#"{"command":"device.password","device":"p1","password":"12345678"}"#,
        r#"{"command":"device.log_in","device":"q1","user":"ada"}"#,
        r#"{"command":"device.log_out","device":"p1"}"#,
        r#"{"command":"device.ring","user":"ada","device":"p1","wait":1}"#,
        r#"{"command":"group.add","name":"g","kind":"user"}"#,
        r#"{"command":"group.remove","group":"admins"}"#,
        r#"{"command":"group.add_member","group":"admins","user":"ada"}"#,
        r#"{"command":"group.remove_member","group":"admins","user":"ada"}"#,
        r#"{"command":"group.time_zone","group":"admins"}"#,
        r#"{"command":"group.retitle","group":"admins","title":"T"}"#,
        r#"{"command":"permission.grant","group":"users","permission":"audit"}"#,
        r#"{"command":"permission.withdraw","group":"users","permission":"audit"}"#,
        r#"{"command":"profile.add","user":"ada","name":"W"}"#,
        r#"{"command":"profile.rules","profile":"ada/V","rules":[]}"#,
        r#"{"command":"profile.rename","profile":"ada/V","name":"W"}"#,
        r#"{"command":"profile.delete","profile":"ada/V"}"#,
        r#"{"command":"forwarding.set","number":"100","profile":"ada/V"}"#,
        r#"{"command":"forwarding.clear","number":"100"}"#,
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"mon 01:00-02:00"}}"#,
        &format!(r#"{{"command":"schedule.remove","schedule":"{schedule}"}}"#),
        r#"{"command":"trunk.add","name":"t","peer":"192.0.2.1:5060"}"#,
        r#"{"command":"trunk.remove","trunk":"t"}"#,
        r#"{"command":"trunk.assign","trunk":"t","dialled":"1","number":"100"}"#,
        r#"{"command":"trunk.free","trunk":"t","dialled":"1"}"#,
        r#"{"command":"settings.time_zone","time_zone":"UTC"}"#,
        r#"{"command":"settings.digest","policy":"sha256-only"}"#,
        r#"{"command":"settings.block_target","prefix":"0"}"#,
        r#"{"command":"settings.unblock_target","prefix":"0"}"#,
        r#"{"command":"settings.retention","months":6}"#,
        r#"{"command":"person.erase","user":"ada"}"#,
        r#"{"command":"period.erase","period":"2026-05"}"#,
        r##"{"command":"call.hang_up","call":"#9"}"##,
        r#"{"command":"phone.log_in","extension":"100","pin":"1234"}"#,
        r#"{"command":"phone.log_out"}"#,
        r#"{"command":"phone.dnd","on":true}"#,
        r#"{"command":"phone.forward"}"#,
    ];
    let mut all: Vec<Command> = json.into_iter().map(command).collect();
    let (device, binding) = (world.device("p1"), BindingId(1));
    let (ask, bounds) = (Ask::RemoveAll, (Seconds(1), Seconds(2)));
    all.push(Register { device, ask, call_id: 1, cseq: 1, user_agent: None, bounds }.into());
    all.push(Expire { device, binding }.into());
    all.push(Claim { device, claimed: None }.into());
    let missed = CallRecordsMissed { from: Moment(0), until: Moment(1), records: 1 };
    let entries = vec![switchbook_commands::call::Entry::Missed(missed)];
    all.push(Record { entries }.into());
    let (edge, late) = (Edge::Begins, Lateness::InTime);
    all.push(Fire { schedule, edge, due: Moment(0), late }.into());
    all.push(Missed { after: Moment(0), until: Moment(1), edges: 1 }.into());
    let book = BookId(Uuid::from_u128(1));
    all.push(Found { book, realm: "x".into(), time_zone: chrono_tz::Tz::UTC }.into());
    all.push(Start { version: "1".into(), stop_before: StopBefore::Clean }.into());
    all.push(Stop {}.into());
    all.push(audit::Opened { view: "audit history".into(), person: None }.into());
    all.push(switchbook_commands::backup::Taken { target: "copy.tar".into() }.into());
    let (root, checkpoint) = (Root([0; 32]), String::new());
    all.push(seal::Seal { size: 1, root, checkpoint, new_key: None, replaces: None }.into());
    all.push(erasure::Apply::Period(Period(202_605)).into());
    all
}

#[test]
fn nobody_passes_by_default() {
    let mut world = World::with_ada();
    for (name, group) in [("root", "admins"), ("eve", ""), ("vera", "readers"), ("olga", "openers")]
    {
        if !group.is_empty() && group != "admins" {
            world.console(&format!(r#"{{"command":"group.add","name":"{group}","kind":"user"}}"#));
            world.console(&format!(
                r#"{{"command":"permission.grant","group":"{group}","permission":"audit"}}"#
            ));
        }
        let groups = if group.is_empty() { String::new() } else { format!("\"{group}\"") };
        world.console(&format!(
            r#"{{"command":"user.add","username":"{name}","display_name":"{name}","groups":[{groups}]}}"#
        ));
    }
    world.console(
        r#"{"command":"permission.grant","group":"openers","permission":"audit.personal"}"#,
    );
    world.console(r#"{"command":"profile.add","user":"ada","name":"V"}"#);
    world.console(
        r#"{"command":"schedule.add","number":"100","profile":"ada/V","pattern":{"weekly":"mon 01:00-02:00"}}"#,
    );
    let schedule = world.exchange.schedules.keys().next().copied().unwrap();
    let (ada, eve, root) = (world.user("ada"), world.user("eve"), world.user("root"));
    let (vera, olga) = (world.user("vera"), world.user("olga"));
    // C console, A administrator, a one without the right, O owner, o another user, P his phone, p another phone,
    // S this schedule, s another, V auditor, v one without the right, W auditor who may open personal fields,
    // X system; then with on_behalf_of: C+ console as owner, C- console as another, A+ A-, Aa administrator as an
    // administrator, O+ a user as another, X+ the system as a user.
    let other = ScheduleId(Uuid::from_u128(99));
    let actors: [(&str, Actor, Option<UserId>); 20] = [
        ("C", CONSOLE, None),
        ("A", Actor::Admin(root), None),
        ("a", Actor::Admin(eve), None),
        ("O", Actor::User(ada), None),
        ("o", Actor::User(eve), None),
        ("P", world.phone("p1"), None),
        ("p", world.phone("q1"), None),
        ("S", Actor::Schedule(schedule), None),
        ("s", Actor::Schedule(other), None),
        ("V", Actor::Auditor(vera), None),
        ("v", Actor::Auditor(ada), None),
        ("W", Actor::Auditor(olga), None),
        ("X", Actor::System, None),
        ("C+", CONSOLE, Some(ada)),
        ("C-", CONSOLE, Some(eve)),
        ("A+", Actor::Admin(root), Some(ada)),
        ("A-", Actor::Admin(root), Some(eve)),
        ("Aa", Actor::Admin(root), Some(root)),
        ("O+", Actor::User(eve), Some(ada)),
        ("X+", Actor::System, Some(ada)),
    ];
    let mut table = String::new();
    let commands = all(&world);
    for command in &commands {
        let pass = |(_, actor, on_behalf_of): &&(&str, Actor, Option<UserId>)| {
            let order =
                Order { on_behalf_of: *on_behalf_of, ..world.order(*actor, command.clone()) };
            authorise(&world.exchange, &order).is_ok()
        };
        let names: Vec<&str> = actors.iter().filter(pass).map(|(name, ..)| *name).collect();
        writeln!(table, "{:24}{}", command.name(), names.join(" ")).unwrap();
    }
    let seen: Vec<&str> = commands.iter().map(Command::name).collect();
    let every: Vec<&str> = Command::NAMES.iter().chain(Command::OWN_NAMES).copied().collect();
    assert_eq!(seen, every, "the table has every command");
    expect![[r#"
        user.add                C A
        user.delete             C A
        user.rename             C A
        user.password           C A O C+ A+
        user.pin                C A O C+ A+
        user.dnd                C A O C+ A+
        user.caller_id          C A O C+ A+
        user.language           C A O C+ A+
        user.time_zone          C A O C+ A+
        user.contact            C A O C+ A+
        number.add              C A
        number.remove           C A
        number.tick             C A O C+ A+
        number.untick           C A O C+ A+
        number.swap             C A O C+ A+
        number.call_waiting     C A O C+ A+
        number.busy_if_any      C A O C+ A+
        slot.add                C A
        slot.remove             C A
        slot.select             C A O C+ A+
        device.add              C A
        device.remove           C A
        device.password         C A
        device.log_in           C A O C+ A+
        device.log_out          C A O C+ A+
        device.ring             C A O C+ A+
        group.add               C A
        group.remove            C A
        group.add_member        C A
        group.remove_member     C A
        group.time_zone         C A
        group.retitle           C A
        permission.grant        C A
        permission.withdraw     C A
        profile.add             C A O C+ A+
        profile.rules           C A O C+ A+
        profile.rename          C A O C+ A+
        profile.delete          C A O C+ A+
        forwarding.set          C A O C+ A+
        forwarding.clear        C A O C+ A+
        schedule.add            C A O C+ A+
        schedule.remove         C A O C+ A+
        trunk.add               C A
        trunk.remove            C A
        trunk.assign            C A
        trunk.free              C A
        settings.time_zone      C A
        settings.digest         C A
        settings.block_target   C A
        settings.unblock_target C A
        settings.retention      C A
        person.erase            C A
        period.erase            C A
        call.hang_up            C A
        phone.log_in            P p
        phone.log_out           P p
        phone.dnd               P p
        phone.forward           P p
        registration.register   P
        registration.expire     X
        phone.claim             P
        call.record             X
        schedule.fire           S
        schedule.missed         X
        exchange.found          X
        server.start            X
        server.stop             X
        audit.opened            C W
        backup.taken            C A
        audit.seal              C A X
        erasure.apply           X
    "#]]
    .assert_eq(&table);
}

#[test]
fn x25_the_console_as_an_administrator_has_his_rights() {
    let mut world = World::with_ada();
    world.console(
        r#"{"command":"user.add","username":"root","display_name":"R","groups":["admins"]}"#,
    );
    let root = world.user("root");
    let order = |json| world.order(CONSOLE, command(json)).on_behalf_of(root);
    let add = order(r#"{"command":"number.add","user":"ada","number":"300"}"#);
    assert!(authorise(&world.exchange, &add).is_ok());
    let other = order(r#"{"command":"number.call_waiting","number":"100","on":true}"#);
    assert!(authorise(&world.exchange, &other).is_ok());
}
