//! The parser against hostile and random input.
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use std::hint::black_box;
use switchbook_sip::message::*;
use switchbook_sip::{Message, Method};

#[test]
fn requests_that_live_in_a_dialog_need_its_tag() {
    let bye = HEAD.replace("INVITE", "BYE");
    let check = |text: String| match parse(&text) {
        Ok(Message::Request(r)) => validate(&r, &Rules::default()).map_err(|e| e.status),
        other => panic!("{other:?}"),
    };
    assert_eq!(check(format!("{bye}\r\n")), Err(481));
    assert_eq!(
        check(
            format!("{bye}\r\n")
                .replace("To: <sip:b@example.com>", "To: <sip:b@example.com>;tag=x")
        ),
        Ok(())
    );
}

#[test]
fn what_a_log_shows_of_a_message_holds_no_secret() {
    let text = format!("{HEAD}Authorization: Digest response=\"1234\"\r\n\r\n")
        .replace("sip:b@", "sip:*44*1234@");
    assert_eq!(format!("{:?}", parse(&text).unwrap()).matches("1234").count(), 0);
}

fn parse(text: &str) -> Result<Message, ParseErrorKind> {
    parse_datagram(Bytes::copy_from_slice(text.as_bytes())).map_err(|e| e.kind)
}

const HEAD: &str = "INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
    From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";

#[test]
fn content_length_over_udp() {
    let body = |lines: &str, rest: &str| {
        parse(&format!("{HEAD}{lines}\r\n{rest}")).map(|m| m.body().to_vec())
    };
    assert_eq!(body("", "all of it"), Ok(b"all of it".to_vec()));
    assert_eq!(body("Content-Length: 3\r\n", "abcdef"), Ok(b"abc".to_vec()));
    assert_eq!(body("l:3\r\nContent-Length : 3\r\n", "abc"), Ok(b"abc".to_vec()));
    assert_eq!(body("Content-Length: 4\r\n", "abc"), Err(ParseErrorKind::BodyShort));
    for huge in ["4294967296", "18446744073709551616", "99999999999999999999999999"] {
        assert_eq!(
            body(&format!("Content-Length: {huge}\r\n"), "abc"),
            Err(ParseErrorKind::BodyShort)
        );
    }
    for bad in ["-1", "+1", "x", "", "1 2", "0x1"] {
        assert_eq!(
            body(&format!("Content-Length: {bad}\r\n"), "abc"),
            Err(ParseErrorKind::ContentLength),
            "{bad}"
        );
    }
    assert_eq!(body("l: 2\r\nl: 3\r\n", "abc"), Err(ParseErrorKind::ContentLength));
    let stream =
        parse_with(format!("{HEAD}\r\nnext").into(), &Limits::default(), Framing::Stream).unwrap();
    assert_eq!(stream.body(), b"");
}

#[test]
fn caps_are_kept_and_answered() {
    let many = format!("{HEAD}{}\r\n", "X: y\r\n".repeat(300));
    assert_eq!(parse(&many).unwrap_err(), ParseErrorKind::TooManyHeaders);
    let vias = format!("{HEAD}{}\r\n", "Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n".repeat(40));
    assert_eq!(parse(&vias).unwrap_err(), ParseErrorKind::TooManyVias);
    for line in [format!("X: {}", "y".repeat(9_000)), format!("X: {}", "y\r\n ".repeat(3_000))] {
        let wide = format!("{HEAD}{line}\r\n\r\n");
        assert_eq!(parse(&wide).unwrap_err(), ParseErrorKind::TooLarge);
    }
    // What would have to be repeated in the answer is not thrown back.
    let wide = format!("{HEAD}Via: SIP/2.0/UDP a;x={}\r\n\r\n", "y".repeat(9_000));
    let error = parse_datagram(wide.into()).unwrap_err();
    let source = "192.0.2.1:5060".parse().unwrap();
    assert!(reject_unparsed(&mut BytesMut::new(), &error, "t", source).is_none());
    let long = format!("{HEAD}X: {}\r\n\r\n", "y".repeat(70_000));
    let error = parse_datagram(long.into()).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooLarge);
    let (_, answer) =
        reject_unparsed(&mut BytesMut::new(), &error, "t", "192.0.2.1:5060".parse().unwrap())
            .unwrap();
    assert!(answer.starts_with(b"SIP/2.0 513 "));
}

