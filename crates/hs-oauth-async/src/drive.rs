//! Does what a run of the core wants done: moves records, requests and time, and decides nothing.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use hs_oauth_core::renewal::{Input, RenewalPolicy, Run, Step, TokenError};
use hs_oauth_core::{Account, Error, Random, RetryPolicy, StoreError, StoreErrorKind, Timestamp};
use hs_oauth_store::Swapped;

use crate::client::Client;
use crate::store::{TokenStore, panicked};
use crate::turns::Turns;

/// What a run works with.
pub(crate) struct World<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a dyn TokenStore,
    pub(crate) policy: RenewalPolicy,
    pub(crate) account: Account,
    /// None if there is no budget.
    pub(crate) turns: Option<&'a Turns>,
    /// Whether nobody waits for what the run brings.
    pub(crate) is_ahead: bool,
}

impl World<'_> {
    /// Drives `run` to its end. What HubSpot refused a token request with is left in `refusal`, since a run whose old token is
    /// still good does not end with it.
    pub(crate) async fn drive<R: Run>(
        &self,
        run: &mut R,
        refusal: &mut Option<Error>,
    ) -> Result<R::Output, TokenError> {
        let mut timing = None;
        let mut step = run.start(now());
        loop {
            let patience = timing.map_or(PATIENCE, |timing: hs_oauth_core::renewal::Timing| timing.save);
            let input = match step {
                Step::Load => match within(patience, async { self.store.load(self.account).await }).await {
                    Ok(stored) => {
                        let tokens = stored.as_ref().and_then(|stored| stored.record.tokens.as_ref());
                        timing = tokens.map(|tokens| self.policy.timing(tokens)).or(timing);
                        Input::Loaded(stored)
                    }
                    Err(error) => Input::StoreFailed(error),
                },
                Step::Swap { expected, record } => {
                    match within(patience, async { self.store.swap(self.account, expected, &record).await })
                        .await
                    {
                        Ok(Swapped::Stored(version)) => Input::Stored(version),
                        Ok(Swapped::Conflict) => Input::Conflict,
                        Err(error) => Input::StoreFailed(error),
                    }
                }
                Step::Send(refresh) => {
                    // Once: when it may be sent again is for the record to say.
                    let mut client = self.client.clone().retry(RetryPolicy::NEVER);
                    if let Some(timing) = timing {
                        client = client.at_most(timing.request);
                    }
                    let answer = client.call(&refresh).await;
                    *refusal = answer.as_ref().err().cloned();
                    Input::Answered(answer)
                }
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke).await),
                Step::Turn { by } => match self.turns {
                    Some(turns) => turns.wait(self.account, by, self.is_ahead).await,
                    None => Input::Turn { waited: false },
                },
                Step::Sleep(time) => {
                    tokio::time::sleep(time).await;
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(now(), input);
        }
    }
}

/// The answer of a store, if it comes in time. A store that panics has failed, and takes no tokens with it.
pub(crate) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut answer = pin!(answer);
    let caught = std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    });
    let late = || StoreError::with_source(StoreErrorKind::Unavailable, "not in time");
    tokio::time::timeout(patience, caught).await.unwrap_or_else(|_| Err(late()))
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// For the names of one run and its waits.
pub(crate) fn random() -> Random {
    Random::from_os().unwrap_or_else(|_| {
        // No secret depends on it; the keys differ in every thread and every process.
        let mut seed = [0; 32];
        for (word, number) in seed.as_chunks_mut::<8>().0.iter_mut().zip(0_u64..) {
            *word = RandomState::new().hash_one((number, SystemTime::now())).to_le_bytes();
        }
        Random::new(seed)
    })
}

/// How long a store may take before a record has said how long tokens live.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
