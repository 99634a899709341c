//! Server transactions (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320 §4).

use super::output::Flow;
use super::timers::{Backoff, Timers, earliest};
use bytes::Bytes;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// INVITE: Proceeding. Others: Trying and Proceeding.
    Proceeding,
    /// INVITE with 2xx
    Accepted,
    Completed,
    Confirmed,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) invite: bool,
    pub(crate) state: State,
    pub(crate) hash: u64,
    pub(crate) merged: Option<u64>,
    /// Where responses go.
    pub(crate) flow: Flow,
    /// The last response; for an INVITE at first its 100.
    pub(crate) last: Option<Bytes>,
    pub(crate) cancelled: bool,
    trying_at: Option<Instant>,
    retransmit: Option<Backoff>,
    ends_at: Option<Instant>,
}

/// What a machine wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Send(Bytes),
    /// Send and end.
    SendAndEnd(Bytes),
    End,
    TimeOut,
}

/// Why a response is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAllowed;

impl Server {
    /// `trying`: the 100 of an INVITE, `None` for other methods.
    pub(crate) fn new(
        now: Instant,
        timers: &Timers,
        hash: u64,
        flow: Flow,
        trying: Option<Bytes>,
    ) -> Server {
        let invite = trying.is_some();
        Server {
            invite,
            state: State::Proceeding,
            hash,
            merged: None,
            flow,
            last: trying,
            cancelled: false,
            trying_at: invite.then(|| now + timers.trying),
            retransmit: None,
            // A non-INVITE answered later than this meets a client that has given up (RFC 4320 §3.1).
            ends_at: Some(now + if invite { timers.forgotten } else { timers.timeout() }),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest(earliest(self.trying_at, self.ends_at), self.retransmit.map(|r| r.at))
    }

    /// The request came again.
    pub(crate) fn repeated(&mut self) -> Step {
        match (self.state, self.invite) {
            (State::Proceeding | State::Completed, _) => {
                self.trying_at = None;
                self.last.clone().map_or(Step::Nothing, Step::Send)
            }
            // The TU retransmits its 2xx (RFC 6026 §7.1).
            (State::Accepted | State::Confirmed, _) => Step::Nothing,
        }
    }

    /// The TU answers.
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        timers: &Timers,
        status: u16,
        bytes: Bytes,
    ) -> Result<Step, NotAllowed> {
        let reliable = self.flow.transport.is_reliable();
        match (self.state, status) {
            (State::Proceeding, 100..200) => {
                // Only 100 may go before the final response of a non-INVITE (RFC 4320 §4.1).
                if !self.invite && status != 100 {
                    return Err(NotAllowed);
                }
                self.trying_at = None;
                if self.invite {
                    self.ends_at = Some(now + timers.forgotten);
                }
                self.last = Some(bytes.clone());
                Ok(Step::Send(bytes))
            }
            (State::Proceeding, 200..300) if self.invite => {
                self.state = State::Accepted;
                self.trying_at = None;
                self.last = None;
                self.ends_at = Some(now + timers.timeout());
                Ok(Step::Send(bytes))
            }
            (State::Proceeding, _) => {
                // 408 to a non-INVITE comes when the client has timed out as well (RFC 4320 §4.2).
                if !self.invite && status == 408 {
                    return Ok(Step::End);
                }
                self.state = State::Completed;
                self.trying_at = None;
                if !self.invite && reliable {
                    return Ok(Step::SendAndEnd(bytes));
                }
                self.ends_at = Some(now + timers.timeout());
                if self.invite && !reliable {
                    self.retransmit = Some(Backoff::new(now, timers.t1, timers.t2));
                }
                self.last = Some(bytes.clone());
                Ok(Step::Send(bytes))
            }
            (State::Accepted, 200..300) => Ok(Step::Send(bytes)),
            _ => Err(NotAllowed),
        }
    }

    /// The ACK to a non-2xx came; whether it belonged here.
    pub(crate) fn ack(&mut self, now: Instant, timers: &Timers) -> Option<Step> {
        match self.state {
            State::Completed if self.invite => {
                self.state = State::Confirmed;
                self.retransmit = None;
                if self.flow.transport.is_reliable() {
                    return Some(Step::End);
                }
                self.last = None;
                self.ends_at = Some(now + timers.t4);
                Some(Step::Nothing)
            }
            State::Confirmed => Some(Step::Nothing),
            _ => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Step {
        if self.ends_at.is_some_and(|at| at <= now) {
            return match (self.state, self.invite) {
                (State::Completed, true) | (State::Proceeding, _) => Step::TimeOut,
                _ => Step::End,
            };
        }
        if self.trying_at.is_some_and(|at| at <= now) {
            self.trying_at = None;
            return self.last.clone().map_or(Step::Nothing, Step::Send);
        }
        match &mut self.retransmit {
            Some(backoff) if backoff.at <= now => {
                backoff.again(now);
                self.last.clone().map_or(Step::Nothing, Step::Send)
            }
            _ => Step::Nothing,
        }
    }
}