#[test]
fn a_name_cannot_be_hidden_behind_a_fold_or_white_space() {
    // White space before the colon is legal and the name is known all the same.
    let m = parse(&format!("{HEAD}P-Asserted-Identity \t: <sip:x@y>\r\n\r\n")).unwrap();
    assert!(m.has(HeaderName::PAssertedIdentity));
    // A fold before the colon is not.
    assert_eq!(
        parse(&format!("{HEAD}P-Asserted-Identity\r\n : x\r\n\r\n")).unwrap_err(),
        ParseErrorKind::HeaderLine
    );
    assert_eq!(
        parse(&format!("{HEAD}X\r\n Route: <sip:x>\r\n\r\n")).unwrap_err(),
        ParseErrorKind::HeaderLine
    );
    assert_eq!(
        parse(&format!("{HEAD}X: a\rRoute: <sip:x>\r\n\r\n")).unwrap_err(),
        ParseErrorKind::BareCr
    );
    let first = HEAD.replacen("\r\nVia", "\r\n Via", 1);
    assert_eq!(parse(&format!("{first}\r\n")).unwrap_err(), ParseErrorKind::HeaderLine);
    // A bare LF ends a line for everyone, so it cannot hide one.
    assert!(parse(&format!("{HEAD}X: a\nRoute: <sip:x>\r\n\r\n")).unwrap().has(HeaderName::Route));
}

#[test]
fn keep_alives_and_noise_are_not_answered() {
    for noise in ["", "\r\n\r\n", "\0\0\0\0", "\x16\x03\x01", "GET / HTTP/1.1\r\n\r\n", "hello"] {
        let error = parse_datagram(Bytes::copy_from_slice(noise.as_bytes())).unwrap_err();
        assert!(error.kind.status().is_none() && error.salvage.is_none(), "{noise:?}");
    }
    assert!(parse(&format!("\r\n\r\n{HEAD}\r\n")).is_ok());
}

#[test]
fn bytes_that_are_not_utf_8_survive() {
    let mut bytes = HEAD.as_bytes().to_vec();
    bytes.extend_from_slice(b"X: \xff\xfe\r\nUser-Agent: \xe4\r\nSubject: s\r\n\r\n");
    let m = parse_datagram(bytes.into()).unwrap();
    assert_eq!(m.values_named("x").next(), Some(&b"\xff\xfe"[..]));
    assert_eq!((m.user_agent(), m.str_value(HeaderName::Subject)), (Some(&b"\xe4"[..]), Some("s")));
}

/// Calls every accessor, so that none can panic unseen.
fn exercise(m: &Message) {
    let h: &Head = m;
    let _ = (h.from().map(|f| (f.uri().is_ok(), f.display())), h.to().map(|f| f.uri().is_ok()));
    let _ = (h.call_id(), h.cseq(), h.expires(), h.max_forwards(), h.replaces(), h.content_type());
    h.vias().flatten().for_each(|v| {
        black_box((v.branch(), v.received(), v.rport(), v.unique_branch()));
    });
    h.contacts().flatten().for_each(|c| {
        black_box((c.expires(), c.q(), c.instance(), c.reg_id()));
    });
    h.routes().chain(h.record_routes()).flatten().for_each(|r| {
        black_box(r.uri().is_ok());
    });
    h.authorizations().for_each(|a| a.pairs().for_each(drop));
    h.reasons().for_each(drop);
    h.lines().for_each(drop);
    let _ = h.number_with_params(HeaderName::SessionExpires);
    let _ = switchbook_sip::sdp::Sdp::parse(h.body());
    if let Message::Request(r) = m {
        let _ = (r.uri().is_ok(), validate(r, &Rules::default()));
        let source = "192.0.2.7:5070".parse().unwrap();
        if let Ok(reply) =
            Builder::reply(&mut BytesMut::new(), r, 200, "OK", Some("t"), source).finish()
        {
            parse_datagram(reply).expect("an answer parses");
        }
    }
}

