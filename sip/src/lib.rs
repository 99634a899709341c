//! Switchbook: the room `sip` (see ARCHITECTURE.md).
//!
//! SIP as machines without sockets, tasks or clocks: bytes, commands and `now` go in, outputs come out. Nothing here
//! knows a user, a number or an exchange. `README.md` has a table of the modules and an example of each machine.
//!
//! **Invariants by absence.** No clock is read and no randomness is drawn here: time and seeds are arguments. No input
//! panics. No value with CR, LF or NUL reaches an emitted message.
#![forbid(unsafe_code)]

pub mod dialog;
pub mod digest;
pub mod id;
pub mod limits;
pub mod message;
pub mod sdp;
pub mod transaction;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use id::IdSource;
pub use message::{HeaderName, Message, Method, Request, Response};
