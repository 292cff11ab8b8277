//! Does what a run of the core wants done: moves records, requests and time, and decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input, Run, Step, TokenError};
use hs_oauth_core::{Account, StoreError};
use hs_oauth_manager::{Purpose, SingleFlight, Wait, loaded, now, panicked, swapped, timed_out};
use hs_oauth_store::AsyncTokenStore;
use tokio::sync::Notify;

use crate::client::Client;
use crate::waiting::Tokio;

/// What the runs of one account work with.
pub(crate) struct Driver<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a dyn AsyncTokenStore,
    pub(crate) flights: &'a SingleFlight<Tokio>,
    pub(crate) account: Account,
    /// What the run is for.
    pub(crate) purpose: Purpose,
}

/// The place of a run in the queue. The run leaves the queue when this is dropped.
struct QueuePlace<'a>(&'a Driver<'a>);

impl Driver<'_> {
    /// Drives `run` to its end.
    pub(crate) async fn drive<R: Run>(&self, run: &mut R) -> Result<R::Output, TokenError> {
        let mut step = run.start(now());
        loop {
            let input = match step {
                Step::Load { timeout } => {
                    loaded(with_timeout(timeout, async { self.store.load(self.account).await }).await)
                }
                Step::Swap { expected, record, timeout } => {
                    let swap = async { self.store.swap(self.account, expected, &record).await };
                    swapped(with_timeout(timeout, swap).await)
                }
                Step::Send { refresh, timeout } => {
                    Input::Refreshed(self.client.call_once(&refresh, timeout).await)
                }
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke).await),
                Step::Admit { deadline } => self.admit(deadline).await,
                Step::Sleep(time) => {
                    tokio::time::sleep(time).await;
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(now(), input);
        }
    }

    /// Waits in the queue until the renewal may begin.
    async fn admit(&self, deadline: Deadline) -> Input {
        let waker = Arc::new(Notify::new());
        {
            let mut state = self.flights.state();
            if !state.queue.is_limited() {
                return Input::Admit { waited: false };
            }
            let front = state.queue.join(self.account, self.purpose, deadline, Arc::clone(&waker));
            front.inspect(|front| front.notify_one());
        }
        let _place = QueuePlace(self);
        let mut waited = false;
        loop {
            let admission = self.flights.state().queue.admit(self.account, now(), waited);
            match admission {
                Ok(input) => return input,
                Err(Wait::For(time)) => _ = tokio::time::timeout(time, waker.notified()).await,
                Err(Wait::UntilWoken) => waker.notified().await,
            }
            waited = true;
        }
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut state = self.0.flights.state();
        state.queue.leave(self.0.account).inspect(|front| front.notify_one());
    }
}

/// Returns the result of a store if it comes in time. A store that panics has failed, and takes no tokens with it.
pub(crate) async fn with_timeout<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut call = pin!(call);
    let caught = std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    });
    tokio::time::timeout(timeout, caught).await.unwrap_or_else(|_| Err(timed_out()))
}
