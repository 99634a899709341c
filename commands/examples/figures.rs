//! How fast decisions are: `cargo run --release -p switchbook-commands --example figures`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;
use switchbook_commands::registration::{Ask, Contact, Register};
use switchbook_commands::settings::Found;
use switchbook_commands::{Command, Context, NoCalls, NoLeases, Order, decide};
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{BookId, CommandId, CorrelationId};
use switchbook_core::position::{Moment, Seconds};
use uuid::Uuid;

fn main() {
    let mut exchange = Exchange::default();
    let found = Found {
        book: BookId(Uuid::from_u128(1)),
        realm: "pbx.test".into(),
        time_zone: "Europe/Berlin".parse().unwrap(),
    };
    obey(&mut exchange, Actor::System, found.into());
    let users = 10_000;
    let begun = Instant::now();
    for n in 0..users {
        let json = format!(
            r#"{{"command":"user.add","username":"u{n}","display_name":"User {n}","numbers":["{}"],
            "devices":[{{"name":"d{n}","type":"desk"}}]}}"#,
            100_000 + n
        );
        let command: Command = serde_json::from_str(&json).unwrap();
        obey(&mut exchange, Actor::Supervisor { uid: 0 }, command);
    }
    report("user.add with number, slot, tick, device, log-in", users, begun);
    for (what, cseq) in [("register, first", 1), ("register, changed", 2)] {
        let begun = Instant::now();
        for n in 0..users {
            let device = exchange.device_named(&format!("d{n}")).unwrap();
            let uri = format!("sip:d{n}@192.0.2.1:5060");
            let contact = Contact {
                uri,
                parameters: String::new(),
                instance: None,
                source: "192.0.2.1:5060".into(),
                behind_nat: false,
                expires: Seconds(600 + cseq),
            };
            let (ask, bounds) = (Ask::Contacts(vec![contact]), (Seconds(60), Seconds(3600)));
            let command = Register { device, ask, call_id: 1, cseq, user_agent: None, bounds };
            obey(&mut exchange, Actor::Phone(device), command.into());
        }
        report(what, users, begun);
    }
}

fn obey(exchange: &mut Exchange, actor: Actor, command: Command) {
    let order = Order::new(CommandId(Uuid::now_v7()), actor, command);
    let mut new_id = Uuid::now_v7;
    let mut context = Context {
        now: Moment(1_700_000_000_000_000),
        new_id: &mut new_id,
        calls: &NoCalls,
        leases: &NoLeases,
    };
    let decision = decide(exchange, &order, &mut context).unwrap();
    for event in decision.events {
        let envelope = Envelope {
            position: exchange.position.next(),
            recorded_at: context.now,
            moment: context.now,
            actor,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(order.id.0),
            command: order.id,
            subjects: event.subjects(),
        };
        exchange.evolve(&Recorded { envelope, event });
    }
}

fn report(what: &str, many: u32, begun: Instant) {
    let each = begun.elapsed() / many;
    println!("{what}: {each:?} each, {:.0} a second", 1.0 / each.as_secs_f64());
}
