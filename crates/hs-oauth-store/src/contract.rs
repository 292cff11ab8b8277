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
//! A store that processes share should be checked through two handles, each with connections of its own: [`check_shared`] and
//! `check_async_shared`. The suite cannot show that a write is durable. To test that, kill a process, and the store's server, while it
//! writes.

mod handle;
mod records;
mod rule;

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::Poll;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{AccessToken, Account, StoreErrorKind};

use crate::{Swapped, TokenStore};
use handle::{Handle, poll_once};
use records::{failures, record};
use rule::{Rule, same};

pub(crate) use records::full_record;
pub use rule::Violation;

/// Checks every rule on a store that is empty and that nobody else uses. The records that it writes stay in the store.
///
/// # Errors
/// The first [`Violation`]. A store that returns a [`StoreError`](crate::StoreError) violates the rule that was being checked.
pub fn check(store: &(impl TokenStore + ?Sized)) -> Result<(), Violation> {
    check_shared(store, store)
}

/// Checks every rule through two handles on the same store: what is written through one is there for the other at once.
///
/// # Errors
/// Those of [`check`].
pub fn check_shared<S: TokenStore + ?Sized>(first: &S, second: &S) -> Result<(), Violation> {
    let handles = [&handle::SyncStore(first), &handle::SyncStore(second)];
    // The future never waits, since the calls of a sync store are done when they return.
    poll_once(check_all(handles)).unwrap_or(Ok(()))
}

/// Checks every rule on an async store that is empty and that nobody else uses, and that a call which is dropped before it is done
/// does no harm.
///
/// # Errors
/// Those of [`check`].
#[cfg(feature = "async")]
pub async fn check_async(store: &(impl crate::AsyncTokenStore + ?Sized)) -> Result<(), Violation> {
    check_async_shared(store, store).await
}

/// Checks every rule through two handles on the same async store, as [`check_shared`] does.
///
/// # Errors
/// Those of [`check`].
#[cfg(feature = "async")]
pub async fn check_async_shared<S: crate::AsyncTokenStore + ?Sized>(
    first: &S,
    second: &S,
) -> Result<(), Violation> {
    check_all([&handle::AsyncStore(first), &handle::AsyncStore(second)]).await
}

async fn check_all<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    an_account_that_was_never_stored_has_no_record(handles).await?;
    a_record_is_created_only_where_there_is_none(handles).await?;
    a_swap_needs_the_current_version(handles).await?;
    a_removal_needs_the_current_version(handles).await?;
    no_version_is_used_twice(handles).await?;
    accounts_are_independent(handles).await?;
    nothing_is_stored_for_an_id_that_is_not_positive(handles).await?;
    every_field_is_stored(handles).await?;
    one_of_many_tasks_creates_a_record(handles).await?;
    no_update_is_lost(handles).await?;
    a_call_that_is_dropped_writes_all_or_nothing(handles).await?;
    the_pages_have_the_accounts_with_a_record(handles).await
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

const DROPPED: Account = Account::hub(9_000_000_000_009);
/// The first of the accounts that fill some pages.
const FIRST_OF_MANY: i64 = 9_000_000_001_000;
const MANY: i64 = 100;

/// The accounts that still have a record after all other rules were checked, in ascending order.
const LISTED: [Account; 9] = [CREATED, SWAPPED, HUB, USER_OF_HUB, FULL, RACED, COUNTED, DROPPED, GREATEST];

const TASKS: u32 = 8;
const UPDATES_PER_TASK: u32 = 50;

async fn an_account_that_was_never_stored_has_no_record<H: Handle>(
    handles: [&H; 2],
) -> Result<(), Violation> {
    let rule = Rule::new(handles, "an account that was never stored has no record, and the store works");
    rule.has_no_record(CREATED).await?;
    let entries = rule.pages(10).await?;
    rule.holds(entries.is_empty(), || format!("the pages have {} accounts", entries.len()))?;
    rule.does_not_remove(CREATED, 1).await?;
    rule.conflicts(CREATED, Some(1), &record(1)).await?;
    rule.has_no_record(CREATED).await?;
    for handle in handles {
        rule.succeeds(handle.check().await)?;
    }
    Ok(())
}

async fn a_record_is_created_only_where_there_is_none<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "a record is created only where there is none");
    let version = rule.stores(CREATED, None, &record(1)).await?;
    rule.has_record(CREATED, version, &record(1)).await?;
    rule.conflicts(CREATED, None, &record(2)).await?;
    rule.has_record(CREATED, version, &record(1)).await
}

