//! The rules that every store must follow, as a test suite for any store.
//!
//! ```
//! use hs_oauth_store::{MemoryStore, contract};
//!
//! // In a test of your own, with your own store.
//! contract::check(&MemoryStore::new())?;
//! # Ok::<(), contract::Violation>(())
//! ```
//!
//! The suite cannot show that a write is durable, nor what other processes see. To test that, open the store a second time and
//! load the records, and kill a process while it writes.

mod records;
mod rule;

use std::collections::BTreeSet;
use std::sync::Barrier;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{AccessToken, Account};

use crate::{Swapped, TokenStore};
use records::{failures, record};
use rule::Rule;

pub(crate) use records::full_record;
pub use rule::Violation;

/// Checks every rule on a store that is empty and that nobody else uses. The records that it writes stay in the store.
///
/// # Errors
/// The first [`Violation`]. A store that returns a [`StoreError`](crate::StoreError) violates the rule that was being checked.
pub fn check(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    an_account_that_was_never_stored_has_no_record(store)?;
    a_record_is_created_only_where_there_is_none(store)?;
    a_swap_needs_the_current_version(store)?;
    a_removal_needs_the_current_version(store)?;
    no_version_is_used_twice(store)?;
    accounts_are_independent(store)?;
    every_field_is_stored(store)?;
    one_of_many_threads_creates_a_record(store)?;
    no_update_is_lost(store)?;
    the_list_has_the_accounts_with_a_record(store)
}

// The accounts that the suite writes to. HubSpot's IDs are far from these.
const CREATED: Account = Account::hub(9_000_000_000_001);
const SWAPPED: Account = Account::hub(9_000_000_000_002);
const REMOVED: Account = Account::hub(9_000_000_000_003);
const CREATED_AGAIN: Account = Account::hub(9_000_000_000_004);
const HUB: Account = Account::hub(9_000_000_000_005);
const USER_OF_HUB: Account = Account::user(9_000_000_000_005, 7);
const FULL: Account = Account::hub(9_000_000_000_006);
const RACED: Account = Account::hub(9_000_000_000_007);
const COUNTED: Account = Account::hub(9_000_000_000_008);
const GREATEST: Account = Account::user(i64::MAX, i64::MAX);

/// The accounts that still have a record after all other rules were checked, in ascending order.
const LISTED: [Account; 8] = [CREATED, SWAPPED, HUB, USER_OF_HUB, FULL, RACED, COUNTED, GREATEST];

const THREADS: u32 = 8;
const UPDATES_PER_THREAD: u32 = 50;

fn an_account_that_was_never_stored_has_no_record(
    store: &(impl TokenStore + ?Sized),
) -> Result<(), Violation> {
    let rule = Rule::new(store, "an account that was never stored has no record, and the store works");
    rule.has_no_record(CREATED)?;
    let listed = rule.succeeds(store.list())?;
    rule.holds(listed.is_empty(), || format!("the list has {} accounts", listed.len()))?;
    rule.does_not_remove(CREATED, 1)?;
    rule.conflicts(CREATED, Some(1), &record(1))?;
    rule.has_no_record(CREATED)?;
    rule.succeeds(store.check())
}

fn a_record_is_created_only_where_there_is_none(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "a record is created only where there is none");
    let version = rule.stores(CREATED, None, &record(1))?;
    rule.has_record(CREATED, version, &record(1))?;
    rule.conflicts(CREATED, None, &record(2))?;
    rule.has_record(CREATED, version, &record(1))
}

fn a_swap_needs_the_current_version(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "a swap needs the current version, and each swap gives a greater one");
    let mut version = rule.stores(SWAPPED, None, &record(1))?;
    let mut old_versions = vec![0];
    for number in 2..=20 {
        let next = rule.stores(SWAPPED, Some(version), &record(number))?;
        rule.holds(next > version, || format!("version {next} came after {version}"))?;
        rule.has_record(SWAPPED, next, &record(number))?;
        old_versions.push(version);
        version = next;
        for wrong in old_versions.iter().copied().chain([version.saturating_add(1), u64::MAX]) {
            rule.conflicts(SWAPPED, Some(wrong), &record(0))?;
        }
        rule.has_record(SWAPPED, version, &record(number))?;
    }
    Ok(())
}

fn a_removal_needs_the_current_version(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "a removal needs the current version");
    let first = rule.stores(REMOVED, None, &record(1))?;
    let second = rule.stores(REMOVED, Some(first), &record(2))?;
    for wrong in [0, first, second.saturating_add(1)] {
        rule.does_not_remove(REMOVED, wrong)?;
        rule.has_record(REMOVED, second, &record(2))?;
    }
    rule.removes(REMOVED, second)?;
    rule.has_no_record(REMOVED)?;
    rule.does_not_remove(REMOVED, second)
}

