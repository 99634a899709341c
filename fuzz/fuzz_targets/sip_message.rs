//! A datagram of anything: parsed, validated, answered; every typed accessor read. Nothing may panic.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use switchbook_sip::message::{Builder, Message, Rules, parse_datagram, validate};

fuzz_target!(|data: &[u8]| {
    let peer = "192.0.2.9:5060".parse().unwrap();
    if let Ok(Message::Request(request)) = parse_datagram(Bytes::copy_from_slice(data)) {
        let _ = validate(&request, &Rules::default());
        let mut buffer = BytesMut::new();
        let _ = Builder::reply(&mut buffer, &request, 400, "Bad Request", Some("t"), peer).finish();
    }
});
