//! Drives the runs of hs-oauth-core: does each step that a run asks for, and decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input, Step, Stored, TokenError};
use hs_oauth_core::{Account, STORE_TIMEOUT, StoreError, Timestamp};
use hs_oauth_manager::{
    Driven, Purpose, Shared, StoreCall, Wait, Waiting, loaded, panicked, swapped, timed_out,
};
use hs_oauth_store::{AsyncTokenStore, Cursor, Page};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::client::Client;
use crate::waiting::Tokio;

/// The client, the store and the state that all clones of a manager share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn AsyncTokenStore>,
    pub(crate) shared: Shared<Tokio>,
    /// The runtime on which all work is done, or `None` for that of the caller who asks for it.
    pub(crate) runtime: Option<Handle>,
    /// Whether the sweep has started and not ended.
    pub(crate) has_sweep: AtomicBool,
}

impl Inner {
    /// Drives a run of the account to its end. `purpose` says how urgent it is if it has to wait in the queue.
    pub(crate) async fn drive<R: Driven>(
        &self,
        account: Account,
        purpose: Purpose,
        run: &mut R,
    ) -> Result<R::Output, TokenError> {
        let steps = self.do_steps(account, purpose, run);
        #[cfg(feature = "tracing")]
        let steps = tracing::Instrument::instrument(steps, hs_oauth_manager::account_span(account));
        steps.await
    }

    async fn do_steps<R: Driven>(
        &self,
        account: Account,
        purpose: Purpose,
        run: &mut R,
    ) -> Result<R::Output, TokenError> {
        let mut step = run.start(self.now());
        loop {
            let input = match step {
                Step::Load { timeout } => loaded(self.load(account, timeout).await),
                Step::Swap { expected, record, timeout } => {
                    let swap = async { self.store().swap(account, expected, &record).await };
                    swapped(StoreCall::begin("swap").end_swap(with_timeout(timeout, swap).await))
                }
                Step::Send { refresh, timeout } => match self.shared.before_send(account) {
                    Some(input) => input,
                    None => {
                        let response = self.client.call_once(&refresh, timeout).await;
                        self.shared.refreshed(account, run.is_recheck(), self.now(), response)
                    }
                },
                Step::Introspect(introspect) => {
                    let response = self.client.call(&introspect).await;
                    self.shared.note_response(&response);
                    Input::Introspected(response)
                }
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke).await),
                Step::Admit { deadline } => self.admit(account, purpose, deadline).await,
                Step::Sleep(time) if run.ends_at_shutdown() => {
                    self.shared.flights.rest(account);
                    self.sleep_unless_closed(time).await
                }
                Step::Sleep(time) => {
                    tokio::time::sleep(time).await;
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(self.now(), input);
            if let Some(tokens) = run.newly_received() {
                self.shared.flights.note_received(account, tokens);
            }
        }
    }

    /// Returns the store itself. A call of the box that holds it would put the future into one more box.
    fn store(&self) -> &dyn AsyncTokenStore {
        &*self.store
    }

    /// Loads the account's record, within `timeout` and the application's own limit, and notes whether the store works.
    pub(crate) async fn load(
        &self,
        account: Account,
        timeout: Duration,
    ) -> Result<Option<Stored>, StoreError> {
        let timeout = timeout.min(self.shared.settings.store_timeout);
        let call = StoreCall::begin("load");
        let result = call.end(with_timeout(timeout, async { self.store().load(account).await }).await);
        self.shared.note_load(account, &result, self.now());
        result
    }

    /// Reads a page of the store.
    pub(crate) async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let call = StoreCall::begin("page");
        call.end(with_timeout(STORE_TIMEOUT, async { self.store().page(cursor, limit).await }).await)
    }

    /// Checks that the store takes writes, within the application's limit.
    pub(crate) async fn check(&self) -> Result<(), TokenError> {
        let timeout = self.shared.settings.store_timeout;
        let call = StoreCall::begin("check");
        call.end(with_timeout(timeout, async { self.store().check().await }).await).map_err(TokenError::Store)
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.settings.clock.now()
    }

    /// Sleeps, or returns at once when no refresh is sent any more.
    async fn sleep_unless_closed(&self, time: Duration) -> Input {
        let flights = &self.shared.flights;
        let mut closed = pin!(flights.waiting.closed.notified());
        closed.as_mut().enable();
        if !flights.is_closed() && tokio::time::timeout(time, closed).await.is_err() {
            return Input::Slept;
        }
        Input::ShuttingDown
    }

    /// Waits in the queue until the renewal may begin. If the future is dropped, the end of the flight takes the run out of the queue.
    async fn admit(&self, account: Account, purpose: Purpose, deadline: Deadline) -> Input {
        let flights = &self.shared.flights;
        let waker = Arc::new(Notify::new());
        let for_queue = Arc::clone(&waker);
        flights.waiting.queue_changed(flights.state().queue.join(account, purpose, deadline, for_queue));
        let clock = &self.shared.settings.clock;
        let mut waited = false;
        loop {
            let now = clock.wait_time();
            let admission = flights.admit(&mut flights.state(), account, now, waited);
            match admission {
                Ok(input) => return input,
                Err(Wait::For(time)) => {
                    _ = tokio::time::timeout(clock.look_again_after(time), waker.notified()).await;
                }
                Err(Wait::UntilWoken) => waker.notified().await,
            }
            waited = true;
        }
    }
}

/// Returns the result of a call to a store, or an error if the call does not end in time. A panic of the store becomes an error, so that
/// the tokens of a run outlive it.
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
