//! A record body of anything: what a damaged disk can hold.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = switchbook_journal::decode_record(data);
});
