//! Bounds on what strangers can cause, as pure tables with time as input: bytes sent to a source that has not proven
//! itself, how often one of ours may cause an event, and the pause after failed authentications.

mod backoff;
mod bucket;
mod budget;

pub use backoff::{BackOff, BackOffConfig, Gate};
pub use bucket::{Buckets, Pace};
pub use budget::{BudgetConfig, ByteBudget, SourceKey};
