//! What every session shares of the SIP side: transactions, identifiers, the way to build messages and to find the
//! session a message belongs to.

use crate::metrics::Metrics;
use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use switchbook_core::position::Moment;
use switchbook_sip::dialog::Dialog;
use switchbook_sip::id::IdSource;
use switchbook_sip::message::{
    Builder, Head, HeaderName, Host, Message, Method, Request, SipUri, parse_datagram,
    reason_phrase,
};
use switchbook_sip::transaction::{Flow, Key, Timers, Transactions, Transport};

/// What we call ourselves in User-Agent and Server.
pub(crate) const PRODUCT: &str = "Switchbook";
/// What we serve within a dialog.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE";

/// The clock as the shell read it, once per wakeup.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers: never goes back.
    pub instant: Instant,
    /// For the book: wall-clock time.
    pub moment: Moment,
}

/// Names a session of the endpoint; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SessionId(pub u64);

/// Whose a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The INVITE that began the session.
    Caller,
    /// An INVITE of ours to one contact.
    Branch(usize),
    /// A request passed on within the call: its server side, or its client side.
    Relay(u64),
    /// A BYE of ours.
    Bye,
    /// An OPTIONS of ours: is that side still there?
    Alive(Side),
}

/// Which end of a call a dialog leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The caller.
    A,
    /// A called party: the branch that was rung.
    B(usize),
}

/// Tells which of our addresses a remote one sees.
pub type LocalAddress = Arc<dyn Fn(IpAddr) -> SocketAddr + Send + Sync>;

pub(crate) struct Wire {
    pub table: Transactions,
    pub ids: IdSource,
    pub buf: BytesMut,
    pub now: Now,
    pub metrics: Arc<Metrics>,
    pub timers: Timers,
    /// Messages outside transactions: ACKs to 2xx.
    pub direct: VecDeque<(Flow, Bytes)>,
    pub owners: FxHashMap<Key, (SessionId, Role)>,
    /// Our tag → the dialog's session. Tags are ours and unique.
    pub dialogs: FxHashMap<String, (SessionId, Side)>,
    pub local: LocalAddress,
    /// The SIP domain, fit to stand in a URI; empty: none, and our address stands in.
    pub domain: String,
}

impl Wire {
    /// The way to `remote` over UDP.
    pub fn flow_to(&self, remote: SocketAddr) -> Flow {
        Flow { remote, local: (self.local)(remote.ip()), transport: Transport::Udp }
    }

    /// What stands behind `@` in URIs of this exchange.
    pub fn domain(&self, flow: &Flow) -> String {
        if self.domain.is_empty() { host_of(flow.local.ip()) } else { self.domain.clone() }
    }

    /// Our Contact towards the other end of a flow.
    pub fn contact(flow: &Flow) -> String {
        format!("sip:{}", flow.local)
    }

