//! What the writer's loop waits for, and for ever where there is nothing to wait for.

use super::attempts::WINDOW_SECONDS;
use super::group::Group;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::Position;
use switchbook_journal::AppendError;
use tokio::time::Instant;

/// A group on its way to the disk.
pub(super) type Append = Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>;
/// The state that the book holds once it takes writes again.
pub(super) type Resume = Pin<Box<dyn Future<Output = Result<Box<Exchange>, String>> + Send>>;

pub(super) fn quiet_minute() -> Instant {
    Instant::now() + Duration::from_secs(WINDOW_SECONDS.into())
}

pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn landed(flight: &mut Option<(Append, Group)>) -> Result<Position, AppendError> {
    match flight {
        Some((append, _)) => append.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn resumed(resume: &mut Option<Resume>) -> Result<Box<Exchange>, String> {
    match resume {
        Some(resume) => resume.await,
        None => std::future::pending().await,
    }
}
