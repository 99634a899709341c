//! Ctrl-C during something long: it stops where it is, and what was begun is cleared away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether Ctrl-C was pressed since it was made.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, until the process ends.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        let wait = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without a runtime Ctrl-C ends the process at once, as everywhere.
            if let Ok(runtime) = runtime
                && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
            {
                heard.0.store(true, Ordering::Relaxed);
            }
        };
        let _ = std::thread::Builder::new().name("ctrl-c".into()).spawn(wait);
        interrupt
    }

    /// Not pressed yet.
    pub fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}
