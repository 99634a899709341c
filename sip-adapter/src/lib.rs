//! Phones: the exchange's face towards SIP (architecture.md, ways 3 and 4).
//!
//! [`endpoint::Endpoint`] is the whole of it as one machine without I/O: datagrams, answers of the Desk and the clock
//! in, datagrams and errands out. [`server::Server`] is the thin shell with a socket around it. What the exchange must
//! offer stands in [`port::Port`].
//!
//! **Invariants by absence.** No rule of the exchange stands here: who rings comes from `core::routing::route`, who may
//! from the Desk. Nothing is appended to the book but through the Desk. No lock is held by the loop across a message,
//! no call waits for a disk, and no PIN or password reaches a log.
#![forbid(unsafe_code)]

mod call;
pub mod config;
pub mod desk;
pub mod endpoint;
pub mod metrics;
mod moderation;
pub mod orders;
pub mod phone;
pub mod port;
mod quirks;
mod round;
pub mod server;
mod socket;
mod switchroom;
mod wire;

pub use config::Config;
pub use desk::DeskPort;
pub use metrics::Metrics;
pub use server::{Door, Server};
pub use switchroom::Switchroom;
pub use wire::{LocalAddress, Now};
