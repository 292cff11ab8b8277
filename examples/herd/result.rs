//! The result of a run, and whether it is as promised.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hs_oauth_async::Timing;
use hs_oauth_emulator::Rotation;
use serde::Serialize;

use crate::audit::Audit;
use crate::fleet::Fleet;
use crate::journal::{Issued, JournalReader};
use crate::linearizability::{Checked, Violation};
use crate::options::Options;

/// The result of a run.
pub(crate) struct RunResult<'a> {
    pub(crate) options: &'a Options,
    pub(crate) timing: Timing,
    pub(crate) fleet: &'a Fleet,
    pub(crate) journal: &'a JournalReader,
    pub(crate) audit: &'a Audit,
    /// What came of the check of the store's history, if one was asked for.
    pub(crate) history: Option<Result<Checked, Violation>>,
}

#[derive(Serialize)]
struct ResultLine {
    seconds: u32,
    accounts: u32,
    token_lifetime: u32,
    bearers: u64,
    renewals: usize,
    duplicate_renewals: usize,
    rejected_bearers: u64,
    lost_accounts: usize,
    corrupt_files: usize,
    kills: usize,
    longest_wait_ms: u128,
    late_bearers: u64,
    failed_bearers: u64,
    overdue_calls: u64,
    lost_responses: usize,
    store_calls: u64,
    store_failures: u64,
    longest_store_ms: u128,
    checked_calls: usize,
}

/// What a run comes to, in three numbers.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) rejected_bearers: u64,
    pub(crate) lost_accounts: usize,
    pub(crate) duplicate_renewals: usize,
    /// Whether the numbers are as promised: 0, or explained by a process that was killed.
    pub(crate) is_as_promised: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rejected_bearers, lost_accounts, duplicate_renewals, .. } = self;
        let duplicates = if *duplicate_renewals == 1 { "duplicate" } else { "duplicates" };
        write!(f, "{rejected_bearers} rejected · {lost_accounts} lost · {duplicate_renewals} {duplicates}")
    }
}

