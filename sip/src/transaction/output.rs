//! What the table tells its owner.

use super::key::Key;
use crate::message::{Request, Response};
use bytes::Bytes;
use std::net::SocketAddr;

/// A transport protocol; the machines only ask whether it is reliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, retransmitted here
    Udp,
    /// A stream
    Tcp,
    /// A stream over TLS
    Tls,
    /// WebSocket (RFC 7118)
    Ws,
    /// WebSocket over TLS
    Wss,
}

impl Transport {
    /// Whether retransmission is the transport's own affair.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// The token in Via.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }
}

/// Both ends of a way that messages take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The other end
    pub remote: SocketAddr,
    /// Our end, which answers must leave from
    pub local: SocketAddr,
    /// The protocol
    pub transport: Transport,
}

/// On what occasion bytes are sent: answers without a transaction are what a flood provokes, and worth a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Within a transaction
    Transaction(Key),
    /// An answer for which no state is kept
    Stateless,
}

/// One thing to be done or known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send these bytes from `flow.local` to `flow.remote`.
    Transmit {
        /// Where from and to
        flow: Flow,
        /// The message
        bytes: Bytes,
        /// Why
        occasion: Occasion,
    },
    /// A new request; answer it by [`super::Transactions::respond`] or `respond_stateless`.
    Request {
        /// Its transaction
        key: Key,
        /// Where it came from
        flow: Flow,
        /// The request
        request: Request,
    },
    /// An ACK that belongs to no transaction: the ACK to a 2xx, or astray (RFC 3261 §13.3.1.4).
    Ack2xx {
        /// Where it came from
        flow: Flow,
        /// The ACK
        request: Request,
    },
    /// The client gave an INVITE up. The CANCEL is answered; answer the INVITE with 487 (§9.2).
    Cancel {
        /// The transaction of the INVITE
        key: Key,
        /// The CANCEL, for its Reason
        request: Request,
    },
    /// A response. An INVITE may get several 2xx; the ACK to each is the TU's (§13.2.2.4).
    Response {
        /// The transaction of the request
        key: Key,
        /// Where it came from
        flow: Flow,
        /// The response
        response: Response,
    },
    /// Timer B or F: no final response. Timer H: no ACK. A cancelled INVITE without answer (§9.1).
    TimedOut {
        /// The transaction
        key: Key,
    },
    /// The transport failed, as the owner said (§17.1.4).
    TransportError {
        /// The transaction
        key: Key,
    },
    /// The key is dead; each transaction tells so once.
    Terminated {
        /// The transaction
        key: Key,
    },
}
