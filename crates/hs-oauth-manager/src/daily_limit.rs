//! When a daily limit of an account ends: at midnight in the account's time zone, if the account's details have been read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hs_oauth_core::{Account, AccountDetails, Error, NextStep, Timestamp};

/// The details of accounts that this process has read.
#[derive(Debug, Default)]
pub(crate) struct DailyLimits(Mutex<HashMap<Account, AccountDetails>>);

impl DailyLimits {
    /// Notes the details of an account.
    pub(crate) fn note(&self, account: Account, details: AccountDetails) {
        self.details().insert(account, details);
    }

    /// Forgets the details of an account.
    pub(crate) fn forget(&self, account: Account) {
        self.details().remove(&account);
    }

    /// Returns the result of a call for this account. If it is a `DAILY` 429 without `Retry-After` and the account's details are known,
    /// its wait ends at the account's midnight.
    pub(crate) fn until_midnight<T>(
        &self,
        account: Account,
        result: Result<T, Error>,
        now: Timestamp,
    ) -> Result<T, Error> {
        result.map_err(|error| match error {
            Error::Api(mut error) => {
                let next = self.details().get(&account).map(|details| details.next_step_after(&error, now));
                if let Some(next @ NextStep::RetryAfter(Some(wait))) = next
                    && next != error.next_step()
                {
                    error.retry_after = Some(wait);
                }
                Error::Api(error)
            }
            error => error,
        })
    }

    fn details(&self) -> MutexGuard<'_, HashMap<Account, AccountDetails>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
