use std::collections::BTreeMap;
use std::time::Duration;

use hs_oauth_async::TokenError;
use serde::{Deserialize, Serialize};

/// The bearers that a process asked for, and all errors that it met.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Bearers {
    /// How many it got.
    pub got: u64,
    /// How many of them came after more than a second.
    pub late: u64,
    /// How many errors came in place of a bearer.
    pub failed: u64,
    /// The longest wait for a bearer or an error.
    pub longest_wait: Duration,
    /// How often each error occurred, also those in place of something else.
    pub errors: BTreeMap<String, u64>,
}

/// A bearer that comes later than this is late.
const LATE: Duration = Duration::from_secs(1);

impl Bearers {
    /// Counts a bearer, or the error in its place, and how long it was waited for.
    pub fn note<T>(&mut self, wait: Duration, bearer: &Result<T, TokenError>) {
        self.longest_wait = self.longest_wait.max(wait);
        match bearer {
            Ok(_) => {
                self.got += 1;
                self.late += u64::from(wait > LATE);
            }
            Err(error) => {
                self.failed += 1;
                self.count_error(format!("bearer: {}", error.name()));
            }
        }
    }

    /// Counts an error.
    pub fn count_error(&mut self, error: impl Into<String>) {
        *self.errors.entry(error.into()).or_default() += 1;
    }

    /// Adds what another process, or an earlier report, has counted.
    pub fn add(&mut self, other: &Self) {
        self.got += other.got;
        self.late += other.late;
        self.failed += other.failed;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}
