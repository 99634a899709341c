//! Digest against replays, downgrades and forged fields (security checklist 1 to 6).
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use std::time::Duration;
use switchbook_sip::digest::{
    Algorithm, Answer, AnswerError, Challenge, Expectation, Ha1, Malformed, Stale, Verdict,
    Verifier, response,
};
use switchbook_sip::message::{Credentials, Host};

const NOW: Duration = Duration::from_secs(1_800_000_000);
const BOTH: &[Algorithm] = &[Algorithm::Md5, Algorithm::Sha256];
const OK: Verdict<'static> = Verdict::Ok { username: "ada" };
const WRONG: Verdict<'static> = Verdict::Wrong { username: "ada" };

fn expectation<'a>() -> Expectation<'a> {
    Expectation { realm: "pbx", method: "REGISTER", uri: None, algorithms: BOTH }
}

fn verifier() -> Verifier {
    Verifier::new([9; 32], Duration::from_secs(300), 1000)
}

fn challenge(v: &Verifier, algorithm: Algorithm) -> Challenge {
    let wanted = Expectation { algorithms: &[algorithm], ..expectation() };
    let offered: Vec<_> = v.challenge(NOW, &wanted, 1, None).collect();
    Challenge::choose(offered.iter().map(|o| o.as_bytes())).unwrap()
}

fn answer(c: &Challenge, count: u32) -> String {
    let ha1 = Ha1::compute(c.algorithm, "ada", &c.realm, "secret");
    Answer {
        username: "ada",
        ha1: &ha1,
        method: "REGISTER",
        uri: "sip:pbx.example.com:5060",
        cnonce: "xyz",
        count,
    }
    .header(c)
    .unwrap()
}

fn judge<'h>(
    v: &mut Verifier,
    now: Duration,
    wanted: &Expectation<'_>,
    header: &'h str,
) -> Verdict<'h> {
    let ours = |host: &Host<'_>| *host == Host::Name("PBX.example.com");
    v.verify(
        now,
        wanted,
        Credentials::parse(header.as_bytes()).into_iter(),
        ours,
        |user, algorithm| (user == "ada").then(|| Ha1::compute(algorithm, "ada", "pbx", "secret")),
    )
}

#[test]
fn both_algorithms_are_offered_md5_first_and_the_client_prefers_sha_256() {
    let v = verifier();
    let offered: Vec<_> = v.challenge(NOW, &expectation(), 1, Some(Stale)).collect();
    assert_eq!(offered.len(), 2);
    assert!(offered[0].contains("algorithm=MD5, qop=\"auth\", stale=true"));
    let chosen = Challenge::choose(offered.iter().map(|o| o.as_bytes())).unwrap();
    assert!(chosen.algorithm == Algorithm::Sha256 && chosen.stale && chosen.qop_auth);
    assert!(v.challenge(NOW, &expectation(), 1, None).all(|c| !c.contains("stale")));
}

#[test]
fn a_right_answer_is_taken_once() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut v = verifier();
        let c = challenge(&v, algorithm);
        let first = answer(&c, 1);
        assert_eq!(judge(&mut v, NOW, &expectation(), &first), OK);
        assert_eq!(judge(&mut v, NOW, &expectation(), &first), Verdict::Stale, "replayed");
        assert_eq!(judge(&mut v, NOW, &expectation(), &answer(&c, 9)), OK);
        assert_eq!(
            judge(&mut v, NOW, &expectation(), &answer(&c, 1)),
            Verdict::Stale,
            "count went back"
        );
        assert_eq!(
            judge(&mut v, NOW + Duration::from_secs(301), &expectation(), &answer(&c, 10)),
            Verdict::Stale
        );
    }
}

#[test]
fn an_answer_is_bound_to_method_realm_host_and_user() {
    let mut v = verifier();
    let header = answer(&challenge(&v, Algorithm::Md5), 1);
    let mut refused = |wanted: &Expectation<'_>, header: &str, verdict: Verdict<'_>| {
        assert_eq!(judge(&mut v, NOW, wanted, header), verdict, "{header}");
    };
    refused(&Expectation { method: "INVITE", ..expectation() }, &header, WRONG);
    refused(&Expectation { realm: "other", ..expectation() }, &header, Verdict::NoCredentials);
    refused(&Expectation { algorithms: &[Algorithm::Sha256], ..expectation() }, &header, WRONG);
    let elsewhere = |uri| Verdict::Elsewhere { username: "ada", uri };
    let evil = "sip:evil.example.com:5060";
    refused(&expectation(), &header.replace("sip:pbx.example.com:5060", evil), elsewhere(evil));
    refused(
        &expectation(),
        &header.replace("\"ada\"", "\"eve\""),
        Verdict::Wrong { username: "eve" },
    );
    refused(&expectation(), &header.replace("sip:pbx.example.com:5060", "pbx"), elsewhere("pbx"));
    // None of these used the count up.
    assert_eq!(judge(&mut v, NOW, &expectation(), &header), OK);
}

