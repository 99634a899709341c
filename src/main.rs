//! The one binary: wiring and command line, no rules.
fn main() {}
