//! The table: commands from the TU, and time.

use super::client::{Cancel, Client, State as ClientState};
use super::key::{Key, Matcher};
use super::output::{Flow, Occasion, Output};
use super::server::{Server, Step};
use super::slab::{Slab, Transaction};
use super::timers::Timers;
use crate::message::{BuildError, Framing, Limits, Message, Method, Request, parse_with};
use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Instant;

/// Settings of the table.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Timer values
    pub timers: Timers,
    /// Bounds for the parser
    pub limits: Limits,
    /// Live transactions; a new request beyond that is answered 503 without state
    pub most: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { timers: Timers::default(), limits: Limits::default(), most: 200_000 }
    }
}

/// Why a response was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The transaction is gone
    #[error("no such server transaction")]
    Gone,
    /// A final response was given before, or the method allows no such response
    #[error("response not allowed in this state")]
    NotAllowed,
    /// The bytes are no response
    #[error("not a response")]
    NotAResponse,
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The bytes are no request with a branch of RFC 3261, or an ACK
    #[error("not a request that can begin a transaction")]
    NotARequest,
    /// That branch is in use
    #[error("branch in use")]
    BranchInUse,
    /// Too many transactions
    #[error("too many transactions")]
    Full,
    /// The transaction is gone, no INVITE, or already answered
    #[error("nothing to cancel")]
    NothingToCancel,
    /// The CANCEL could not be built
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Tables with as little room as this are not shrunk.
const SPARE: usize = 4096;

/// All transactions of an endpoint.
#[derive(Debug)]
pub struct Transactions {
    pub(crate) config: Config,
    pub(crate) matcher: Matcher,
    pub(crate) slab: Slab,
    pub(crate) by_hash: FxHashMap<u64, Key>,
    pub(crate) merged: FxHashMap<u64, Key>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) scratch: BytesMut,
}

impl Transactions {
    /// An empty table. `secret` keys the hashes and the stateless tags.
    pub fn new(config: Config, secret: [u8; 16]) -> Transactions {
        Transactions {
            config,
            matcher: Matcher::new(secret),
            slab: Slab::default(),
            by_hash: FxHashMap::default(),
            merged: FxHashMap::default(),
            outputs: VecDeque::new(),
            scratch: BytesMut::new(),
        }
    }

