//! Ctrl-C, or the system that asks for the end, during something long: it stops where it is, and what was begun is cleared away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the end was asked for since it was made.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, until the process ends.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        let wait = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without a runtime a signal ends the process at once, as everywhere.
            if let Ok(runtime) = runtime
                && runtime.block_on(asked()).is_ok()
            {
                heard.0.store(true, Ordering::Relaxed);
            }
        };
        let _ = std::thread::Builder::new().name("signals".into()).spawn(wait);
        interrupt
    }

    /// Not asked for yet.
    pub fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
async fn asked() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut end) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = end.recv() => Ok(()),
    }
}
