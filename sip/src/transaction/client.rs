//! Client transactions (RFC 3261 §17.1, RFC 6026 §7.2), CANCEL (§9.1) and the ACK to a failure (§17.1.1.3).

use super::output::Flow;
use super::timers::{Backoff, Timers, earliest};
use crate::message::{BuildError, Builder, Head, HeaderName, Method, Request};
use bytes::{Bytes, BytesMut};
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// INVITE: Calling. Others: Trying.
    Calling,
    Proceeding,
    /// INVITE with 2xx
    Accepted,
    Completed,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) state: State,
    pub(crate) hash: u64,
    pub(crate) flow: Flow,
    /// The CANCEL of an INVITE, which the TU does not hear about.
    pub(crate) internal: bool,
    pub(crate) request: Box<Request>,
    /// Wanted but not yet allowed: no provisional response came (§9.1).
    pub(crate) cancel: Cancel,
    ack: Option<Bytes>,
    retransmit: Option<Backoff>,
    ends_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cancel {
    No,
    Wanted(Option<String>),
    Sent,
}

/// What a response does to the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A retransmission, absorbed.
    Absorbed,
    /// For the TU.
    Pass,
    /// For the TU; the transaction is over.
    PassAndEnd,
    /// For the TU, and the ACK is to be sent.
    PassAndAck,
    /// The ACK is to be sent again.
    AckAgain,
}

impl Client {
    pub(crate) fn new(
        now: Instant,
        timers: &Timers,
        hash: u64,
        flow: Flow,
        request: Request,
    ) -> Client {
        let invite = request.method() == Method::Invite;
        let most = if invite { timers.timeout() } else { timers.t2 };
        Client {
            state: State::Calling,
            hash,
            flow,
            internal: false,
            request: Box::new(request),
            cancel: Cancel::No,
            ack: None,
            retransmit: (!flow.transport.is_reliable()).then(|| Backoff::new(now, timers.t1, most)),
            ends_at: Some(now + timers.timeout()),
        }
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.request.method() == Method::Invite
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest(self.ends_at, self.retransmit.map(|r| r.at))
    }

    pub(crate) fn receive(&mut self, now: Instant, timers: &Timers, status: u16) -> Received {
        let reliable = self.flow.transport.is_reliable();
        match (self.state, status) {
            (State::Calling | State::Proceeding, 100..200) => {
                if self.is_invite() {
                    self.retransmit = None;
                    // Timer B has done its work; how long it may ring is the TU's to say. A CANCEL brings its own limit.
                    if self.cancel != Cancel::Sent {
                        self.ends_at = Some(now + timers.forgotten);
                    }
                } else if self.state == State::Calling {
                    self.retransmit = (!reliable).then(|| Backoff::new(now, timers.t2, timers.t2));
                }
                self.state = State::Proceeding;
                Received::Pass
            }
            (State::Calling | State::Proceeding, 200..300) if self.is_invite() => {
                self.state = State::Accepted;
                self.retransmit = None;
                self.ends_at = Some(now + timers.timeout());
                Received::Pass
            }
            (State::Calling | State::Proceeding, _) => {
                self.state = State::Completed;
                self.retransmit = None;
                let linger = if self.is_invite() { timers.d } else { timers.t4 };
                self.ends_at = Some(now + linger);
                match (self.is_invite(), reliable) {
                    (true, _) => Received::PassAndAck,
                    (false, true) => Received::PassAndEnd,
                    (false, false) => Received::Pass,
                }
            }
            (State::Accepted, 200..300) => Received::Pass,
            (State::Completed, 300..) if self.is_invite() => Received::AckAgain,
            _ => Received::Absorbed,
        }
    }

    /// The INVITE was cancelled on the wire: give up if nothing comes (§9.1).
    pub(crate) fn cancelled(&mut self, now: Instant, timers: &Timers) {
        self.cancel = Cancel::Sent;
        self.ends_at = Some(now + timers.timeout());
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<super::server::Step> {
        use super::server::Step;
        if self.ends_at.is_some_and(|at| at <= now) {
            let unanswered = matches!(self.state, State::Calling | State::Proceeding);
            return Some(if unanswered { Step::TimeOut } else { Step::End });
        }
        let backoff = self.retransmit.as_mut().filter(|r| r.at <= now)?;
        backoff.again(now);
        Some(Step::Send(self.request.raw().clone()))
    }

    /// The ACK to a failure: same hop, same branch, To of the response (§17.1.1.3).
    pub(crate) fn ack(&mut self, out: &mut BytesMut, response: &Head) -> Result<Bytes, BuildError> {
        if let Some(ack) = &self.ack {
            return Ok(ack.clone());
        }
        let ack = self.sibling(out, Method::Ack, response, None)?;
        self.ack = Some(ack.clone());
        Ok(ack)
    }

    /// The CANCEL (§9.1), with a Reason if one is given (RFC 3326).
    pub(crate) fn cancel(
        &self,
        out: &mut BytesMut,
        reason: Option<&str>,
    ) -> Result<Bytes, BuildError> {
        self.sibling(out, Method::Cancel, &self.request, reason)
    }

    fn sibling(
        &self,
        out: &mut BytesMut,
        method: Method,
        to: &Head,
        reason: Option<&str>,
    ) -> Result<Bytes, BuildError> {
        let r = &self.request;
        let via = r.list(HeaderName::Via).next().unwrap_or_default();
        let seq = r.cseq().map_err(|_| BuildError::Unanswerable)?.seq;
        let mut b = Builder::request(out, method, r.uri_raw());
        b.header(HeaderName::Via, via)
            .max_forwards(70)
            .copy(r, HeaderName::Route)
            .copy(r, HeaderName::From)
            .copy(to, HeaderName::To)
            .copy(r, HeaderName::CallId)
            .cseq(seq, method);
        if let Some(reason) = reason {
            b.header(HeaderName::Reason, reason);
        }
        b.finish()
    }
}
