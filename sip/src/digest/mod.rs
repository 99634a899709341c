//! Digest authentication: server and client (RFC 7616, RFC 8760, RFC 3261 §22), `qop=auth` only.
//!
//! The server keeps no nonce: a nonce is a signed time stamp ([`Nonces`]), and only nonces in use have an entry in the
//! bounded replay table ([`Replay`]). [`Verifier`] puts both together.

mod client;
mod hash;
mod nonce;
mod replay;
mod verify;

pub use client::{Answer, AnswerError, Challenge};
pub use hash::{Algorithm, Ha1, response};
pub use nonce::{NonceError, Nonces};
pub use replay::Replay;
pub use verify::{Authorization, Expectation, Malformed, Proof, Stale, Verdict, Verifier};
