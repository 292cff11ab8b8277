use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use hs_oauth_core::renewal::Record;
use hs_oauth_core::{Account, StoreError};

use super::handle::Handle;
use crate::{Entry, Swapped};

/// A rule of [`TokenStore`](crate::TokenStore) that a store does not follow, and what the store did instead.
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

/// One rule, checked on one store through two handles. Each method checks a statement about the store. It returns a [`Violation`] of
/// the rule if the statement is false or the store returns an error.
///
/// Writes take the handles in turn. What is read is read through both.
pub(super) struct Rule<'a, H> {
    handles: [&'a H; 2],
    writes: AtomicUsize,
    sentence: &'static str,
}

/// The greatest version that every language reads exactly.
const MAX_VERSION: u64 = 1 << 53;

impl<'a, H: Handle> Rule<'a, H> {
    pub(super) const fn new(handles: [&'a H; 2], sentence: &'static str) -> Self {
        Self { handles, writes: AtomicUsize::new(0), sentence }
    }

    /// Returns the handle whose turn it is.
    pub(super) fn handle(&self) -> &'a H {
        let [first, second] = self.handles;
        if self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { first } else { second }
    }

    /// Checks that the store has this record of the account, in this version.
    pub(super) async fn has_record(
        &self,
        account: Account,
        version: u64,
        record: &Record,
    ) -> Result<(), Violation> {
        for handle in self.handles {
            match self.succeeds(handle.load(account).await)? {
                None => {
                    return Err(
                        self.violated(format!("there is no record, instead of one with version {version}"))
                    );
                }
                Some(stored) if stored.version != version => {
                    return Err(
                        self.violated(format!("the version is {} instead of {version}", stored.version))
                    );
                }
                Some(stored) => {
                    self.holds(same(&stored.record, record), || "the record is another one".to_owned())?;
                }
            }
        }
        Ok(())
    }

    /// Checks that the store has no record of the account.
    pub(super) async fn has_no_record(&self, account: Account) -> Result<(), Violation> {
        for handle in self.handles {
            let stored = self.succeeds(handle.load(account).await)?;
            self.holds(stored.is_none(), || "there is a record where there should be none".to_owned())?;
        }
        Ok(())
    }

    /// Checks that a swap which expects the current version stores the record. Returns the new version.
    pub(super) async fn stores(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<u64, Violation> {
        match self.succeeds(self.handle().swap(account, expected, record).await)? {
            Swapped::Stored(version) => {
                self.holds(version <= MAX_VERSION, || format!("version {version} is greater than 2⁵³"))?;
                Ok(version)
            }
            Swapped::Conflict => {
                Err(self.violated("a swap that expected the current version conflicted".to_owned()))
            }
        }
    }

    /// Checks that a swap which does not expect the current version conflicts.
    pub(super) async fn conflicts(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<(), Violation> {
        match self.succeeds(self.handle().swap(account, expected, record).await)? {
            Swapped::Conflict => Ok(()),
            Swapped::Stored(_) => {
                Err(self.violated("a swap that did not expect the current version wrote".to_owned()))
            }
        }
    }

    /// Checks that a removal which expects the current version removes the record.
    pub(super) async fn removes(&self, account: Account, expected: u64) -> Result<(), Violation> {
        let is_removed = self.succeeds(self.handle().remove(account, expected).await)?;
        self.holds(is_removed, || "a removal that expected the current version removed nothing".to_owned())
    }

    /// Checks that a removal which does not expect the current version removes nothing.
    pub(super) async fn does_not_remove(&self, account: Account, expected: u64) -> Result<(), Violation> {
        let is_removed = self.succeeds(self.handle().remove(account, expected).await)?;
        self.holds(!is_removed, || "a removal that did not expect the current version succeeded".to_owned())
    }

    /// Returns what is in all pages of about `limit` entries.
    pub(super) async fn pages(&self, limit: usize) -> Result<Vec<Entry>, Violation> {
        let mut entries = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = self.succeeds(self.handle().page(cursor.as_ref(), limit).await)?;
            let size = page.entries.len();
            self.holds(size <= 4 * limit.max(1) + 16, || format!("a page of {limit} has {size} entries"))?;
            entries.extend(page.entries);
            match page.next {
                None => return Ok(entries),
                next => cursor = next,
            }
        }
        Err(self.violated("the pages do not end".to_owned()))
    }

    /// Runs `work` in many tasks at once, each with its number and a handle. Returns the outputs, or the first violation.
    pub(super) async fn at_once<T: Send, F: Future<Output = Result<T, Violation>> + Send>(
        &self,
        tasks: u32,
        work: impl Fn(u32, &'a H) -> F,
    ) -> Result<Vec<T>, Violation> {
        let tasks = (0..tasks).map(|number| work(number, self.handle())).collect();
        let outputs = H::at_once(tasks).await.into_iter();
        outputs.map(|output| output.ok_or_else(|| self.violated("the store panicked".to_owned()))?).collect()
    }

    /// Checks that a call of the store returned no error. Returns its output.
    pub(super) fn succeeds<T>(&self, result: Result<T, StoreError>) -> Result<T, Violation> {
        result.map_err(|error| self.violated(error.to_string()))
    }

    /// Checks that `holds` is true. If it is not, `found` says what the store did instead.
    pub(super) fn holds(&self, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(self.violated(found())) }
    }

    pub(super) fn violated(&self, found: String) -> Violation {
        Violation { rule: self.sentence, found }
    }
}

/// Far more than a store needs for what the suite writes.
const MAX_PAGES: usize = 10_000;

/// Returns whether the records are the same in their stored form, too: `-0.0` equals `0.0`, and is written in another way.
pub(super) fn same(left: &Record, right: &Record) -> bool {
    let text = |record| serde_json::to_value(record).map(|json| json.to_string()).ok();
    left == right && text(left) == text(right)
}
