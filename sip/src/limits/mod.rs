//! Bounds on what strangers can cause, as pure tables with time as input: bytes sent to a source that has not proven
//! itself, and the pause after failed authentications.

mod backoff;
mod budget;

pub use backoff::{BackOff, BackOffConfig, Gate};
pub use budget::{BudgetConfig, ByteBudget, SourceKey};
