//! What every store must do, as a suite for the tests of any store:
//!
//! ```
//! use hs_oauth_store::{MemoryStore, contract};
//!
//! // Yours, in a test of yours.
//! contract::check(&MemoryStore::new())?;
//! # Ok::<(), contract::Violation>(())
//! ```
//!
//! It cannot show that a write lasts, nor what other processes see: for those, open the store a second time and load, and
//! kill a process that writes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Barrier;

use hs_oauth_core::{
    AccessToken, Account, GrantId, GrantState, Random, Record, Retry, StoreError, Stored, Timestamp,
};

use crate::{Swapped, TokenStore};

/// Which promise of [`TokenStore`] a store broke, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// The promise, as a sentence.
    pub rule: &'static str,
    /// What happened instead.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks the rule \"{}\": {}", self.rule, self.found)
    }
}

impl std::error::Error for Violation {}

/// Runs the whole suite on a store that is empty and in nobody else's use. Its records stay behind in the store.
///
/// # Errors
/// The first rule that the store broke. A [`StoreError`] breaks the rule during which it came.
pub fn check(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    an_empty_store_has_nothing(store)?;
    a_record_is_created_only_where_there_is_none(store)?;
    a_swap_needs_the_present_version(store)?;
    a_removal_needs_the_present_version(store)?;
    no_version_comes_back(store)?;
    accounts_are_independent(store)?;
    every_field_is_kept(store)?;
    one_of_many_creates(store)?;
    no_update_is_lost(store)?;
    the_list_is_of_the_accounts_that_have_a_record(store)
}

const THREADS: u32 = 8;
const UPDATES: u32 = 50;

// HubSpot's numbers are far from these.
const CREATED: Account = Account::hub(9_000_000_000_001);
const SWAPPED: Account = Account::hub(9_000_000_000_002);
const REMOVED: Account = Account::hub(9_000_000_000_003);
const RENEWED: Account = Account::hub(9_000_000_000_004);
const HUB: Account = Account::hub(9_000_000_000_005);
const USER: Account = Account::user(9_000_000_000_005, 7);
const FULL: Account = Account::hub(9_000_000_000_006);
const RACED: Account = Account::hub(9_000_000_000_007);
const COUNTED: Account = Account::hub(9_000_000_000_008);
const LONGEST: Account = Account::user(i64::MAX, i64::MAX);

fn an_empty_store_has_nothing(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("what was never stored loads as none");
    rule.holds(rule.ask(store.load(CREATED))?.is_none(), || "a record".to_owned())?;
    let listed = rule.ask(store.list())?;
    rule.holds(listed.is_empty(), || format!("the list has {} accounts", listed.len()))?;
    rule.holds(!rule.ask(store.remove(CREATED, 1))?, || "nothing was removed with success".to_owned())?;
    rule.conflicts(store.swap(CREATED, Some(1), &numbered(1)))?;
    rule.holds(rule.ask(store.load(CREATED))?.is_none(), || "a swap that conflicted stored".to_owned())?;
    rule.ask(store.check())
}

fn a_record_is_created_only_where_there_is_none(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("a record is created only where there is none");
    let version = rule.stores(store.swap(CREATED, None, &numbered(1)))?;
    rule.has(store, CREATED, version, &numbered(1))?;
    rule.conflicts(store.swap(CREATED, None, &numbered(2)))?;
    rule.has(store, CREATED, version, &numbered(1))
}

fn a_swap_needs_the_present_version(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("a swap needs the present version, and each gives a greater one");
    let mut versions = vec![rule.stores(store.swap(SWAPPED, None, &numbered(1)))?];
    for number in 2..=20 {
        let last = versions.last().copied().unwrap_or_default();
        let version = rule.stores(store.swap(SWAPPED, Some(last), &numbered(number)))?;
        rule.holds(version > last, || format!("version {version} came after {last}"))?;
        rule.has(store, SWAPPED, version, &numbered(number))?;
        for stale in versions.iter().copied().chain([0, version.saturating_add(1), u64::MAX]) {
            rule.conflicts(store.swap(SWAPPED, Some(stale), &numbered(0)))?;
        }
        rule.has(store, SWAPPED, version, &numbered(number))?;
        versions.push(version);
    }
    Ok(())
}

