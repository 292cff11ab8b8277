use std::fmt;

use hs_oauth_core::renewal::Record;
use hs_oauth_core::{Account, StoreError};

use crate::{Swapped, TokenStore};

/// A rule of [`TokenStore`] that a store does not follow, and what the store did instead.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// The rule, as a sentence.
    pub rule: &'static str,
    /// What the store did instead.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store violates the rule \"{}\": {}", self.rule, self.found)
    }
}

impl std::error::Error for Violation {}

/// One rule, checked on one store. Each method checks a statement about the store. It returns a [`Violation`] of the rule if the
/// statement is false or the store returns an error.
pub(super) struct Rule<'a, S: ?Sized> {
    store: &'a S,
    sentence: &'static str,
}

impl<'a, S: TokenStore + ?Sized> Rule<'a, S> {
    pub(super) const fn new(store: &'a S, sentence: &'static str) -> Self {
        Self { store, sentence }
    }

    /// Checks that the store has this record of the account, in this version.
    pub(super) fn has_record(
        &self,
        account: Account,
        version: u64,
        record: &Record,
    ) -> Result<(), Violation> {
        match self.succeeds(self.store.load(account))? {
            None => Err(self.violated(format!("there is no record, instead of one with version {version}"))),
            Some(stored) if stored.version != version => {
                Err(self.violated(format!("the version is {} instead of {version}", stored.version)))
            }
            Some(stored) => self.holds(stored.record == *record, || "the record is another one".to_owned()),
        }
    }

    /// Checks that the store has no record of the account.
    pub(super) fn has_no_record(&self, account: Account) -> Result<(), Violation> {
        let stored = self.succeeds(self.store.load(account))?;
        self.holds(stored.is_none(), || "there is a record where there should be none".to_owned())
    }

    /// Checks that a swap which expects the current version stores the record. Returns the new version.
    pub(super) fn stores(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<u64, Violation> {
        match self.succeeds(self.store.swap(account, expected, record))? {
            Swapped::Stored(version) => Ok(version),
            Swapped::Conflict => {
                Err(self.violated("a swap that expected the current version conflicted".to_owned()))
            }
        }
    }

    /// Checks that a swap which does not expect the current version conflicts.
    pub(super) fn conflicts(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<(), Violation> {
        match self.succeeds(self.store.swap(account, expected, record))? {
            Swapped::Conflict => Ok(()),
            Swapped::Stored(_) => {
                Err(self.violated("a swap that did not expect the current version wrote".to_owned()))
            }
        }
    }

    /// Checks that a removal which expects the current version removes the record.
    pub(super) fn removes(&self, account: Account, expected: u64) -> Result<(), Violation> {
        let is_removed = self.succeeds(self.store.remove(account, expected))?;
        self.holds(is_removed, || "a removal that expected the current version removed nothing".to_owned())
    }

    /// Checks that a removal which does not expect the current version removes nothing.
    pub(super) fn does_not_remove(&self, account: Account, expected: u64) -> Result<(), Violation> {
        let is_removed = self.succeeds(self.store.remove(account, expected))?;
        self.holds(!is_removed, || "a removal that did not expect the current version succeeded".to_owned())
    }

    /// Checks that a call of the store returned no error. Returns its output.
    pub(super) fn succeeds<T>(&self, result: Result<T, StoreError>) -> Result<T, Violation> {
        result.map_err(|error| self.violated(error.to_string()))
    }

    /// Checks that `holds` is true. If it is not, `found` says what the store did instead.
    pub(super) fn holds(&self, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(self.violated(found())) }
    }

    /// Runs `work` in many threads at once, each with its number. Returns the outputs, or the first violation.
    pub(super) fn in_threads<T: Send>(
        &self,
        threads: u32,
        work: impl Fn(u32) -> Result<T, Violation> + Sync,
    ) -> Result<Vec<T>, Violation> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || work(number))).collect();
            // All threads are joined before any result is looked at. The scope panics if a thread that panicked is not joined.
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            results
                .into_iter()
                .map(|result| result.map_err(|_| self.violated("the store panicked".to_owned()))?)
                .collect()
        })
    }

    pub(super) fn violated(&self, found: String) -> Violation {
        Violation { rule: self.sentence, found }
    }
}
