//! One end of a call: its dialog, the way to it, and which ACKs are owed or awaited.

use crate::wire::Wire;
use bytes::Bytes;
use std::time::{Duration, Instant};
use switchbook_sip::dialog::{Dialog, OfferAnswer, Retransmission, Retransmit2xx};
use switchbook_sip::limits::{Buckets, Pace};
use switchbook_sip::message::{HeaderName, Method, Request};
use switchbook_sip::transaction::{Flow, Key};

/// Requests of one end of a call: far more than keys pressed and calls held. Each keeps a transaction for 32 seconds
/// (RFC 3261 §17.2.2), and those are everybody's.
const REQUESTS: Pace = Pace { burst: 64, every: Duration::from_millis(100) };

/// The ACK to their 2xx.
#[derive(Clone, Debug)]
pub(super) enum Ack {
    /// No 2xx of theirs is open.
    None,
    /// It waits for the other side's ACK, which carries the answer to their offer (RFC 3261 §13.2.1).
    Owed,
    /// Sent there; repeated to the same place when their 2xx is.
    Sent(Flow, Bytes),
}

/// One end.
pub(super) struct Leg {
    pub dialog: Dialog,
    pub flow: Flow,
    pub offer: OfferAnswer,
    pub ack: Ack,
    /// Our 2xx that waits for its ACK.
    pub unacknowledged: Option<(Key, Retransmit2xx)>,
    /// A BYE came or went.
    pub closed: bool,
    /// A BYE has to wait for the ACK (RFC 3261 §15).
    pub owes_bye: bool,
    requests: Buckets<()>,
}

impl Leg {
    pub fn new(dialog: Dialog, flow: Flow) -> Self {
        Self {
            dialog,
            flow,
            offer: OfferAnswer::default(),
            ack: Ack::None,
            unacknowledged: None,
            closed: false,
            owes_bye: false,
            requests: Buckets::new(REQUESTS, 1),
        }
    }

    /// Is there room for one more request of this end (checklist 29)? `false`: it was told to wait, and nothing is
    /// remembered of it. The first BYE always passes: whoever wants to end a call can.
    pub fn keeps_pace(
        &mut self,
        wire: &mut Wire,
        key: Key,
        flow: &Flow,
        request: &Request,
    ) -> bool {
        if request.method() == Method::Bye && !self.closed {
            return true;
        }
        let Err(wait) = self.requests.take(wire.now.instant, (), 1) else { return true };
        wire.metrics.over_pace.add(1);
        let seconds = (wait.as_secs() + 1).to_string();
        let later = [(HeaderName::RetryAfter, seconds.as_str())];
        wire.refuse(key, flow, request, 503, "Too Many Requests", &later);
        false
    }

    /// Does a request belong to this dialog? Tags alone are not enough (RFC 3261 §12).
    pub fn is_of(&self, request: &Request) -> bool {
        let id = self.dialog.id();
        request.call_id().is_ok_and(|call_id| call_id == id.call_id)
            && request.from().is_ok_and(|from| from.tag().unwrap_or("") == id.remote_tag)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.unacknowledged.as_ref().and_then(|(_, repeat)| repeat.poll_timeout())
    }

    /// Repeats a 2xx that is due; `true`: its ACK was awaited in vain.
    pub fn repeat_2xx(&mut self, wire: &mut Wire) -> bool {
        let now = wire.now.instant;
        let Some((key, repeat)) = &mut self.unacknowledged else { return false };
        match repeat.handle_timeout(now) {
            Retransmission::Nothing => false,
            Retransmission::Send(bytes) => {
                if wire.table.respond(now, *key, bytes.clone()).is_err() {
                    wire.direct.push_back((self.flow, bytes));
                }
                false
            }
            Retransmission::GiveUp => {
                self.unacknowledged = None;
                true
            }
        }
    }

    /// Sends the ACK to their 2xx, with the answer of `body` if there is one.
    pub fn acknowledge(&mut self, wire: &mut Wire, body: Option<&Request>) {
        self.ack = match wire.ack(&self.dialog, &self.flow, body) {
            Some((flow, bytes)) => Ack::Sent(flow, bytes),
            None => Ack::None,
        };
    }
}