async fn a_swap_needs_the_current_version<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "a swap needs the current version, and each swap gives a greater one");
    let mut version = rule.stores(SWAPPED, None, &record(1)).await?;
    let mut old_versions = vec![0];
    for number in 2..=20 {
        let next = rule.stores(SWAPPED, Some(version), &record(number)).await?;
        rule.holds(next > version, || format!("version {next} came after {version}"))?;
        rule.has_record(SWAPPED, next, &record(number)).await?;
        old_versions.push(version);
        version = next;
        for wrong in old_versions.iter().copied().chain([version.saturating_add(1), u64::MAX]) {
            rule.conflicts(SWAPPED, Some(wrong), &record(0)).await?;
        }
        rule.has_record(SWAPPED, version, &record(number)).await?;
    }
    Ok(())
}

async fn a_removal_needs_the_current_version<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "a removal needs the current version");
    let first = rule.stores(REMOVED, None, &record(1)).await?;
    let second = rule.stores(REMOVED, Some(first), &record(2)).await?;
    for wrong in [0, first, second.saturating_add(1)] {
        rule.does_not_remove(REMOVED, wrong).await?;
        rule.has_record(REMOVED, second, &record(2)).await?;
    }
    rule.removes(REMOVED, second).await?;
    rule.has_no_record(REMOVED).await?;
    rule.does_not_remove(REMOVED, second).await
}

/// RENEWAL.md C11. If a version came back, a late write could pass for one that knows the current record.
async fn no_version_is_used_twice<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "no version is used twice, not even after a removal");
    let mut last = 0;
    for number in 0..5 {
        let mut version = rule.stores(CREATED_AGAIN, None, &record(number)).await?;
        rule.holds(version > last, || format!("version {version} came after {last} and a removal"))?;
        rule.conflicts(CREATED_AGAIN, Some(last), &record(0)).await?;
        for _ in 0..3 {
            version = rule.stores(CREATED_AGAIN, Some(version), &record(number)).await?;
        }
        last = version;
        rule.removes(CREATED_AGAIN, version).await?;
        rule.conflicts(CREATED_AGAIN, Some(version), &record(0)).await?;
    }
    Ok(())
}

async fn accounts_are_independent<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule =
        Rule::new(handles, "accounts are independent of each other, and so are an account and its users");
    let hub = rule.stores(HUB, None, &record(1)).await?;
    rule.has_no_record(USER_OF_HUB).await?;
    let user = rule.stores(USER_OF_HUB, None, &record(2)).await?;
    let user = rule.stores(USER_OF_HUB, Some(user), &record(3)).await?;
    rule.has_record(HUB, hub, &record(1)).await?;
    rule.has_record(USER_OF_HUB, user, &record(3)).await?;
    let greatest = rule.stores(GREATEST, None, &record(4)).await?;
    rule.has_record(GREATEST, greatest, &record(4)).await
}

async fn every_field_is_stored<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule =
        Rule::new(handles, "every field is stored as it is, and so are unknown fields and long tokens");
    let mut record = full_record().map_err(|error| rule.violated(error.to_string()))?;
    let mut version = rule.stores(FULL, None, &record).await?;
    rule.has_record(FULL, version, &record).await?;
    for length in [512, 4096, hs_oauth_core::MAX_SECRET_SIZE] {
        let token = AccessToken::new("a".repeat(length)).map_err(|error| rule.violated(error.to_string()))?;
        if let Some(tokens) = &mut record.tokens {
            tokens.access_token = token;
        }
        version = rule.stores(FULL, Some(version), &record).await?;
        rule.has_record(FULL, version, &record).await?;
    }
    let tombstone = Record::tombstone(record.grant, record.revoke.clone());
    version = rule.stores(FULL, Some(version), &tombstone).await?;
    rule.has_record(FULL, version, &tombstone).await
}

async fn one_of_many_tasks_creates_a_record<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "of many tasks that create a record at once, exactly one succeeds");
    let create = async |number, handle: &H| rule.succeeds(handle.swap(RACED, None, &record(number)).await);
    let outcomes = rule.at_once(TASKS, create).await?;
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Swapped::Stored(_))).count();
    rule.holds(stored == 1, || format!("{stored} succeeded"))
}

async fn no_update_is_lost<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "no update is lost when many tasks write at once");
    rule.stores(COUNTED, None, &record(0)).await?;
    let versions = rule.at_once(TASKS, |_, handle| count_up(&rule, handle)).await?.concat();
    let expected = TASKS * UPDATES_PER_TASK;
    let counted =
        rule.succeeds(rule.handle().load(COUNTED).await)?.map_or(0, |stored| failures(&stored.record));
    rule.holds(counted == expected, || format!("{counted} of {expected} updates are left"))?;
    let distinct: BTreeSet<u64> = versions.iter().copied().collect();
    rule.holds(distinct.len() == versions.len(), || "a version was given out twice".to_owned())
}