#[test]
fn a_right_hash_over_a_foreign_host_or_nonce_is_no_good() {
    let mut v = verifier();
    let c = challenge(&v, Algorithm::Md5);
    let ha1 = Ha1::compute(Algorithm::Md5, "ada", "pbx", "secret");
    let forged = |nonce: &str, uri: &str| {
        let r = response(&ha1, nonce.as_bytes(), b"00000001", b"c", "REGISTER", uri.as_bytes());
        format!(
            "Digest username=ada, realm=pbx, nonce=\"{nonce}\", uri=\"{uri}\", response={r}, NC=00000001, \
             CNONCE=c, qop=AUTH"
        )
    };
    let elsewhere = Verdict::Elsewhere { username: "ada", uri: "sip:evil" };
    assert_eq!(judge(&mut v, NOW, &expectation(), &forged(&c.nonce, "sip:evil")), elsewhere);
    assert_eq!(
        judge(&mut v, NOW, &expectation(), &forged("x", "sip:pbx.example.com")),
        Verdict::Stale
    );
    let of_another_realm =
        v.challenge(NOW, &Expectation { realm: "q", ..expectation() }, 1, None).next().unwrap();
    let other = Challenge::choose([of_another_realm.as_bytes()].into_iter()).unwrap();
    assert_eq!(
        judge(&mut v, NOW, &expectation(), &forged(&other.nonce, "sip:pbx.example.com")),
        Verdict::Stale
    );
    assert_eq!(
        judge(&mut v, NOW, &expectation(), &forged(&c.nonce, "sip:x@pbx.EXAMPLE.com;y")),
        OK
    );
}

#[test]
fn a_wrong_answer_counts_only_with_a_live_nonce_given_to_its_source() {
    let mut v = verifier();
    let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let wanted = Expectation { algorithms: &[Algorithm::Md5], ..expectation() };
    let offer = v.challenge_to(here, NOW, &wanted, 1, None).next().unwrap();
    let c = Challenge::choose([offer.as_bytes()].into_iter()).unwrap();
    let right = answer(&c, 1);
    let wrong = right.replace("\"ada\"", "\"eve\"");
    let mut judged = |source, now, header: &str| {
        let credentials = Credentials::parse(header.as_bytes()).into_iter();
        let ha1 = |user: &str, algorithm| {
            (user == "ada").then(|| Ha1::compute(algorithm, "ada", "pbx", "secret"))
        };
        match v.verify_from(source, now, &expectation(), credentials, |_| true, ha1) {
            Verdict::Ok { .. } => "ok",
            Verdict::Stale => "stale",
            Verdict::Wrong { .. } => "wrong",
            _ => "other",
        }
    };
    assert_eq!(judged(here, NOW, &wrong), "wrong");
    assert_eq!(judged(there, NOW, &wrong), "stale");
    assert_eq!(judged(there, NOW, &right), "stale");
    assert_eq!(judged(here, NOW + Duration::from_secs(301), &wrong), "stale");
    assert_eq!(judged(here, NOW, &wrong.replace(&c.nonce, "made-up")), "stale");
    assert_eq!(judged(here, NOW, &right), "ok");
}

#[test]
fn weakened_answers_are_refused() {
    let mut v = verifier();
    let header = answer(&challenge(&v, Algorithm::Sha256), 1);
    for (from, to, verdict) in [
        ("qop=auth, ", "", WRONG),
        ("qop=auth", "qop=auth-int", WRONG),
        ("SHA-256", "SHA-256-sess", WRONG),
        ("SHA-256", "MD5", WRONG),
        ("nc=00000001", "nc=1", Verdict::Malformed(Malformed("nc"))),
        ("nc=00000001", "nc=+0000001", Verdict::Malformed(Malformed("nc"))),
        ("nc=00000001", "nc=00000001, nc=00000002", Verdict::Malformed(Malformed("field twice"))),
        ("realm=", "realm", Verdict::Malformed(Malformed("syntax"))),
        ("uri=", "url=", Verdict::Malformed(Malformed("uri"))),
        ("Digest", "Basic", Verdict::NoCredentials),
    ] {
        assert!(header.contains(from));
        let changed = header.replacen(from, to, 1);
        assert_eq!(judge(&mut v, NOW, &expectation(), &changed), verdict, "{changed}");
    }
    assert_eq!(judge(&mut v, NOW, &expectation(), &header), OK);
}

