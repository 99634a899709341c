//! `cargo bench -p switchbook-sip`: parsing, building, digest, a transaction.

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use switchbook_sip::digest::{Algorithm, Answer, Challenge, Expectation, Ha1, Verdict, Verifier};
use switchbook_sip::message::{
    Builder, Credentials, Message, Request, Rules, parse_datagram, validate,
};
use switchbook_sip::transaction::{Config, Flow, Output, Transactions, Transport};

const REGISTER: &str = "REGISTER sip:pbx.example.com SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKPj1f0e7c5b0a1d4f2e\r\n\
Max-Forwards: 70\r\n\
From: \"Ada\" <sip:200@pbx.example.com>;tag=8a7b6c5d\r\n\
To: \"Ada\" <sip:200@pbx.example.com>\r\n\
Call-ID: 4f6d9a1c0b2e4e7f@192.168.1.20\r\n\
CSeq: 2 REGISTER\r\n\
User-Agent: Phone 1.2.3\r\n\
Contact: <sip:200@192.168.1.20:5060;ob>;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-0000aabbccdd>\"\r\n\
Expires: 300\r\n\
Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS\r\n\
Authorization: Digest username=\"200\", realm=\"pbx\", nonce=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \
uri=\"sip:pbx.example.com\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5, cnonce=\"abcd\", qop=auth, nc=00000001\r\n\
Content-Length: 0\r\n\r\n";

const SDP: &str = "v=0\r\no=- 3913 3913 IN IP4 192.168.1.20\r\ns=call\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n\
m=audio 4000 RTP/AVP 8 0 9 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

fn request(text: &str) -> Request {
    match parse_datagram(Bytes::copy_from_slice(text.as_bytes())) {
        Ok(Message::Request(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn messages(c: &mut Criterion) {
    let invite = REGISTER.replace("REGISTER", "INVITE").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}", SDP.len()),
    );
    let mut group = c.benchmark_group("message");
    group.throughput(Throughput::Elements(1));
    for (name, text) in [("register", REGISTER), ("invite", &invite)] {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        group.bench_function(format!("parse {name}"), |b| {
            b.iter(|| parse_datagram(black_box(bytes.clone())))
        });
        let r = request(text);
        group.bench_function(format!("validate {name}"), |b| {
            b.iter(|| validate(black_box(&r), &Rules::default()))
        });
    }
    let r = request(REGISTER);
    let source = "198.51.100.1:40000".parse().expect("an address");
    let mut buf = BytesMut::with_capacity(65_536);
    group.bench_function("build 200", |b| {
        b.iter(|| {
            Builder::reply(&mut buf, black_box(&r), 200, "OK", Some("0123456789abcdef"), source)
                .finish()
        })
    });
    group.finish();
}

fn digest(c: &mut Criterion) {
    let mut group = c.benchmark_group("digest");
    group.throughput(Throughput::Elements(1));
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut verifier = Verifier::new([1; 32], Duration::from_secs(300), 100_000);
        let algorithms = [algorithm];
        let expected = Expectation {
            realm: "pbx",
            method: "REGISTER",
            uri: Some("sip:pbx"),
            algorithms: &algorithms,
        };
        let now = Duration::from_secs(1_800_000_000);
        let offered: Vec<String> = verifier.challenge(now, &expected, 1, None).collect();
        let challenge =
            Challenge::choose(offered.iter().map(|o| o.as_bytes())).expect("a challenge");
        let ha1 = Ha1::compute(algorithm, "200", "pbx", "secret");
        let answer = Answer {
            username: "200",
            ha1: &ha1,
            method: "REGISTER",
            uri: "sip:pbx",
            cnonce: "c",
            count: 1,
        };
        let header = answer.header(&challenge).expect("an answer");
        for (who, known) in [("known", true), ("unknown", false)] {
            group.bench_function(format!("verify {} {who} user", algorithm.as_str()), |b| {
                b.iter(|| {
                    let credentials = Credentials::parse(black_box(header.as_bytes())).into_iter();
                    let verdict = verifier.verify(
                        now,
                        &expected,
                        credentials,
                        |_| true,
                        |_, _| known.then(|| ha1.clone()),
                    );
                    // The count was used in the first round: the path is the same up to the last step.
                    assert!(known || matches!(verdict, Verdict::Wrong { .. }));
                })
            });
        }
        group.bench_function(format!("challenge {}", algorithm.as_str()), |b| {
            b.iter(|| verifier.challenge(now, black_box(&expected), 7, None).count())
        });
    }
    group.finish();
}

fn transactions(c: &mut Criterion) {
    let mut group = c.benchmark_group("transaction");
    group.throughput(Throughput::Elements(1));
    let flow = Flow {
        remote: "198.51.100.1:5060".parse().expect("an address"),
        local: "192.0.2.1:5060".parse().expect("an address"),
        transport: Transport::Udp,
    };
    let start = Instant::now();
    for (name, stateless) in [("register 200", false), ("register 401 stateless", true)] {
        let mut table = Transactions::new(Config::default(), [1; 16]);
        let mut buf = BytesMut::with_capacity(65_536);
        let (mut n, mut now) = (0u64, start);
        group.bench_function(name, |b| {
            b.iter(|| {
                n += 1;
                now += Duration::from_micros(250);
                let text = REGISTER
                    .replace("1f0e7c5b0a1d4f2e", &format!("{n:016x}"))
                    .replace("4f6d9a1c0b2e4e7f", &format!("{n:016x}"));
                table.receive(now, flow, text.into());
                while let Some(output) = table.poll_output() {
                    if let Output::Request { key, flow, request } = output {
                        let status = if stateless { 401 } else { 200 };
                        let answer =
                            Builder::reply(&mut buf, &request, status, "x", Some("t"), flow.remote)
                                .finish();
                        let Ok(answer) = answer else { panic!("no answer") };
                        let done = if stateless {
                            table.respond_stateless(key, answer)
                        } else {
                            table.respond(now, key, answer)
                        };
                        assert!(done.is_ok());
                    }
                }
                table.handle_timeout(now);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, messages, digest, transactions);
criterion_main!(benches);