    /// Begins an answer within a transaction, with our Server and Contact.
    pub fn reply<'b>(
        buf: &'b mut BytesMut,
        request: &Head,
        flow: &Flow,
        status: u16,
        reason: &str,
        tag: Option<&str>,
    ) -> Builder<'b> {
        let mut b = Builder::reply(buf, request, status, reason, tag, flow.remote);
        b.header(HeaderName::Server, PRODUCT);
        b
    }

    /// Answers a request finally, without body, within its transaction.
    pub fn answer(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        status: u16,
        tag: Option<&str>,
    ) {
        self.answer_with(key, flow, request, status, reason_phrase(status), tag, &[]);
    }

    /// The same with a phrase and headers of its own.
    #[allow(clippy::too_many_arguments)]
    pub fn answer_with(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        status: u16,
        reason: &str,
        tag: Option<&str>,
        headers: &[(HeaderName, &str)],
    ) {
        let own;
        let tag = match tag {
            None if status > 100 => {
                own = self.table.stateless_tag(request);
                Some(own.as_str())
            }
            other => other,
        };
        let mut b = Self::reply(&mut self.buf, request, flow, status, reason, tag);
        for (name, value) in headers {
            b.header(*name, value);
        }
        if let Ok(bytes) = b.finish() {
            // A transaction that is gone needs no answer.
            let _ = self.table.respond(self.now.instant, key, bytes);
        }
    }

    /// Answers and forgets: for refusals that cost nothing to give again.
    pub fn refuse(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        status: u16,
        reason: &str,
        headers: &[(HeaderName, &str)],
    ) {
        self.metrics.refused.add(1);
        self.answer_stateless(key, flow, request, status, reason, headers);
    }

    /// Answers and forgets; strangers have a budget of such answers, and are not told who we are: a scan learns that
    /// something speaks SIP here, and nothing to look up.
    pub fn answer_stateless(
        &mut self,
        key: Key,
        flow: &Flow,
        request: &Request,
        status: u16,
        reason: &str,
        headers: &[(HeaderName, &str)],
    ) {
        let tag = self.table.stateless_tag(request);
        let remote = flow.remote;
        let mut b = Builder::reply(&mut self.buf, request, status, reason, Some(&tag), remote);
        for (name, value) in headers {
            b.header(*name, value);
        }
        if let Ok(bytes) = b.finish() {
            let _ = self.table.respond_stateless(key, bytes);
        }
    }

    /// Sends a request of ours in a transaction that belongs to `owner`.
    pub fn request(&mut self, flow: Flow, bytes: Bytes, owner: (SessionId, Role)) -> Option<Key> {
        let key = self.table.request(self.now.instant, flow, bytes).ok()?;
        self.owners.insert(key, owner);
        Some(key)
    }

    /// Begins a request within a dialog: the way it takes, and the message up to CSeq.
    pub fn in_dialog<'b>(
        buf: &'b mut BytesMut,
        ids: &mut IdSource,
        dialog: &mut Dialog,
        flow: &Flow,
        method: Method,
    ) -> (Flow, Builder<'b>) {
        let to = Flow { remote: reach(dialog.next_hop(), flow.remote), ..*flow };
        let branch = ids.branch();
        let sent_by = flow.local.to_string();
        let mut b = dialog.request(buf, method, flow.transport.as_str(), &sent_by, &branch);
        b.header(HeaderName::UserAgent, PRODUCT);
        (to, b)
    }

    /// Sends the ACK to a 2xx of a dialog's last INVITE; returns it and the way it took, for repetitions.
    pub fn ack(
        &mut self,
        dialog: &Dialog,
        flow: &Flow,
        body: Option<&Request>,
    ) -> Option<(Flow, Bytes)> {
        let to = Flow { remote: reach(dialog.next_hop(), flow.remote), ..*flow };
        let branch = self.ids.branch();
        let sent_by = flow.local.to_string();
        let mut b = dialog.ack(&mut self.buf, flow.transport.as_str(), &sent_by, &branch);
        b.header(HeaderName::UserAgent, PRODUCT);
        let bytes = finish_with_body(&mut b, body.map(|request| &**request)).ok()?;
        self.direct.push_back((to, bytes.clone()));
        Some((to, bytes))
    }

    /// Asks the other end of a dialog whether it is still there (RFC 3261 §11).
    pub fn ask_alive(&mut self, id: SessionId, side: Side, dialog: &mut Dialog, flow: &Flow) {
        let method = Method::Options;
        let (to, mut b) = Self::in_dialog(&mut self.buf, &mut self.ids, dialog, flow, method);
        if let Ok(bytes) = b.finish() {
            self.request(to, bytes, (id, Role::Alive(side)));
        }
    }

    /// Sends a BYE; `false` if it could not be sent.
    pub fn bye(&mut self, id: SessionId, dialog: &mut Dialog, flow: &Flow, reason: &str) -> bool {
        let (to, mut b) = Self::in_dialog(&mut self.buf, &mut self.ids, dialog, flow, Method::Bye);
        if !reason.is_empty() {
            b.header(HeaderName::Reason, reason);
        }
        let Ok(bytes) = b.finish() else { return false };
        self.request(to, bytes, (id, Role::Bye)).is_some()
    }
}

/// Ends a message with the body of another one, and the headers that belong to a body, all as they came.
pub(crate) fn finish_with_body(
    b: &mut Builder<'_>,
    from: Option<&Head>,
) -> Result<Bytes, switchbook_sip::message::BuildError> {
    let Some(from) = from.filter(|from| !from.body().is_empty()) else { return b.finish() };
    for name in [
        HeaderName::ContentDisposition,
        HeaderName::ContentEncoding,
        HeaderName::ContentLanguage,
        HeaderName::MimeVersion,
    ] {
        b.copy(from, name);
    }
    let kind = from.str_value(HeaderName::ContentType).unwrap_or("application/sdp");
    b.body(kind, from.body())
}

/// Where a request for `uri` goes when its owner was last heard from `source`: to the port the URI names if it names
/// the same host, else back to where the packets came from. Never to a third party (checklist 13).
pub(crate) fn reach(uri: &str, source: SocketAddr) -> SocketAddr {
    let same_host = |uri: &SipUri<'_>| uri.host.ip().is_some_and(|ip| ip == source.ip());
    match SipUri::parse(uri) {
        Ok(uri) if same_host(&uri) => SocketAddr::new(source.ip(), uri.port.unwrap_or(5060)),
        _ => source,
    }
}

/// A request of ours, read back: dialogs are made from it.
pub(crate) fn reparse(bytes: Bytes) -> Option<Request> {
    match parse_datagram(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

/// An address as it stands in a URI.
pub(crate) fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A realm that can also stand in URIs; empty if it cannot.
pub(crate) fn domain_from(realm: &str) -> String {
    match Host::parse(realm) {
        Some(_) => realm.to_owned(),
        None => String::new(),
    }
}