fn a_removal_needs_the_present_version(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("a removal needs the present version");
    let first = rule.stores(store.swap(REMOVED, None, &numbered(1)))?;
    let second = rule.stores(store.swap(REMOVED, Some(first), &numbered(2)))?;
    for stale in [0, first, second.saturating_add(1)] {
        rule.holds(!rule.ask(store.remove(REMOVED, stale))?, || format!("{stale} removed {second}"))?;
        rule.has(store, REMOVED, second, &numbered(2))?;
    }
    rule.holds(rule.ask(store.remove(REMOVED, second))?, || "the record was not removed".to_owned())?;
    rule.holds(rule.ask(store.load(REMOVED))?.is_none(), || "the removed record loads".to_owned())?;
    rule.holds(!rule.ask(store.remove(REMOVED, second))?, || "it was removed twice".to_owned())
}

/// C11 of the renewal's specification: else a late write passes for one that knows the present record.
fn no_version_comes_back(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("no version comes back, not even after a removal");
    let mut highest = 0;
    for round in 0..5 {
        let mut version = rule.stores(store.swap(RENEWED, None, &numbered(round)))?;
        rule.holds(version > highest, || format!("version {version} came after {highest} and a removal"))?;
        rule.conflicts(store.swap(RENEWED, Some(highest), &numbered(0)))?;
        for _ in 0..3 {
            version = rule.stores(store.swap(RENEWED, Some(version), &numbered(round)))?;
        }
        highest = version;
        rule.holds(rule.ask(store.remove(RENEWED, version))?, || "the record was not removed".to_owned())?;
        rule.conflicts(store.swap(RENEWED, Some(version), &numbered(0)))?;
    }
    Ok(())
}

fn accounts_are_independent(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("accounts are independent of each other, an account's and its user's too");
    let hub = rule.stores(store.swap(HUB, None, &numbered(1)))?;
    rule.holds(rule.ask(store.load(USER))?.is_none(), || "the user has the account's record".to_owned())?;
    let user = rule.stores(store.swap(USER, None, &numbered(2)))?;
    let user = rule.stores(store.swap(USER, Some(user), &numbered(3)))?;
    rule.has(store, HUB, hub, &numbered(1))?;
    rule.has(store, USER, user, &numbered(3))?;
    let longest = rule.stores(store.swap(LONGEST, None, &numbered(4)))?;
    rule.has(store, LONGEST, longest, &numbered(4))
}

fn every_field_is_kept(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("every field is kept as it is, unknown ones and long tokens too");
    let mut record = full().map_err(|error| rule.broken(error.to_string()))?;
    let mut version = rule.stores(store.swap(FULL, None, &record))?;
    rule.has(store, FULL, version, &record)?;
    for length in [512, 4096, hs_oauth_core::MAX_SECRET_SIZE] {
        let long = AccessToken::new("a".repeat(length)).map_err(|error| rule.broken(error.to_string()))?;
        if let Some(tokens) = &mut record.tokens {
            tokens.access_token = long;
        }
        version = rule.stores(store.swap(FULL, Some(version), &record))?;
        rule.has(store, FULL, version, &record)?;
    }
    let tombstone = Record::tombstone(record.grant, record.revoke.clone());
    version = rule.stores(store.swap(FULL, Some(version), &tombstone))?;
    rule.has(store, FULL, version, &tombstone)
}

fn one_of_many_creates(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("of many that create a record at once, one does");
    let barrier = Barrier::new(THREADS as usize);
    let swapped = in_threads(rule, |number| {
        barrier.wait();
        rule.ask(store.swap(RACED, None, &numbered(number)))
    })?;
    let stored = swapped.iter().filter(|swapped| matches!(swapped, Swapped::Stored(_))).count();
    rule.holds(stored == 1, || format!("{stored} did"))
}

fn no_update_is_lost(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule("no update is lost, however many write at once");
    rule.stores(store.swap(COUNTED, None, &numbered(0)))?;
    let versions =
        in_threads(rule, |_| (0..UPDATES).map(|_| count_up(rule, store)).collect::<Result<Vec<_>, _>>())?;
    let versions: Vec<u64> = versions.into_iter().flatten().collect();
    let counted = rule.ask(store.load(COUNTED))?.map_or(0, |stored| failures(&stored.record));
    rule.holds(counted == THREADS * UPDATES, || {
        format!("of {} updates {counted} are left", THREADS * UPDATES)
    })?;
    let different: BTreeSet<u64> = versions.iter().copied().collect();
    rule.holds(different.len() == versions.len(), || "a version was given out twice".to_owned())
}

