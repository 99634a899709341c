//! A SIP server on an exchange in memory, for load tests: users 100000 and up, each with one number and one phone of
//! that name.
//!
//! `cargo run --release -p switchbook-sip-adapter --example memory_server -- 127.0.0.1:5060 10000 secret-`
//! (address, users, password prefix or `bench`; a fourth argument `IP:PORT` is a trunk that reaches every number).

#[path = "../tests/common/desk.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::panic)]
mod desk;

use desk::MemoryDesk;
use std::sync::atomic::Ordering::Relaxed;
use switchbook_core::position::Moment;
use switchbook_sip_adapter::{Config, Server, Switchroom};

/// The password of a phone; the prefix `bench` stands for the passwords of the load tests.
fn password(prefix: &str, number: u32) -> String {
    match prefix {
        "bench" => format!("s{:08x}", (number - 100_000).wrapping_mul(2_654_435_761)),
        prefix => format!("{prefix}{number}"),
    }
}

fn moment() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Moment(i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or("127.0.0.1:5060".into()).parse()?;
    let users: u32 = arguments.next().unwrap_or("100".into()).parse()?;
    let prefix = arguments.next().unwrap_or("secret-".into());
    let trunk = arguments.next();
    let desk = MemoryDesk::new(moment());
    desk.keeps_book.store(false, Relaxed);
    if let Some(peer) = &trunk {
        desk.tell(&format!(r#"{{"command":"trunk.add","name":"bench","peer":"{peer}"}}"#));
    }
    for number in 100_000..100_000 + users {
        desk.tell(&format!(
            r#"{{"command":"user.add","username":"u{number}","display_name":"User {number}","numbers":["{number}"],
               "slots":["desk"],"devices":[{{"name":"{number}","type":"desk","password":"{}"}}]}}"#,
            password(&prefix, number)
        ));
        if trunk.is_some() {
            desk.tell(&format!(
                r#"{{"command":"trunk.assign","trunk":"bench","dialled":"{number}","number":"{number}"}}"#
            ));
        }
    }
    let mut config = Config::new(listen);
    config.limits.invites_per_second = 100_000;
    config.limits.invite_burst = 100_000;
    config.limits.calls_per_device = 10_000;
    config.limits.calls_placed.burst = 1_000_000;
    let room = Switchroom::open()?;
    let server = Server::start(config, desk.clone(), &room)?;
    let _ = desk.live.set(server.live_calls());
    println!("serving {users} users at {}", server.local_addr());
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    let mut ticks = 0u32;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                *desk.now.lock().unwrap_or_else(|e| e.into_inner()) = moment();
                ticks += 1;
                if ticks.is_multiple_of(100) {
                    let line: Vec<String> = server.metrics().all().map(|(n, _, v)| format!("{n}={v}")).collect();
                    println!("{}", line.join(" "));
                }
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    server.stop().await;
    Ok(())
}