/// RENEWAL.md C11. If a version came back, a late write could pass for one that knows the current record.
fn no_version_is_used_twice(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "no version is used twice, not even after a removal");
    let mut last = 0;
    for number in 0..5 {
        let mut version = rule.stores(CREATED_AGAIN, None, &record(number))?;
        rule.holds(version > last, || format!("version {version} came after {last} and a removal"))?;
        rule.conflicts(CREATED_AGAIN, Some(last), &record(0))?;
        for _ in 0..3 {
            version = rule.stores(CREATED_AGAIN, Some(version), &record(number))?;
        }
        last = version;
        rule.removes(CREATED_AGAIN, version)?;
        rule.conflicts(CREATED_AGAIN, Some(version), &record(0))?;
    }
    Ok(())
}

fn accounts_are_independent(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule =
        Rule::new(store, "accounts are independent of each other, and so are an account and its users");
    let hub = rule.stores(HUB, None, &record(1))?;
    rule.has_no_record(USER_OF_HUB)?;
    let user = rule.stores(USER_OF_HUB, None, &record(2))?;
    let user = rule.stores(USER_OF_HUB, Some(user), &record(3))?;
    rule.has_record(HUB, hub, &record(1))?;
    rule.has_record(USER_OF_HUB, user, &record(3))?;
    let greatest = rule.stores(GREATEST, None, &record(4))?;
    rule.has_record(GREATEST, greatest, &record(4))
}

fn every_field_is_stored(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "every field is stored as it is, and so are unknown fields and long tokens");
    let mut record = full_record().map_err(|error| rule.violated(error.to_string()))?;
    let mut version = rule.stores(FULL, None, &record)?;
    rule.has_record(FULL, version, &record)?;
    for length in [512, 4096, hs_oauth_core::MAX_SECRET_SIZE] {
        let token = AccessToken::new("a".repeat(length)).map_err(|error| rule.violated(error.to_string()))?;
        if let Some(tokens) = &mut record.tokens {
            tokens.access_token = token;
        }
        version = rule.stores(FULL, Some(version), &record)?;
        rule.has_record(FULL, version, &record)?;
    }
    let tombstone = Record::tombstone(record.grant, record.revoke.clone());
    version = rule.stores(FULL, Some(version), &tombstone)?;
    rule.has_record(FULL, version, &tombstone)
}

fn one_of_many_threads_creates_a_record(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "of many threads that create a record at once, exactly one succeeds");
    let barrier = Barrier::new(THREADS as usize);
    let outcomes = rule.in_threads(THREADS, |number| {
        barrier.wait();
        rule.succeeds(store.swap(RACED, None, &record(number)))
    })?;
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Swapped::Stored(_))).count();
    rule.holds(stored == 1, || format!("{stored} succeeded"))
}

fn no_update_is_lost(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "no update is lost when many threads write at once");
    rule.stores(COUNTED, None, &record(0))?;
    let versions = rule.in_threads(THREADS, |_| {
        (0..UPDATES_PER_THREAD).map(|_| count_up(&rule, store)).collect::<Result<Vec<u64>, _>>()
    })?;
    let versions = versions.concat();
    let expected = THREADS * UPDATES_PER_THREAD;
    let counted = rule.succeeds(store.load(COUNTED))?.map_or(0, |stored| failures(&stored.record));
    rule.holds(counted == expected, || format!("{counted} of {expected} updates are left"))?;
    let distinct: BTreeSet<u64> = versions.iter().copied().collect();
    rule.holds(distinct.len() == versions.len(), || "a version was given out twice".to_owned())
}

/// Adds one to the number in the record, trying again after each conflict. Returns the version of the write.
fn count_up<S: TokenStore + ?Sized>(rule: &Rule<'_, S>, store: &S) -> Result<u64, Violation> {
    for _ in 0..100_000 {
        let Some(Stored { version, record: current }) = rule.succeeds(store.load(COUNTED))? else {
            return Err(rule.violated("the record is gone".to_owned()));
        };
        let next = record(failures(&current) + 1);
        if let Swapped::Stored(version) = rule.succeeds(store.swap(COUNTED, Some(version), &next))? {
            return Ok(version);
        }
    }
    Err(rule.violated("every swap conflicts".to_owned()))
}

fn the_list_has_the_accounts_with_a_record(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    let rule = Rule::new(store, "the list has every account with a record and no other, in ascending order");
    let listed = rule.succeeds(store.list())?;
    rule.holds(listed == LISTED, || format!("{} instead of {}", names(&listed), names(&LISTED)))
}

fn names(accounts: &[Account]) -> String {
    accounts.iter().map(Account::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
