//! One thread for everything a phone waits for.

use crate::moderation::Nap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A thread with a runtime of its own. The SIP loop runs here, and so does whoever decides for it: between tasks of one
/// thread nobody has to be woken, and a wake-up costs more than a decision. Nothing here may block; under load the thread itself looks away for moments
/// ([`crate::moderation`]).
///
/// Dropped, the thread ends with everything on it.
#[derive(Debug)]
pub struct Switchroom {
    handle: Handle,
    nap: Arc<Nap>,
    _ends_when_dropped: oneshot::Sender<()>,
}

impl Switchroom {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open() -> io::Result<Self> {
        let nap = Arc::new(Nap::new());
        let naps = Arc::clone(&nap);
        // Called when no task has anything to do: whatever was handed over is on its way.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || naps.take())
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("switchroom".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, nap, _ends_when_dropped: end })
    }

    /// How long the thread may look away, for whoever knows how busy it is.
    pub(crate) fn nap(&self) -> Arc<Nap> {
        Arc::clone(&self.nap)
    }

    /// Ends a moment of looking away, from any thread: for whoever has something that a task of this thread waits for. A
    /// wake-up alone is seen when the moment is over.
    #[must_use]
    pub fn rouse(&self) -> Arc<dyn Fn() + Send + Sync> {
        let nap = Arc::clone(&self.nap);
        Arc::new(move || nap.rouse())
    }

    /// A way to it.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs something on the thread.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(task)
    }
}
