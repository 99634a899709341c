//! What can be asked of the exchange, and what it answers.
//!
//! One file per noun holds its commands and their decisions; [`command`] is the register of all. A decision is pure:
//! [`decide`] takes the exchange, an [`Order`] and a [`Context`] with time, ids and what changes too fast for a book,
//! and yields events or a [`Refusal`]. [`authorise`] is the one place that says who may.

pub mod audit;
mod authorise;
pub mod backup;
pub mod call;
pub mod command;
mod decide;
pub mod desk;
pub mod device;
mod draft;
pub mod erasure;
mod form;
pub mod forwarding;
pub mod group;
pub mod lookup;
mod loops;
pub mod number;
mod order;
pub mod pattern;
pub mod permission;
pub mod phone;
pub mod profile;
mod refusal;
pub mod registration;
mod roaming;
pub mod schedule;
pub mod schedules;
pub mod seal;
pub mod secret;
pub mod settings;
pub mod slot;
mod stale;
pub mod startup;
pub mod trunk;
pub mod user;
pub mod wire;

pub use authorise::{Standing, authorise};
pub use command::Command;
pub use decide::decide;
pub use draft::{Confirm, Force};
pub use order::{
    Calls, Context, Decision, LeaseRenewal, LeaseState, LeaseView, NoCalls, NoLeases, Order,
    Warning, WarningCode,
};
pub use refusal::{Nature, Refusal, RefusalCode};
