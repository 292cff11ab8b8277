//! Does what a run of the core wants done: moves records, requests and time, and decides nothing.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use hs_oauth_core::renewal::{Input, RenewalPolicy, Run, Step, TokenError};
use hs_oauth_core::{Account, Error, Random, RetryPolicy, StoreError, StoreErrorKind, Timestamp};
use hs_oauth_store::{Swapped, TokenStore};

use crate::client::Client;
use crate::turns::{Begun, Turns};

/// What a run works with.
pub(crate) struct World<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a dyn TokenStore,
    pub(crate) policy: RenewalPolicy,
    pub(crate) account: Account,
    pub(crate) turns: &'a Turns,
    /// The run's turn, if it was had before the run began and is not used yet.
    pub(crate) begun: Cell<Option<Begun>>,
}

impl World<'_> {
    /// Drives `run` to its end. What HubSpot refused a token request with is left in `refusal`, since a run whose old token is
    /// still good does not end with it.
    pub(crate) fn drive<R: Run>(
        &self,
        run: &mut R,
        refusal: &mut Option<Error>,
    ) -> Result<R::Output, TokenError> {
        let mut timing = None;
        let mut step = run.start(now());
        loop {
            let input = match step {
                Step::Load => match caught(|| self.store.load(self.account)) {
                    Ok(stored) => {
                        let tokens = stored.as_ref().and_then(|stored| stored.record.tokens.as_ref());
                        timing = tokens.map(|tokens| self.policy.timing(tokens)).or(timing);
                        Input::Loaded(stored)
                    }
                    Err(error) => Input::StoreFailed(error),
                },
                Step::Swap { expected, record } => {
                    match caught(|| self.store.swap(self.account, expected, &record)) {
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
                    let answer = client.call(&refresh);
                    *refusal = answer.as_ref().err().cloned();
                    Input::Answered(answer)
                }
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke)),
                Step::Turn { by } => match self.begun.take() {
                    Some(_) => Input::Turn { waited: false },
                    None => self.turns.wait(self.account, by),
                },
                Step::Sleep(time) => {
                    std::thread::sleep(time);
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(now(), input);
        }
    }
}

/// The answer of a store. One that panics has failed, and takes no tokens with it.
pub(crate) fn caught<T>(ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(ask))
        .unwrap_or_else(|_| Err(StoreError::with_source(StoreErrorKind::Unavailable, "it panicked")))
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
