//! What the writer's loop waits for, and for ever where there is nothing to wait for.

use super::Rouse;
use super::attempts::WINDOW_SECONDS;
use super::group::Group;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::Position;
use switchbook_journal::AppendError;
use tokio::time::Instant;

/// A group on its way to the disk.
pub(super) type Append = Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>;
/// The state that the book holds once it takes writes again.
pub(super) type Resume = Pin<Box<dyn Future<Output = Result<Box<Exchange>, String>> + Send>>;

/// An append that rouses the Desk's thread before it wakes the Desk.
pub(super) struct Rousing {
    append: Append,
    rouse: Rouse,
    /// Who was woken last, so that one waker serves all polls.
    waker: Option<(Waker, Waker)>,
}

struct Rouser {
    task: Waker,
    rouse: Rouse,
}

impl Wake for Rouser {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.task.wake_by_ref();
        (self.rouse)();
    }
}

impl Rousing {
    pub(super) fn new(append: Append, rouse: Rouse) -> Self {
        Self { append, rouse, waker: None }
    }
}

impl Future for Rousing {
    type Output = Result<Position, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let task = context.waker();
        let (_, rouser) = match this.waker.take().filter(|(known, _)| known.will_wake(task)) {
            Some(known) => this.waker.insert(known),
            None => {
                let rouser = Rouser { task: task.clone(), rouse: Arc::clone(&this.rouse) };
                this.waker.insert((task.clone(), Waker::from(Arc::new(rouser))))
            }
        };
        this.append.as_mut().poll(&mut Context::from_waker(rouser))
    }
}

pub(super) fn quiet_minute() -> Instant {
    Instant::now() + Duration::from_secs(WINDOW_SECONDS.into())
}

pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn landed(flight: &mut Option<(Rousing, Group)>) -> Result<Position, AppendError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The thread may look away while the disk works: woken alone, it would see so only later.
    #[tokio::test]
    async fn the_thread_is_roused_when_an_append_is_through_and_not_before() {
        let roused = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&roused);
        let (done, append) = tokio::sync::oneshot::channel();
        let append = Box::pin(async move { append.await.unwrap() });
        let rouse: Rouse = Arc::new(move || {
            counts.fetch_add(1, Ordering::SeqCst);
        });
        let mut append = Rousing::new(append, rouse);
        for _ in 0..3 {
            assert!(once(&mut append).await.is_none());
        }
        assert_eq!(roused.load(Ordering::SeqCst), 0);
        std::thread::spawn(move || done.send(Ok(Position(7)))).join().unwrap().unwrap();
        assert_eq!(roused.load(Ordering::SeqCst), 1);
        assert!(matches!(once(&mut append).await, Some(Ok(Position(7)))));
    }

    /// Polls once.
    async fn once(append: &mut Rousing) -> Option<Result<Position, AppendError>> {
        std::future::poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut *append).poll(context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        })
        .await
    }
}