/// Adds one to the number in the record again and again, trying anew after each conflict. Returns the versions of the writes.
async fn count_up<H: Handle>(rule: &Rule<'_, H>, handle: &H) -> Result<Vec<u64>, Violation> {
    let mut versions = Vec::new();
    for _ in 0..100_000 {
        let Some(Stored { version, record: current }) = rule.succeeds(handle.load(COUNTED).await)? else {
            return Err(rule.violated("the record is gone".to_owned()));
        };
        let next = record(failures(&current) + 1);
        if let Swapped::Stored(version) = rule.succeeds(handle.swap(COUNTED, Some(version), &next).await)? {
            versions.push(version);
        }
        if versions.len() == UPDATES_PER_TASK as usize {
            return Ok(versions);
        }
    }
    Err(rule.violated("every swap conflicts".to_owned()))
}

/// RENEWAL.md C10. A caller that gives up must not leave half a write, nor a store that is of no use to the next caller.
async fn a_call_that_is_dropped_writes_all_or_nothing<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "a call that is dropped before it is done writes all or nothing");
    let mut version = rule.stores(DROPPED, None, &record(0)).await?;
    let mut last = record(0);
    for polls in 0..12 {
        let dropped = record(2 * polls + 1);
        poll_and_drop(rule.handle().swap(DROPPED, Some(version), &dropped), polls).await;
        poll_and_drop(rule.handle().load(DROPPED), polls).await;
        last = write_after(&rule, [&last, &dropped], record(2 * polls + 2)).await?;
        let stored = rule.succeeds(rule.handle().load(DROPPED).await)?;
        version = stored.map_or(0, |stored| stored.version);
        rule.has_record(DROPPED, version, &last).await?;
    }
    Ok(())
}

/// Writes `record` over one of the two records, whichever is stored. The dropped write may still take effect in between, once.
async fn write_after<H: Handle>(
    rule: &Rule<'_, H>,
    possible: [&Record; 2],
    next: Record,
) -> Result<Record, Violation> {
    for _ in 0..3 {
        let Some(stored) = rule.succeeds(rule.handle().load(DROPPED).await)? else {
            return Err(rule.violated("the record is gone".to_owned()));
        };
        let is_possible = possible.iter().any(|record| same(record, &stored.record));
        rule.holds(is_possible, || "the record is neither the old one nor the new one".to_owned())?;
        let swapped = rule.handle().swap(DROPPED, Some(stored.version), &next).await;
        if let Swapped::Stored(_) = rule.succeeds(swapped)? {
            return Ok(next);
        }
    }
    Err(rule.violated("the next write conflicts again and again".to_owned()))
}

/// Polls the future this often, and then drops it.
async fn poll_and_drop(future: impl Future, polls: u32) {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        let Some(after) = left.checked_sub(1) else { return Poll::Ready(()) };
        left = after;
        let is_done = future.as_mut().poll(context).is_ready() || left == 0;
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn the_pages_have_the_accounts_with_a_record<H: Handle>(handles: [&H; 2]) -> Result<(), Violation> {
    let rule = Rule::new(handles, "the pages have every account with a record and no other");
    let mut expected: BTreeSet<Account> = LISTED.into();
    for hub_id in FIRST_OF_MANY..FIRST_OF_MANY + MANY {
        rule.stores(Account::hub(hub_id), None, &record(1)).await?;
        expected.insert(Account::hub(hub_id));
    }
    for limit in [0, 1, 7, 10, 1000] {
        let entries = rule.pages(limit).await?;
        let found: BTreeSet<Account> = entries.iter().map(|entry| entry.account).collect();
        let missing = || names(&expected.difference(&found).copied().collect::<Vec<_>>());
        let surplus = || names(&found.difference(&expected).copied().collect::<Vec<_>>());
        rule.holds(found == expected, || format!("missing: {}; too many: {}", missing(), surplus()))?;
        for entry in entries {
            let stored = rule.succeeds(entry.stored)?;
            rule.has_record(entry.account, stored.version, &stored.record).await?;
        }
    }
    Ok(())
}

/// A store that keeps 0 for a missing user would give a user's tokens to the whole hub.
async fn nothing_is_stored_for_an_id_that_is_not_positive<H: Handle>(
    handles: [&H; 2],
) -> Result<(), Violation> {
    let rule = Rule::new(handles, "nothing is stored for an ID that is not positive");
    let hub_id = HUB.hub_id;
    for account in
        [Account::user(hub_id, 0), Account::user(hub_id, -1), Account::hub(0), Account::hub(-hub_id)]
    {
        match rule.handle().swap(account, None, &record(9)).await {
            Err(error) if error.kind() == StoreErrorKind::Refused => {}
            Err(error) => return Err(rule.violated(format!("the error for {account} is: {error}"))),
            Ok(_) => return Err(rule.violated(format!("a write for {account} was not refused"))),
        }
        rule.has_no_record(account).await?;
    }
    let stored = rule.succeeds(rule.handle().load(HUB).await)?;
    let is_same = stored.is_some_and(|stored| same(&stored.record, &record(1)));
    rule.holds(is_same, || format!("{HUB} has another record"))
}

fn names(accounts: &[Account]) -> String {
    accounts.iter().map(Account::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
