//! A session description of anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchbook_sip::sdp::{Sdp, names_broadcast};

fuzz_target!(|data: &[u8]| {
    let _ = Sdp::parse(data);
    let _ = names_broadcast(data);
});
