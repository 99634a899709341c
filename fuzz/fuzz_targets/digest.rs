//! An Authorization value of anything, verified and answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use switchbook_sip::digest::{Algorithm, Challenge, Expectation, Ha1, Verifier};
use switchbook_sip::message::Credentials;

fuzz_target!(|data: &[u8]| {
    let mut verifier = Verifier::new([1; 32], Duration::from_secs(300), 100);
    let expectation = Expectation {
        realm: "pbx",
        method: "REGISTER",
        uri: Some("sip:100@pbx"),
        algorithms: &[Algorithm::Md5, Algorithm::Sha256],
    };
    let now = Duration::from_secs(1_800_000_000);
    let _ = verifier.verify(
        now,
        &expectation,
        Credentials::parse(data).into_iter(),
        |_| true,
        |user, algorithm| (user == "ada").then(|| Ha1::compute(algorithm, "ada", "pbx", "secret")),
    );
    let _ = Challenge::choose([data].into_iter());
});
