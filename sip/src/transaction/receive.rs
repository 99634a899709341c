//! What comes in: matching, absorbing, answering without state.

use super::client::{Cancel, Received};
use super::key::Key;
use super::output::{Flow, Occasion, Output};
use super::server::{Server, State};
use super::slab::Transaction;
use super::table::Transactions;
use crate::message::{
    Builder, Framing, Head, HeaderName, Message, Method, Request, Response, ValueError, parse_with,
    reject_unparsed, reply_address,
};
use bytes::Bytes;
use std::time::Instant;

impl Transactions {
    /// Takes one datagram, or one message cut out of a stream.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        let framing =
            if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        match parse_with(bytes, &self.config.limits, framing) {
            Ok(Message::Request(request)) => self.receive_request(now, flow, request),
            Ok(Message::Response(response)) => self.receive_response(now, flow, response),
            Err(error) => {
                let Some(salvage) = &error.salvage else {
                    return;
                };
                let tag = self.matcher.stateless_tag(&salvage.head);
                if let Some((to, bytes)) =
                    reject_unparsed(&mut self.scratch, &error, &tag, flow.remote)
                {
                    self.transmit_stateless(flow, to, bytes);
                }
            }
        }
    }

    /// Takes a request that was parsed before.
    pub fn receive_request(&mut self, now: Instant, flow: Flow, request: Request) {
        let Ok(via) = request.top_via() else {
            if request.method() != Method::Ack {
                self.answer_stateless(&request, flow, 400, "Bad Via");
            }
            return;
        };
        let reply_to = self.reply_flow(flow, reply_address(&via, flow.remote));
        let hash = self.matcher.server(&request, &via);
        // Without these nothing can be matched, nor answered within a transaction.
        let sound =
            hash.and_then(|h| request.cseq().map(|_| h)).and_then(|h| request.call_id().map(|_| h));
        let Ok(hash) = sound else {
            if request.method() != Method::Ack {
                self.answer_stateless(&request, flow, 400, "Bad Request");
            }
            return;
        };
        let known = self.by_hash.get(&hash).copied();
        match request.method() {
            Method::Ack => self.receive_ack(now, flow, known, request),
            Method::Cancel => self.receive_cancel(flow, known, request),
            method => match known {
                Some(key) => {
                    if let Some(Transaction::Server(server)) = self.slab.get_mut(key) {
                        let step = server.repeated();
                        let flow = server.flow;
                        self.apply(key, flow, step);
                    }
                }
                None => self.new_request(now, flow, reply_to, hash, method, request),
            },
        }
    }

    fn new_request(
        &mut self,
        now: Instant,
        flow: Flow,
        reply_to: Flow,
        hash: u64,
        method: Method,
        request: Request,
    ) {
        if self.slab.len() >= self.config.most {
            return self.answer_stateless(&request, flow, 503, "Service Unavailable");
        }
        let new_dialog = request.to().is_ok_and(|to| to.tag().is_none());
        let merged = if new_dialog { self.matcher.merged(&request) } else { None };
        if merged.is_some_and(|m| self.is_under_way(m)) {
            return self.answer_stateless(&request, flow, 482, "Loop Detected");
        }
        let trying = if method == Method::Invite {
            let mut b =
                Builder::reply(&mut self.scratch, &request, 100, "Trying", None, flow.remote);
            match b.copy(&request, HeaderName::Timestamp).finish() {
                Ok(bytes) => Some(bytes),
                Err(_) => return self.answer_stateless(&request, flow, 400, "Bad Request"),
            }
        } else {
            None
        };
        let mut server = Server::new(now, &self.config.timers, hash, reply_to, trying);
        server.merged = merged;
        let key = self.begin_server(server);
        self.outputs.push_back(Output::Request { key, flow, request });
    }

    /// A phone that was restarted may repeat its first REGISTER: only what is unanswered, or an INVITE, loops.
    fn is_under_way(&self, merged: u64) -> bool {
        let Some(key) = self.merged.get(&merged) else {
            return false;
        };
        match self.slab.get(*key) {
            Some(Transaction::Server(s)) => s.invite || s.state == State::Proceeding,
            _ => false,
        }
    }

    fn receive_ack(&mut self, now: Instant, flow: Flow, known: Option<Key>, request: Request) {
        if let Some(key) = known {
            let timers = self.config.timers;
            if let Some(Transaction::Server(server)) = self.slab.get_mut(key) {
                let flow = server.flow;
                if let Some(step) = server.ack(now, &timers) {
                    return self.apply(key, flow, step);
                }
            }
        } else if request
            .to()
            .is_ok_and(|to| to.tag() == Some(&self.matcher.stateless_tag(&request)))
        {
            return;
        }
        self.outputs.push_back(Output::Ack2xx { flow, request });
    }

    /// A CANCEL is answered without state: the answer is the same each time (§9.2).
    fn receive_cancel(&mut self, flow: Flow, known: Option<Key>, request: Request) {
        let Some(key) = known else {
            return self.answer_stateless(&request, flow, 481, "Call/Transaction Does Not Exist");
        };
        self.answer_stateless(&request, flow, 200, "OK");
        let Some(Transaction::Server(server)) = self.slab.get_mut(key) else {
            return;
        };
        if server.state == State::Proceeding && !std::mem::replace(&mut server.cancelled, true) {
            self.outputs.push_back(Output::Cancel { key, request });
        }
    }

    /// Takes a response that was parsed before. One that matches nothing is dropped (§18.1.2): a stray 2xx to an
    /// INVITE belongs to no call of ours.
    pub fn receive_response(&mut self, now: Instant, flow: Flow, response: Response) {
        let mut vias = response.vias();
        let (Some(Ok(via)), None) = (vias.next(), vias.next()) else {
            return;
        };
        let (Some(branch), Ok(cseq)) = (via.branch(), response.cseq()) else {
            return;
        };
        let hash = self.matcher.client(branch, cseq.token);
        drop(vias);
        let Some(key) = self.by_hash.get(&hash).copied() else {
            return;
        };
        let timers = self.config.timers;
        let Some(Transaction::Client(client)) = self.slab.get_mut(key) else {
            return;
        };
        let internal = client.internal;
        let received = client.receive(now, &timers, response.status());
        let wanted = match (&client.cancel, response.status()) {
            (Cancel::Wanted(reason), 100..200) => Some(reason.clone()),
            _ => None,
        };
        if matches!(received, Received::PassAndAck | Received::AckAgain) {
            let flow = client.flow;
            if let Ok(bytes) = client.ack(&mut self.scratch, &response) {
                self.outputs.push_back(Output::Transmit {
                    flow,
                    bytes,
                    occasion: Occasion::Transaction(key),
                });
            }
        }
        self.slab.schedule(key);
        let pass = matches!(received, Received::Pass | Received::PassAndAck | Received::PassAndEnd);
        if pass && !internal {
            self.outputs.push_back(Output::Response { key, flow, response });
        }
        if let Some(reason) = wanted {
            // Without room for a CANCEL the INVITE is left to ring out.
            let _ = self.send_cancel(now, key, reason.as_deref());
        }
        if received == Received::PassAndEnd {
            self.end(key);
        }
    }

    /// Answers a request for which no state is kept.
    pub fn answer_stateless(&mut self, request: &Head, flow: Flow, status: u16, reason: &str) {
        let to = match request.top_via() {
            Ok(via) => reply_address(&via, flow.remote),
            // Unreadable, but it can be sent back; nobody else reads it first.
            Err(ValueError::Malformed(_)) => flow.remote,
            Err(ValueError::Missing(_)) => return,
        };
        let tag = self.matcher.stateless_tag(request);
        let mut b =
            Builder::reply(&mut self.scratch, request, status, reason, Some(&tag), flow.remote);
        if status == 503 {
            b.header(HeaderName::RetryAfter, "5");
        }
        if let Ok(bytes) = b.finish() {
            self.transmit_stateless(flow, to, bytes);
        }
    }

    fn transmit_stateless(&mut self, flow: Flow, to: std::net::SocketAddr, bytes: Bytes) {
        let flow = self.reply_flow(flow, to);
        self.outputs.push_back(Output::Transmit { flow, bytes, occasion: Occasion::Stateless });
    }

    /// Over a stream the answer takes the stream (§18.2.2).
    fn reply_flow(&self, flow: Flow, to: std::net::SocketAddr) -> Flow {
        if flow.transport.is_reliable() { flow } else { Flow { remote: to, ..flow } }
    }
}
