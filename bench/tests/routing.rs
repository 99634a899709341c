//! What is measured as a kind of call is that kind of call.
#![allow(missing_docs, clippy::unwrap_used)]

use switchbook_bench::routing;

/// The measurement refuses by itself when a decision takes another way than its kind says.
#[test]
fn every_kind_of_call_takes_its_way() {
    routing::measure(300, 10, 1, 7).unwrap();
}

#[test]
fn an_exchange_too_small_for_every_kind_is_refused() {
    let error = routing::measure(99, 10, 1, 7).unwrap_err().to_string();
    assert!(error.contains("fewer than 100 users"), "{error}");
}