fn torture_files() -> Vec<Vec<u8>> {
    ["rfc4475", "rfc5118"]
        .iter()
        .flat_map(|d| {
            std::fs::read_dir(format!("{}/tests/torture/{d}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        })
        .map(|f| std::fs::read(f.unwrap().path()).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_message_panics(
        which in 0usize..62,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 0..8),
    ) {
        let mut bytes = torture_files()[which].clone();
        for (at, byte, kind) in edits {
            let i = at.index(bytes.len().max(1)).min(bytes.len());
            match kind {
                0 if i < bytes.len() => bytes[i] = byte,
                1 => bytes.insert(i, byte),
                2 if i < bytes.len() => drop(bytes.remove(i)),
                _ => bytes.insert(i, b"\r\n \t:;,<>\"@[]%=?/*\0"[usize::from(byte) % 19]),
            }
        }
        match parse_datagram(bytes.into()) {
            Ok(m) => exercise(&m),
            Err(e) => {
                let source = "192.0.2.7:5070".parse().unwrap();
                if let Some((_, reply)) = reject_unparsed(&mut BytesMut::new(), &e, "t", source) {
                    parse_datagram(reply).expect("a refusal parses");
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Uri::parse(&String::from_utf8_lossy(&bytes)).map(|u| u.same(&u));
        let _ = Via::parse(&bytes);
        let _ = NameAddr::parse(&bytes);
        let _ = Replaces::parse(&bytes);
        let _ = switchbook_sip::sdp::Sdp::parse(&bytes);
        let mut message = HEAD.as_bytes().to_vec();
        message.extend_from_slice(&bytes);
        if let Ok(m) = parse_datagram(message.into()) { exercise(&m) }
        if let Ok(m) = parse_datagram(bytes.into()) { exercise(&m) }
    }

    #[test]
    fn what_is_built_reads_back(
        display in any::<String>(),
        user in "[a-z0-9]{1,10}",
        port in any::<u16>(),
        seq in 0u32..(1 << 31),
        subject in "[^\r\n\0]{0,60}",
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut buf = BytesMut::new();
        let uri = format!("sip:{}@[2001:db8::1]:{port};transport=udp", escape_user(&format!("{user}#ä")));
        let bytes = Builder::request(&mut buf, Method::Message, &uri)
            .via("UDP", "[2001:db8::2]:5060", "z9hG4bKabc")
            .max_forwards(70)
            .addr(HeaderName::From, Some(&display), &uri, Some("ft"))
            .addr(HeaderName::To, None, &uri, None)
            .header(HeaderName::CallId, "cid@x")
            .cseq(seq, Method::Message)
            .header(HeaderName::Subject, &subject)
            .body("application/x", &body)
            .unwrap();
        let Ok(Message::Request(r)) = parse_datagram(bytes) else { panic!("no request") };
        validate(&r, &Rules::default()).unwrap();
        prop_assert_eq!(r.uri_raw(), &uri);
        prop_assert_eq!(r.body(), &body[..]);
        prop_assert_eq!(r.cseq().unwrap().seq, seq);
        prop_assert_eq!(r.str_value(HeaderName::Subject).unwrap(), subject.trim_matches([' ', '\t']));
        let shown: String = display.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect();
        prop_assert_eq!(r.from().unwrap().display().unwrap_or_default(), shown);
        let uri = r.uri().unwrap();
        let sip = uri.as_sip().unwrap();
        prop_assert_eq!(unescape(sip.user.unwrap()).unwrap().into_owned(), format!("{user}#ä").into_bytes());
        prop_assert_eq!(sip.to_string(), r.uri_raw());
    }

    #[test]
    fn no_value_breaks_out_of_its_line(value in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut buf = BytesMut::new();
        let built = Builder::response(&mut buf, 200, "OK").header(HeaderName::Subject, &value).finish();
        match built {
            Err(_) => prop_assert!(value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))),
            Ok(bytes) => prop_assert_eq!(parse_datagram(bytes).unwrap().lines().count(), 2),
        }
    }
}

#[test]
fn what_is_required_is_repeated_only_if_it_is_an_option_tag() {
    let required = |value: &str| {
        let Ok(Message::Request(request)) =
            parse_datagram(format!("{HEAD}Require: {value}\r\n\r\n").into_bytes().into())
        else {
            panic!("{value}")
        };
        validate(&request, &Rules::default()).unwrap_err()
    };
    let rejection = required("gold, silver");
    assert_eq!((rejection.status, rejection.header.unwrap().1), (420, "gold, silver".to_owned()));
    for value in ["gö", "a b", "<x>", &"a,".repeat(2_000)] {
        assert_eq!(required(value).status, 400, "{value}");
    }
}
