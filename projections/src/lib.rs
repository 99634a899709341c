//! Read models: tables folded from the book, each in a file named for it.
//!
//! **They never write the journal and never see a command.** What the exchange folds already is not folded twice:
//! [`registrar`], [`numbers`], [`directory`] and [`schedules`] are views of an [`Exchange`] at a position, so a view
//! as of an earlier time is the same function on an earlier state. [`call_log`] and [`names`] are folds of their own;
//! [`audit_trail`] keeps nothing and answers from the store's history.
//!
//! Entry points: [`readers::Readers`] follows the book for a running server, [`fold`] folds a prefix for everybody
//! else, [`snapshot`] is the one place that turns tables into bytes and back.
//!
//! [`Exchange`]: switchbook_core::exchange::Exchange

pub mod audit_trail;
mod bounded;
pub mod call_log;
pub mod directory;
pub mod fold;
mod halves;
pub mod names;
pub mod numbers;
pub mod payload;
pub mod readers;
pub mod registrar;
pub mod schedules;
pub mod sentence;
pub mod snapshot;
pub mod table;
pub mod text;

pub use fold::Tables;
pub use names::{NameBook, Naming};
pub use readers::Readers;
pub use table::Table;
pub use text::{Text, When};
