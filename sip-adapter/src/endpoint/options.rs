//! OPTIONS, within a call and outside (RFC 3261 §11): phones and trunks ask whether we live.

use crate::wire::{ALLOW, Wire};
use switchbook_sip::message::{HeaderName, Request};
use switchbook_sip::transaction::{Flow, Key};

const SERVED: [(HeaderName, &str); 2] =
    [(HeaderName::Allow, ALLOW), (HeaderName::Accept, "application/sdp")];

/// Within a call.
pub(crate) fn answer(wire: &mut Wire, key: Key, flow: &Flow, request: &Request) {
    wire.answer_with(key, flow, request, 200, "OK", None, &SERVED);
}

/// To whoever asks: without state, so that repetitions are counted against the source's budget like the first one
/// (checklist 25).
pub(super) fn answer_stranger(wire: &mut Wire, key: Key, flow: &Flow, request: &Request) {
    wire.answer_stateless(key, flow, request, 200, "OK", &SERVED);
}
