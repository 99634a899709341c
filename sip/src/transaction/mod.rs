//! Transactions (RFC 3261 §17, with the corrections of RFC 6026 and RFC 4320) as one table without sockets or clock.
//!
//! [`Transactions`] takes datagrams, commands and `now`; what is to be done comes out of
//! [`Transactions::poll_output`]. After each call: drain the outputs, then look at [`Transactions::poll_timeout`].

mod client;
mod key;
mod output;
mod receive;
mod server;
mod slab;
mod table;
mod timers;

pub use key::Key;
pub use output::{Flow, Occasion, Output, Transport};
pub use table::{Config, RequestError, RespondError, Transactions};
pub use timers::Timers;
