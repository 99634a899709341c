//! One thread for everything a phone waits for.

use std::future::Future;
use std::io;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A thread with a runtime of its own. The SIP loop runs here, and so does whoever decides for it: between tasks of one
/// thread nobody has to be woken, and a wake-up costs more than a decision. Nothing here may block.
///
/// Dropped, the thread ends with everything on it.
#[derive(Debug)]
pub struct Switchroom {
    handle: Handle,
    _ends_when_dropped: oneshot::Sender<()>,
}

impl Switchroom {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("switchroom".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _ends_when_dropped: end })
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