/// Loads and swaps until a swap takes; its version.
fn count_up(rule: Rule, store: &(impl TokenStore + ?Sized)) -> Result<u64, Violation> {
    for _ in 0..100_000 {
        let Some(Stored { version, record }) = rule.ask(store.load(COUNTED))? else {
            return Err(rule.broken("the record is gone".to_owned()));
        };
        let next = numbered(failures(&record) + 1);
        if let Swapped::Stored(version) = rule.ask(store.swap(COUNTED, Some(version), &next))? {
            return Ok(version);
        }
    }
    Err(rule.broken("every swap conflicts".to_owned()))
}

fn the_list_is_of_the_accounts_that_have_a_record(
    store: &(impl TokenStore + ?Sized),
) -> Result<(), Violation> {
    let rule = Rule("the list has every account with a record, tombstones too, in order and no other");
    let listed = rule.ask(store.list())?;
    let expected = [CREATED, SWAPPED, HUB, USER, FULL, RACED, COUNTED, LONGEST];
    rule.holds(listed == expected, || format!("{} instead of {}", names(&listed), names(&expected)))
}

#[derive(Clone, Copy)]
struct Rule(&'static str);

impl Rule {
    fn broken(self, found: String) -> Violation {
        Violation { rule: self.0, found }
    }

    fn holds(self, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(self.broken(found())) }
    }

    fn ask<T>(self, answer: Result<T, StoreError>) -> Result<T, Violation> {
        answer.map_err(|error| self.broken(error.to_string()))
    }

    fn stores(self, answer: Result<Swapped, StoreError>) -> Result<u64, Violation> {
        match self.ask(answer)? {
            Swapped::Stored(version) => Ok(version),
            Swapped::Conflict => {
                Err(self.broken("a swap that knows the present version conflicts".to_owned()))
            }
        }
    }

    fn conflicts(self, answer: Result<Swapped, StoreError>) -> Result<(), Violation> {
        match self.ask(answer)? {
            Swapped::Stored(_) => {
                Err(self.broken("a swap that does not know the present version wrote".to_owned()))
            }
            Swapped::Conflict => Ok(()),
        }
    }

    fn has(
        self,
        store: &(impl TokenStore + ?Sized),
        account: Account,
        version: u64,
        record: &Record,
    ) -> Result<(), Violation> {
        match self.ask(store.load(account))? {
            None => Err(self.broken(format!("no record where version {version} should be"))),
            Some(stored) if stored.version != version => {
                Err(self.broken(format!("version {} where {version} should be", stored.version)))
            }
            Some(stored) => self.holds(stored.record == *record, || "the record is another".to_owned()),
        }
    }
}

fn in_threads<T: Send>(
    rule: Rule,
    work: impl Fn(u32) -> Result<T, Violation> + Sync,
) -> Result<Vec<T>, Violation> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || work(number))).collect();
        // All of them, before any of it is looked at: a scope passes on the panic of a thread that nobody joined.
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        results
            .into_iter()
            .map(|result| result.map_err(|_| rule.broken("the store panicked".to_owned()))?)
            .collect()
    })
}

fn failures(record: &Record) -> u32 {
    record.retry.as_ref().map_or(0, |retry| retry.failures)
}

/// A record with a number in it.
fn numbered(number: u32) -> Record {
    let mut record = Record::without_tokens(GrantId::generate(&mut Random::new([7; 32])), GrantState::Live);
    record.retry = Some(Retry::new(Timestamp::from_secs(1_790_000_000), number));
    record
}

/// A record in which every field is set, with fields of a later version wherever one may stand.
pub(crate) fn full() -> Result<Record, serde_json::Error> {
    serde_json::from_str(FULL_RECORD)
}

fn names(accounts: &[Account]) -> String {
    accounts.iter().map(Account::to_string).collect::<Vec<_>>().join(", ")
}

const FULL_RECORD: &str = r#"{
    "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "gone",
    "tokens": {
        "access_token": "CK-access-\"\\'<>&", "refresh_token": "na1-refresh of a kind", "token_type": "bearer",
        "expires_in": 1800, "expires_at": 1790000000001, "token_use": "access_token", "hub_id": 62515,
        "user_id": 9007199254740993, "scopes": ["crm.objects.contacts.read", "oauth"], "id_token": "a.b.c",
        "audience": ["ä€😀", {"deep": [1.5, -1, 18446744073709551615, true, null]}]
    },
    "revoke": "na1-revoke",
    "lease": {"holder": "fedcba9876543210fedcba9876543210", "until": 1790000060000, "why": null},
    "retry": {"at": 1790000001000, "failures": 4000000000, "class": "daily"},
    "unsettled": true, "region": "na1", "": {"z": 1, "a": 2}
}"#;

#[cfg(test)]
mod tests;