    /// The next thing to be done; call until `None` after each other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Transactions::handle_timeout`] next; may be a little early, never late.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.slab.next_deadline()
    }

    /// Live transactions.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether no transaction lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries in the timer queue, to watch for leaks.
    pub fn queued_timers(&self) -> usize {
        self.slab.queue_len()
    }

    /// Room for so many transactions is kept, to watch for leaks.
    pub fn places(&self) -> usize {
        self.slab.places()
    }

    /// The To tag that stateless answers to this request must carry, so that their ACK is known again.
    pub fn stateless_tag(&self, request: &Request) -> String {
        self.matcher.stateless_tag(request)
    }

    /// Sends a response within its transaction. Each 2xx to an INVITE is sent once; repeating it until the ACK comes
    /// is [`crate::dialog::Retransmit2xx`]'s part.
    pub fn respond(&mut self, now: Instant, key: Key, bytes: Bytes) -> Result<(), RespondError> {
        let status = status_of(&bytes).ok_or(RespondError::NotAResponse)?;
        let timers = self.config.timers;
        let Some(Transaction::Server(server)) = self.slab.get_mut(key) else {
            return Err(RespondError::Gone);
        };
        let step =
            server.respond(now, &timers, status, bytes).map_err(|_| RespondError::NotAllowed)?;
        let flow = server.flow;
        self.apply(key, flow, step);
        Ok(())
    }

    /// Sends a final response and forgets the transaction at once: for challenges, refusals and answers to OPTIONS, which
    /// cost nothing to give again. A 2xx to an INVITE makes a dialog and is none of these. The To tag must be [`Transactions::stateless_tag`]; the ACK is then absorbed.
    pub fn respond_stateless(&mut self, key: Key, bytes: Bytes) -> Result<(), RespondError> {
        let status = status_of(&bytes).filter(|s| *s >= 200).ok_or(RespondError::NotAResponse)?;
        let Some(Transaction::Server(server)) = self.slab.get(key) else {
            return Err(RespondError::Gone);
        };
        if server.invite && status < 300 {
            return Err(RespondError::NotAllowed);
        }
        let flow = server.flow;
        self.forget(key);
        self.outputs.push_back(Output::Transmit { flow, bytes, occasion: Occasion::Stateless });
        Ok(())
    }

    /// Sends a request in a transaction of its own. Its topmost Via must carry a branch from [`crate::IdSource`].
    pub fn request(&mut self, now: Instant, flow: Flow, bytes: Bytes) -> Result<Key, RequestError> {
        let key = self.begin_client(now, flow, bytes)?;
        Ok(key)
    }

    /// Gives an INVITE up (§9.1): at once if a provisional response came, otherwise as soon as one comes. `reason` is
    /// the value of a Reason header, such as `SIP;cause=200;text="Call completed elsewhere"`. The INVITE still gets
    /// its final response: 487, or the 2xx that crossed.
    pub fn cancel(
        &mut self,
        now: Instant,
        key: Key,
        reason: Option<&str>,
    ) -> Result<(), RequestError> {
        let nothing = RequestError::NothingToCancel;
        let Some(Transaction::Client(client)) = self.slab.get_mut(key) else {
            return Err(nothing);
        };
        if !client.is_invite() {
            return Err(nothing);
        }
        match (client.state, &client.cancel) {
            (_, Cancel::Wanted(_) | Cancel::Sent) => Ok(()),
            (ClientState::Calling, Cancel::No) => {
                client.cancel = Cancel::Wanted(reason.map(str::to_owned));
                Ok(())
            }
            (ClientState::Proceeding, Cancel::No) => self.send_cancel(now, key, reason),
            (ClientState::Accepted | ClientState::Completed, _) => Err(nothing),
        }
    }

    /// The owner could not send what this transaction gave it (§17.1.4, §17.2.4).
    pub fn transport_failed(&mut self, key: Key) {
        let internal = match self.slab.get(key) {
            None => return,
            Some(Transaction::Client(c)) => c.internal,
            Some(Transaction::Server(_)) => false,
        };
        if !internal {
            self.outputs.push_back(Output::TransportError { key });
        }
        self.end(key);
    }

    /// Serves every deadline that has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.slab.pop_due(now) {
            let (flow, step) = match self.slab.get_mut(key) {
                Some(Transaction::Server(s)) => (s.flow, s.handle_timeout(now)),
                Some(Transaction::Client(c)) => {
                    (c.flow, c.handle_timeout(now).unwrap_or(Step::Nothing))
                }
                None => continue,
            };
            self.apply(key, flow, step);
        }
    }

    pub(crate) fn send_cancel(
        &mut self,
        now: Instant,
        key: Key,
        reason: Option<&str>,
    ) -> Result<(), RequestError> {
        let timers = self.config.timers;
        let Some(Transaction::Client(client)) = self.slab.get_mut(key) else {
            return Err(RequestError::NothingToCancel);
        };
        let bytes = client.cancel(&mut self.scratch, reason)?;
        client.cancelled(now, &timers);
        let flow = client.flow;
        self.slab.schedule(key);
        let cancel = self.begin_client(now, flow, bytes)?;
        if let Some(Transaction::Client(c)) = self.slab.get_mut(cancel) {
            c.internal = true;
        }
        Ok(())
    }

    fn begin_client(
        &mut self,
        now: Instant,
        flow: Flow,
        bytes: Bytes,
    ) -> Result<Key, RequestError> {
        let Ok(Message::Request(request)) =
            parse_with(bytes.clone(), &Limits::default(), Framing::Datagram)
        else {
            return Err(RequestError::NotARequest);
        };
        let branch = request
            .top_via()
            .ok()
            .and_then(|v| v.unique_branch())
            .ok_or(RequestError::NotARequest)?;
        if request.method() == Method::Ack {
            return Err(RequestError::NotARequest);
        }
        let hash = self.matcher.client(branch, request.method_token());
        if self.by_hash.contains_key(&hash) {
            return Err(RequestError::BranchInUse);
        }
        // Room is kept for what we begin ourselves: a flood from outside must not stop our CANCELs and BYEs.
        if self.slab.len() >= self.config.most.saturating_mul(2) {
            return Err(RequestError::Full);
        }
        let client = Client::new(now, &self.config.timers, hash, flow, request);
        let key = self.slab.insert(Transaction::Client(client.into()));
        self.by_hash.insert(hash, key);
        self.outputs.push_back(Output::Transmit {
            flow,
            bytes,
            occasion: Occasion::Transaction(key),
        });
        Ok(key)
    }

    pub(crate) fn begin_server(&mut self, server: Server) -> Key {
        let (hash, merged) = (server.hash, server.merged);
        let key = self.slab.insert(Transaction::Server(server.into()));
        self.by_hash.insert(hash, key);
        if let Some(merged) = merged {
            self.merged.insert(merged, key);
        }
        key
    }

    pub(crate) fn apply(&mut self, key: Key, flow: Flow, step: Step) {
        let occasion = Occasion::Transaction(key);
        match step {
            Step::Nothing => {}
            Step::Send(bytes) => self.outputs.push_back(Output::Transmit { flow, bytes, occasion }),
            Step::SendAndEnd(bytes) => {
                self.outputs.push_back(Output::Transmit { flow, bytes, occasion });
                return self.end(key);
            }
            Step::End => return self.end(key),
            Step::TimeOut => {
                let internal =
                    matches!(self.slab.get(key), Some(Transaction::Client(c)) if c.internal);
                if !internal {
                    self.outputs.push_back(Output::TimedOut { key });
                }
                return self.end(key);
            }
        }
        self.slab.schedule(key);
    }

    pub(crate) fn end(&mut self, key: Key) {
        if !self.forget(key) {
            self.outputs.push_back(Output::Terminated { key });
        }
    }

    /// Removes a transaction; whether it was internal.
    fn forget(&mut self, key: Key) -> bool {
        let internal = self.take_out(key);
        // After a rush: tables of its size are not kept for what comes after it.
        if self.by_hash.capacity() > SPARE && self.by_hash.len() < self.by_hash.capacity() / 8 {
            self.by_hash.shrink_to(self.by_hash.len() * 2);
            self.merged.shrink_to(self.merged.len() * 2);
        }
        internal
    }

    fn take_out(&mut self, key: Key) -> bool {
        match self.slab.remove(key) {
            None => true,
            Some(Transaction::Client(c)) => {
                self.by_hash.remove(&c.hash);
                c.internal
            }
            Some(Transaction::Server(s)) => {
                self.by_hash.remove(&s.hash);
                // A later request may have taken the place over.
                if let Some(merged) = s.merged.filter(|m| self.merged.get(m) == Some(&key)) {
                    self.merged.remove(&merged);
                }
                false
            }
        }
    }
}

/// The status code at the start of a response.
fn status_of(bytes: &[u8]) -> Option<u16> {
    let code = bytes.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    let status = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}
