//! The real server on a real socket, with built-in phones: the whole thread over loopback.
#![allow(clippy::unwrap_used)]

mod common;

use common::desk::{MemoryDesk, REALM};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchbook_core::position::Moment;
use switchbook_sip_adapter::phone::{OnCall, Phone, PhoneConfig, PhoneEvent};
use switchbook_sip_adapter::{Config, Server, Switchroom};

const LONG: Duration = Duration::from_secs(10);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn server(commands: &[&str]) -> (Server, Arc<MemoryDesk>, Switchroom) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let desk = MemoryDesk::new(Moment(i64::try_from(since.as_micros()).unwrap()));
    for command in commands {
        desk.tell(command);
    }
    let room = Switchroom::open().unwrap();
    let server = Server::start(Config::new((LOOPBACK, 0).into()), desk.clone(), &room).unwrap();
    let _ = desk.live.set(server.live_calls());
    (server, desk, room)
}

async fn phone(server: &Server, name: &str, tone: u32) -> Phone {
    let config = PhoneConfig {
        name: name.into(),
        password: format!("secret-{name}"),
        domain: REALM.into(),
        server: server.local_addr(),
        ip: LOOPBACK,
        tone,
        on_call: OnCall::Answer(Duration::from_millis(100)),
    };
    let mut phone = Phone::start(config).await.unwrap();
    phone.register(600);
    let registered = phone.wait_for(LONG, |e| matches!(e, PhoneEvent::Registered(_))).await;
    assert_eq!(registered, Some(PhoneEvent::Registered(600)));
    phone
}

const ADA: &str = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"],
    "slots":["desk"],"devices":[{"name":"p1","type":"desk","password":"secret-p1"}]}"#;
const BOB: &str = r#"{"command":"user.add","username":"bob","display_name":"Bob","numbers":["200"],"slots":["desk","softphone"],
    "devices":[{"name":"p2","type":"desk","password":"secret-p2"}]}"#;

#[tokio::test]
async fn two_phones_talk_hold_resume_and_hang_up() {
    let (server, _desk, _room) = server(&[ADA, BOB]);
    let mut ada = phone(&server, "p1", 440).await;
    let mut bob = phone(&server, "p2", 880).await;
    ada.call("200");
    let called = bob.wait_for(LONG, |e| matches!(e, PhoneEvent::Called(_))).await;
    assert_eq!(called, Some(PhoneEvent::Called("100".into())));
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Talks).await.is_some());
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Hears(880)).await.is_some());
    assert!(bob.wait_for(LONG, |e| *e == PhoneEvent::Hears(440)).await.is_some());
    ada.hold(true);
    assert!(bob.wait_for(LONG, |e| *e == PhoneEvent::Held(true)).await.is_some());
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Hears(0)).await.is_some());
    ada.hold(false);
    assert!(bob.wait_for(LONG, |e| *e == PhoneEvent::Held(false)).await.is_some());
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Hears(880)).await.is_some());
    bob.hang_up();
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Ended).await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_feature_code_is_answered_and_ended_and_a_wrong_one_refused_with_a_sentence() {
    let (server, desk, _room) = server(&[ADA, BOB]);
    let mut ada = phone(&server, "p1", 440).await;
    ada.call("*78");
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Ended).await.is_some());
    let exchange = desk.state();
    let user = exchange.user_named("ada").unwrap();
    assert!(exchange.users[&user].do_not_disturb.unwrap().value);
    ada.call("*44*200*1234");
    let refused = ada.wait_for(LONG, |e| matches!(e, PhoneEvent::Refused(..))).await;
    assert!(matches!(refused, Some(PhoneEvent::Refused(403, text)) if text.len() > 10));
    server.stop().await;
}

#[tokio::test]
async fn a_stop_says_goodbye_to_both_sides() {
    let (server, _desk, _room) = server(&[ADA, BOB]);
    let mut ada = phone(&server, "p1", 440).await;
    let mut bob = phone(&server, "p2", 880).await;
    ada.call("200");
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Hears(880)).await.is_some());
    let stopped = tokio::time::timeout(LONG, server.stop());
    assert!(stopped.await.is_ok());
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Ended).await.is_some());
    assert!(bob.wait_for(LONG, |e| *e == PhoneEvent::Ended).await.is_some());
}

#[tokio::test]
async fn a_phone_that_is_called_may_be_given_up_on_or_refuse() {
    let (server, _desk, _room) = server(&[ADA, BOB]);
    let mut ada = phone(&server, "p1", 440).await;
    let mut bob = phone(&server, "p2", 880).await;
    bob.on_call(OnCall::Ring);
    ada.call("200");
    assert!(ada.wait_for(LONG, |e| *e == PhoneEvent::Rings).await.is_some());
    ada.hang_up();
    let given_up = ada.wait_for(LONG, |e| matches!(e, PhoneEvent::Refused(..))).await;
    assert!(matches!(given_up, Some(PhoneEvent::Refused(487, _))));
    assert!(bob.wait_for(LONG, |e| *e == PhoneEvent::Ended).await.is_some());
    bob.on_call(OnCall::Refuse(603));
    ada.call("200");
    let refused = ada.wait_for(LONG, |e| matches!(e, PhoneEvent::Refused(..))).await;
    assert!(matches!(refused, Some(PhoneEvent::Refused(486, _))));
    server.stop().await;
}
