//! Dialogs of both sides, told by messages.
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use bytes::{Bytes, BytesMut};
use switchbook_sip::dialog::{Dialog, DialogError, DialogId, Stage};
use switchbook_sip::message::{Builder, HeaderName, Message, Request, Response, parse_datagram};
use switchbook_sip::{Method, message};

fn request(bytes: Bytes) -> Request {
    match parse_datagram(bytes) {
        Ok(Message::Request(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn invite(record_routes: &str) -> Request {
    let text = format!(
        "INVITE sip:b@pbx SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n{record_routes}\
         From: \"A\" <sip:a@x>;tag=at;p=\"q\"\r\nTo: sip:b@pbx\r\nCall-ID: c\r\nCSeq: 10 INVITE\r\n\
         Contact: <sip:a@192.0.2.9:5070>\r\n\r\n"
    );
    request(text.into())
}

fn answer(to: &Request, status: u16, lines: &[(HeaderName, &str)]) -> Response {
    let mut buf = BytesMut::new();
    let source = "192.0.2.1:5060".parse().unwrap();
    let mut b = Builder::reply(&mut buf, to, status, "x", Some("bt"), source);
    for (name, value) in lines {
        b.header(*name, value);
    }
    match parse_datagram(b.finish().unwrap()) {
        Ok(Message::Response(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn routes(r: &Request) -> Vec<String> {
    r.routes().map(|r| r.unwrap().uri_raw.to_owned()).collect()
}

const TWO: &str = "Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>, <sip:p3;lr>\r\n";
const CONTACT: (HeaderName, &str) = (HeaderName::Contact, "<sip:b@192.0.2.7>");

#[test]
fn the_callee_sends_along_the_recorded_way_and_the_caller_back() {
    let invite = invite(TWO);
    let mut callee = Dialog::uas(&invite, "bt", Stage::Confirmed).unwrap();
    let mut buf = BytesMut::new();
    let bye =
        callee.request(&mut buf, Method::Bye, "UDP", "192.0.2.7", "z9hG4bK2").finish().unwrap();
    let bye = request(bye);
    assert_eq!(bye.uri_raw(), "sip:a@192.0.2.9:5070");
    assert_eq!(routes(&bye), ["sip:p1;lr", "sip:p2;lr", "sip:p3;lr"]);
    assert_eq!((bye.from().unwrap().tag(), bye.to().unwrap().tag()), (Some("bt"), Some("at")));
    assert_eq!(bye.to().unwrap().params.text("p"), Some("q"));
    assert_eq!(bye.cseq().unwrap().seq, 1);
    assert_eq!(callee.next_hop(), "sip:p1;lr");
    message::validate(&bye, &message::Rules::default()).unwrap();

    let ok =
        answer(&invite, 200, &[(HeaderName::RecordRoute, "<sip:p1;lr>, <sip:p2;lr>"), CONTACT]);
    let mut caller = Dialog::uac(&invite, &ok).unwrap();
    assert_eq!(caller.stage(), Stage::Confirmed);
    let ack = request(caller.ack(&mut buf, "UDP", "192.0.2.9", "z9hG4bK3").finish().unwrap());
    assert_eq!((ack.uri_raw(), ack.cseq().unwrap().seq), ("sip:b@192.0.2.7", 10));
    assert_eq!(routes(&ack), ["sip:p2;lr", "sip:p1;lr"]);
    let info =
        caller.request(&mut buf, Method::Info, "UDP", "192.0.2.9", "z9hG4bK4").finish().unwrap();
    assert_eq!(request(info).cseq().unwrap().seq, 11);
    // The ACK still belongs to the INVITE.
    let ack = request(caller.ack(&mut buf, "UDP", "192.0.2.9", "z9hG4bK5").finish().unwrap());
    assert_eq!(ack.cseq().unwrap().seq, 10);
    assert_eq!(DialogId::of_request(&bye).unwrap().unwrap(), *caller.id());
}

#[test]
fn a_strict_router_gets_its_own_uri_and_the_target_goes_last() {
    let mut dialog =
        Dialog::uas(&invite("Record-Route: <sip:p1>, <sip:p2;lr>\r\n"), "bt", Stage::Confirmed)
            .unwrap();
    let mut buf = BytesMut::new();
    let bye =
        request(dialog.request(&mut buf, Method::Bye, "UDP", "h", "z9hG4bK2").finish().unwrap());
    assert_eq!(bye.uri_raw(), "sip:p1");
    assert_eq!(routes(&bye), ["sip:p2;lr", "sip:a@192.0.2.9:5070"]);
}

#[test]
fn the_sequence_must_rise_and_a_refused_one_changes_nothing() {
    let mut dialog = Dialog::uas(&invite(""), "bt", Stage::Confirmed).unwrap();
    let with = |n: u32| {
        let text = format!(
            "INFO sip:b@pbx SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@x>;tag=at\r\n\
             To: <sip:b@pbx>;tag=bt\r\nCall-ID: c\r\nCSeq: {n} INFO\r\n\r\n"
        );
        request(text.into())
    };
    assert_eq!(dialog.receive(&with(10)).unwrap_err().status, 500);
    assert_eq!(dialog.receive(&with(15)), Ok(()));
    assert_eq!(dialog.receive(&with(12)).unwrap_err().status, 500);
    assert_eq!(dialog.receive(&with(16)), Ok(()));
}

#[test]
fn early_dialogs_are_confirmed_by_the_2xx_which_names_way_and_target_anew() {
    let invite = invite("");
    let ringing = answer(&invite, 180, &[(HeaderName::RecordRoute, "<sip:p1;lr>")]);
    let mut dialog = Dialog::uac(&invite, &ringing).unwrap();
    assert_eq!((dialog.stage(), dialog.remote_target()), (Stage::Early, "sip:b@pbx"));
    dialog
        .confirm_by(&answer(&invite, 200, &[(HeaderName::RecordRoute, "<sip:p2;lr>"), CONTACT]))
        .unwrap();
    assert_eq!((dialog.stage(), dialog.remote_target()), (Stage::Confirmed, "sip:b@192.0.2.7"));
    assert_eq!(dialog.routes(), ["sip:p2;lr"]);
    // A re-INVITE may move the target, never the way.
    dialog
        .confirm_by(&answer(&invite, 200, &[(HeaderName::Contact, "<sip:b@192.0.2.8>")]))
        .unwrap();
    assert_eq!((dialog.remote_target(), dialog.routes().len()), ("sip:b@192.0.2.8", 1));
    assert!(matches!(Dialog::uac(&invite, &answer(&invite, 200, &[])), Err(DialogError::NoTarget)));
}
