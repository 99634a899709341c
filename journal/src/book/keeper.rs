//! The thread that keeps house: leases on disk within a second, the watermark made durable about once a second.

use super::Shared;
use std::fmt::Display;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Keeps house at every beat until the book is closed, then closes the leases properly.
pub(super) fn run(shared: &Arc<Shared>, beat: Duration) {
    let mut leases = Trouble::new("leases wait for the disk");
    let mut watermark =
        Trouble::new("the watermark could not be made durable; records themselves are");
    let mut vault = Trouble::new("the vault's disk failed; the next write that needs it says so");
    while !shared.is_closing() {
        thread::park_timeout(beat);
        leases.look(shared.leases.flush());
        watermark.look(shared.watermark.sync());
        vault.look(shared.vault.settle());
    }
    if let Err(error) = shared.leases.close() {
        tracing::warn!(%error, "leases could not be closed properly: a second is added to each at the next start");
    }
}

/// Something that fails again at every beat as long as the disk is full: told when it begins and when it is over, or the
/// log would fill what is left.
struct Trouble {
    what: &'static str,
    lasts: bool,
}

impl Trouble {
    const fn new(what: &'static str) -> Self {
        Self { what, lasts: false }
    }

    fn look<E: Display>(&mut self, outcome: Result<(), E>) {
        match &outcome {
            Err(error) if !self.lasts => tracing::warn!(%error, "{}", self.what),
            Ok(()) if self.lasts => tracing::warn!("over: {}", self.what),
            _ => {}
        }
        self.lasts = outcome.is_err();
    }
}
