//! Which contacts are no phones: ourselves, everybody, nobody (checklist 13). All of it is refused when it registers, so
//! that no call is ever sent there.

use super::Endpoint;
use std::net::IpAddr;
use switchbook_sip::message::{Host, SipUri};
use switchbook_sip::transaction::Flow;

/// Status and phrase.
type Refusal = (u16, &'static str);

impl Endpoint {
    /// Why a contact cannot be bound; `None`: it can.
    pub(super) fn no_phone(&self, uri: &SipUri<'_>, flow: &Flow) -> Option<Refusal> {
        // Whoever calls the phone would have to send them along (RFC 3261 §19.1.5), and they could hold anything.
        if uri.has_headers() {
            return Some((400, "Contact With Headers"));
        }
        if uri.port == Some(0) {
            return Some((400, "Contact With Port 0"));
        }
        if uri.host.ip().is_some_and(is_everybody_or_nobody) {
            return Some((403, "Contact Is No Single Address"));
        }
        self.is_us(uri, flow).then_some((403, "Contact Points At This Server"))
    }

    /// A phone that is us would call us for ever. By name, by any address of this machine, or by where the packet says
    /// it comes from: it is the port that tells us from another program on the same machine.
    fn is_us(&self, uri: &SipUri<'_>, flow: &Flow) -> bool {
        let port = flow.local.port();
        let own = |ip: IpAddr| {
            let ip = ip.to_canonical();
            ip == flow.local.ip()
                || self.config.advertised == Some(ip)
                || (self.wire.local)(ip).ip() == ip
        };
        let named = match uri.host {
            Host::Name(_) => self.is_ours(&uri.host, flow),
            Host::V4(_) | Host::V6(_) => uri.host.ip().is_some_and(own),
        };
        (named && uri.port.unwrap_or(5060) == port)
            || (flow.remote.port() == port && own(flow.remote.ip()))
    }
}

/// Multicast, broadcast, unspecified.
fn is_everybody_or_nobody(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    ip.is_multicast() || ip.is_unspecified() || broadcast
}
