//! OPTIONS, within a call and outside (RFC 3261 §11): phones and trunks ask whether we live.

use crate::wire::{ALLOW, Wire};
use switchbook_sip::message::{HeaderName, Request};
use switchbook_sip::transaction::{Flow, Key};

pub(crate) fn answer(wire: &mut Wire, key: Key, flow: &Flow, request: &Request) {
    let headers = [(HeaderName::Allow, ALLOW), (HeaderName::Accept, "application/sdp")];
    wire.answer_with(key, flow, request, 200, "OK", None, &headers);
}