impl RunResult<'_> {
    /// Returns the three numbers that count.
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict {
            rejected_bearers: self.journal.rejected_bearers(),
            lost_accounts: self.lost_accounts().len(),
            duplicate_renewals: self.journal.duplicates().len(),
            is_as_promised: self.violations().is_empty(),
        }
    }

    /// Returns the result as one line of JSON.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let totals = self.fleet.totals();
        serde_json::to_string(&ResultLine {
            seconds: self.options.seconds,
            accounts: self.options.accounts,
            token_lifetime: self.options.token_lifetime,
            bearers: totals.bearers.got,
            renewals: self.journal.renewal_times().len(),
            duplicate_renewals: self.journal.duplicates().len(),
            rejected_bearers: self.journal.rejected_bearers(),
            lost_accounts: self.lost_accounts().len(),
            corrupt_files: self.audit.corrupt_files,
            kills: self.fleet.kills().len(),
            longest_wait_ms: totals.bearers.longest_wait.as_millis(),
            late_bearers: totals.bearers.late,
            failed_bearers: totals.bearers.failed,
            overdue_calls: self.journal.overdue_calls(),
            lost_responses: self.fleet.lost_responses().len(),
            store_calls: totals.store_calls,
            store_failures: totals.store_failures,
            longest_store_ms: totals.longest_store_call.as_millis(),
            checked_calls: match &self.history {
                Some(Ok(checked)) => checked.operations,
                Some(Err(_)) | None => 0,
            },
        })
    }

    /// Returns everything that is not as promised, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut violations = self.fleet.process_failures().to_vec();
        if let Some(Err(violation)) = &self.history {
            violations.push(violation.to_string());
        }
        let mut check = |is_as_promised: bool, violation: String| {
            if !is_as_promised {
                violations.push(violation);
            }
        };
        let missed = self.journal.missed();
        check(missed == 0, format!("the journal was not read often enough: {missed} requests missed"));
        let store_may_lose = self.options.store_may_lose;
        for duplicate in self.journal.duplicates() {
            let (earlier, later) = (duplicate.earlier, duplicate.later);
            check(
                store_may_lose
                    || self.was_killed_before_save(earlier)
                    || self.response_was_lost(duplicate.hub_id, earlier)
                    || self.could_not_save(earlier, Duration::ZERO),
                format!(
                    "account {} was renewed by {} and {:?} later by {}, and no killed process, no lost response and no outage of the store explain that",
                    duplicate.hub_id,
                    earlier,
                    later.at.since(earlier.at),
                    later
                ),
            );
        }
        // When the response comes, the lease may have run for as long as a request may take.
        let min_outage = self.timing.lease.saturating_sub(self.timing.request);
        let may_lose = self.options.rotation != Rotation::Keep;
        for hub_id in self.lost_accounts() {
            let is_explained_by = |tokens| {
                self.was_killed_before_save(tokens)
                    || self.response_was_lost(hub_id, tokens)
                    || self.could_not_save(tokens, min_outage)
            };
            let is_explained =
                may_lose && (store_may_lose || self.journal.lost_tokens(hub_id).is_some_and(is_explained_by));
            check(
                is_explained,
                format!(
                    "account {hub_id} is lost, and no killed process, no lost response and no outage longer than the rest of a lease explain that"
                ),
            );
        }
        // With `strict`, the access tokens of a lost account end with its grant.
        let may_reject = self.options.rotation == Rotation::Strict && !self.lost_accounts().is_empty();
        let rejected = self.journal.rejected_bearers();
        check(rejected == 0 || may_reject, format!("{rejected} bearers were rejected"));
        check(
            self.audit.corrupt_files == 0,
            format!("{} files or records are damaged", self.audit.corrupt_files),
        );
        // Every account that is not lost is renewed once in the life of each of its tokens. Four fifths of that leave room for the
        // beginning and the end of the run.
        let lifetimes = self.options.seconds / self.options.token_lifetime;
        let accounts = usize::try_from(self.options.accounts).unwrap_or(usize::MAX);
        let good = accounts.saturating_sub(self.lost_accounts().len());
        let min_renewals = good * usize::try_from(lifetimes).unwrap_or(usize::MAX) * 4 / 5;
        let renewals = self.journal.renewal_times().len();
        check(
            renewals >= min_renewals,
            format!("only {renewals} renewals, at least {min_renewals} were expected"),
        );
        violations
    }

    /// Returns the accounts that the journal or the check at the end shows to be lost.
    fn lost_accounts(&self) -> BTreeSet<i64> {
        self.audit.lost_accounts.iter().copied().chain(self.journal.refused_accounts()).collect()
    }

    /// Returns whether the store was of no use to the process that got these tokens, when it had to save them, for at least so long.
    fn could_not_save(&self, issued: Issued, min: Duration) -> bool {
        let Timing { request, lease, .. } = self.timing;
        issued.process.is_some_and(|number| {
            self.fleet.outages_of(number).any(|outage| {
                outage.until.plus(request) >= issued.at
                    && outage.from <= issued.at.plus(lease)
                    && outage.until.since(outage.from) >= min
            })
        })
    }

    /// Returns whether the process to which these tokens of the account were issued gave up before it had them. On a machine that is too busy, a
    /// response can come too late.
    fn response_was_lost(&self, hub_id: i64, issued: Issued) -> bool {
        self.fleet.lost_responses().iter().any(|(number, lost)| {
            Some(*number) == issued.process
                && lost.hub_id == hub_id
                && lost.given_up_at >= issued.at
                && lost.given_up_at <= issued.at.plus(self.timing.lease)
        })
    }

    /// Returns whether the process that got these tokens was killed when it may not have saved them yet.
    fn was_killed_before_save(&self, issued: Issued) -> bool {
        let Timing { request, lease, .. } = self.timing;
        self.fleet.kills().iter().any(|kill| {
            Some(kill.number) == issued.process
                && kill.at.plus(request) >= issued.at
                && kill.at <= issued.at.plus(lease)
        })
    }
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(number) => write!(f, "process {number}"),
            None => f.write_str("the install"),
        }
    }
}
