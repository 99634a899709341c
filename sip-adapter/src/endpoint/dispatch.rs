//! Which request goes where (RFC 3261 §8.2).

use super::authenticate::Who;
use super::{Endpoint, options};
use crate::call::Input as CallInput;
use crate::wire::{ALLOW, domain_from};
use switchbook_sip::message::{HeaderName, Method, Request, Response, Rules, validate};
use switchbook_sip::transaction::{Flow, Key};

/// What is taken in at all. PRACK is not: reliable provisional answers are never offered.
const METHODS: &[Method] = &[
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Register,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Message,
    Method::Refer,
    Method::Notify,
    Method::Subscribe,
    Method::Publish,
];

impl Endpoint {
    pub(super) fn dispatch(&mut self, key: Key, flow: Flow, request: Request) {
        if let Err(rejection) = validate(&request, &Rules { methods: METHODS, extensions: &[] }) {
            let headers: Vec<(HeaderName, &str)> =
                rejection.header.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (status, reason) = (rejection.status, rejection.reason);
            return self.wire.refuse(key, &flow, &request, status, reason, &headers);
        }
        let method = request.method();
        let tag = request.to().ok().and_then(|to| to.tag());
        if let Some(tag) = tag.filter(|_| method != Method::Register) {
            let Some((session, side)) = self.wire.dialogs.get(tag).copied() else {
                let phrase = "Call/Transaction Does Not Exist";
                return self.wire.refuse(key, &flow, &request, 481, phrase, &[]);
            };
            return self.session(session, CallInput::Request { side, key, flow, request });
        }
        match method {
            Method::Register => self.register(key, flow, request),
            Method::Invite => self.invite(key, flow, request),
            Method::Options => options::answer_stranger(&mut self.wire, key, &flow, &request),
            Method::Message | Method::Subscribe | Method::Publish | Method::Refer => {
                self.unserved(key, flow, &request);
            }
            _ => {
                let phrase = "Call/Transaction Does Not Exist";
                self.wire.refuse(key, &flow, &request, 481, phrase, &[]);
            }
        }
    }

    /// Served later; who asks is asked for a password all the same (checklist 9).
    fn unserved(&mut self, key: Key, flow: Flow, request: &Request) {
        let exchange = self.port.exchange();
        if let Who::Device(_) = self.authenticate(key, &flow, request, &exchange) {
            let (status, phrase) = match request.method() {
                Method::Subscribe | Method::Publish => (489, "Bad Event"),
                _ => (405, "Method Not Allowed"),
            };
            let headers = [(HeaderName::Allow, ALLOW)];
            self.wire.refuse(key, &flow, request, status, phrase, &headers);
        }
    }

    pub(super) fn ack(&mut self, request: Request) {
        let tag = request.to().ok().and_then(|to| to.tag());
        let found = tag.and_then(|tag| self.wire.dialogs.get(tag).copied());
        if let Some((session, side)) = found {
            self.session(session, CallInput::Ack(side, request));
        }
    }

    pub(super) fn cancel(&mut self, key: Key) {
        if let Some((session, role)) = self.wire.owners.get(&key).copied() {
            self.session(session, CallInput::Cancel(role));
        }
    }

    pub(super) fn response(&mut self, key: Key, response: Response) {
        if let Some((session, role)) = self.wire.owners.get(&key).copied() {
            self.session(session, CallInput::Response { role, key, response });
        }
    }

    pub(super) fn lost(&mut self, key: Key) {
        if let Some((session, role)) = self.wire.owners.get(&key).copied() {
            self.session(session, CallInput::Lost { role, key });
        }
    }

    pub(super) fn terminated(&mut self, key: Key) {
        self.wire.owners.remove(&key);
    }

    /// The realm as it stands in URIs, kept until it changes.
    pub(super) fn keep_domain(&mut self, realm: &str) {
        if self.wire.domain != realm {
            self.wire.domain = domain_from(realm);
        }
    }
}
