//! REFER within a call (RFC 3515). Transfers are not served yet; asking for one never hurts the call.

use crate::wire::Wire;
use switchbook_sip::message::{HeaderName, Request, Uri};
use switchbook_sip::transaction::{Flow, Key};

/// 400 for a target that is none, such as `sip:103@pbx.test@pbx.test`; 501 otherwise.
pub(super) fn answer(wire: &mut Wire, key: Key, flow: &Flow, request: &Request) {
    let target = request.name_addr(HeaderName::ReferTo).ok().and_then(|to| to.uri().ok());
    let sound = matches!(target, Some(Uri::Sip(_) | Uri::Tel(_)))
        && !request.is_repeated(HeaderName::ReferTo);
    let (status, phrase) = if sound { (501, "Not Implemented") } else { (400, "Bad Refer-To") };
    wire.answer_with(key, flow, request, status, phrase, None, &[]);
}
