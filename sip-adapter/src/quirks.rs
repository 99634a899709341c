//! What real phones cannot do, by the User-Agent they send. Nothing here depends on who they say they are: known and
//! unknown users are still answered alike (checklist 6).

use switchbook_sip::message::Request;

/// Phones that give up a request when any challenge names an algorithm they do not know, although RFC 7616 §3.7 lets
/// the server offer several: baresip before 2.0 (its library knew MD5 alone; seen with 1.0.0 of Debian 12).
pub fn knows_md5_alone(request: &Request) -> bool {
    let Some(agent) = request.user_agent() else { return false };
    agent.starts_with(b"baresip v0.") || agent.starts_with(b"baresip v1.")
}