#[test]
fn the_client_keeps_its_fields_within_their_quotes() {
    let v = verifier();
    let c = challenge(&v, Algorithm::Md5);
    let ha1 = Ha1::compute(Algorithm::Md5, "a", "pbx", "x");
    let header = |username, uri| {
        Answer { username, ha1: &ha1, method: "INVITE", uri, cnonce: "c", count: 1 }.header(&c)
    };
    assert!(header("a\", x=\"", "sip:x").unwrap().contains("username=\"a\\\", x=\\\"\""));
    assert_eq!(header("a\r\nX: y", "sip:x"), Err(AnswerError::Control));
    assert_eq!(header("a", "sip:\"x"), Err(AnswerError::Control));
    let unusable = [
        &b"Digest realm=\"a\", nonce=\"b\", algorithm=MD5-sess"[..],
        b"Basic realm=x",
        b"Digest x",
    ];
    assert_eq!(Challenge::choose(unusable.into_iter()), Err(AnswerError::NoneUsable));
}

/// RFC 7616 §3.4.6, RFC 3261 §22.4; what real phones write differently names nobody else.
#[test]
fn c5_the_digest_uri_names_whom_the_request_uri_names() {
    let v = verifier();
    let c = challenge(&v, Algorithm::Md5);
    let ha1 = Ha1::compute(Algorithm::Md5, "ada", "pbx", "secret");
    let judged = |given: &str, asked: &str| {
        let answer = Answer {
            username: "ada",
            ha1: &ha1,
            method: "INVITE",
            uri: given,
            cnonce: "c",
            count: 1,
        };
        let header = answer.header(&c).unwrap();
        let wanted = Expectation { method: "INVITE", uri: Some(asked), ..expectation() };
        let verdict = judge(&mut verifier(), NOW, &wanted, &header);
        (verdict == OK, matches!(verdict, Verdict::Elsewhere { .. }))
    };
    let tolerated = [
        ("sip:100@pbx.example.com", "sip:100@pbx.example.com"),
        ("sip:pbx.example.com:5060", "sip:100@pbx.example.com"),
        ("sip:100@pbx.example.com:5060;transport=udp", "sip:100@pbx.example.com"),
        ("sip:100@pbx.example.com", "sip:100@192.0.2.1:5060;user=phone"),
        ("sip:1%300@pbx.example.com", "sip:100@pbx.example.com"),
        ("sips:100:pw@PBX.EXAMPLE.COM", "sip:100@pbx.example.com"),
        ("sip:ada@pbx.example.com", "sip:pbx.example.com"),
        ("tel:+49-30-1", "tel:+49301"),
        ("tel:+49301", "sip:+49301@pbx.example.com;user=phone"),
    ];
    for (given, asked) in tolerated {
        assert_eq!(judged(given, asked), (true, false), "{given} for {asked}");
    }
    let elsewhere = [
        ("sip:100@pbx.example.com", "sip:0900123@pbx.example.com"),
        ("sip:100@evil.example.com", "sip:100@pbx.example.com"),
        ("sip:ADA@pbx.example.com", "sip:ada@pbx.example.com"),
        ("tel:+49301", "tel:+49302"),
        ("http://pbx.example.com", "sip:100@pbx.example.com"),
        ("pbx.example.com", "sip:pbx.example.com"),
    ];
    for (given, asked) in elsewhere {
        assert_eq!(judged(given, asked), (false, true), "{given} for {asked}");
    }
}

#[test]
fn a_right_answer_takes_no_place_before_its_count_is_taken() {
    let mut v = verifier();
    let header = answer(&challenge(&v, Algorithm::Md5), 1);
    let judged = |v: &Verifier| {
        let credentials = Credentials::parse(header.as_bytes()).into_iter();
        let ha1 = |_: &str, algorithm| Some(Ha1::compute(algorithm, "ada", "pbx", "secret"));
        let here = std::net::IpAddr::from([192, 0, 2, 1]);
        v.judge_from(here, NOW, &expectation(), credentials, |_| true, ha1).map(|_| ()).is_err()
    };
    assert!(judged(&v), "the nonce was given to nobody at this address");
    assert_eq!(v.remembered(), 0);
    assert_eq!(judge(&mut v, NOW, &expectation(), &header), OK);
    assert_eq!(v.remembered(), 1);
    assert_eq!(judge(&mut v, NOW, &expectation(), &header), Verdict::Stale);
}
