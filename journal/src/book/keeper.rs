//! The thread that keeps house: leases on disk within a second, the watermark made durable about once a second.

use super::Shared;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Keeps house at every beat until the book is closed, then closes the leases properly.
pub(super) fn run(shared: &Arc<Shared>, beat: Duration) {
    while !shared.is_closing() {
        thread::park_timeout(beat);
        if let Err(error) = shared.leases.flush() {
            tracing::warn!(%error, "leases wait for the disk");
        }
        if let Err(error) = shared.watermark.sync() {
            tracing::warn!(%error, "the watermark could not be made durable; records themselves are");
        }
        if let Err(error) = shared.vault.settle() {
            tracing::warn!(%error, "the vault's disk failed; the next write that needs it will say so");
        }
    }
    if let Err(error) = shared.leases.close() {
        tracing::warn!(%error, "leases could not be closed properly: a second is added to each at the next start");
    }
}
