//! The result, and whether it is as promised.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};

use hs_oauth_async::Timing;
use hs_oauth_emulator::Rotation;
use serde::Serialize;

use crate::audit::Audit;
use crate::fleet::Fleet;
use crate::options::Options;
use crate::tally::{Issued, Tally};

pub(crate) struct Findings<'a> {
    pub(crate) options: &'a Options,
    pub(crate) timing: Timing,
    pub(crate) fleet: &'a Fleet,
    pub(crate) tally: &'a Tally,
    pub(crate) audit: &'a Audit,
}

#[derive(Serialize)]
struct Line {
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
}

impl Findings<'_> {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Line {
            seconds: self.options.seconds,
            accounts: self.options.accounts,
            token_lifetime: self.options.token_lifetime,
            bearers: self.fleet.bearers(),
            renewals: self.tally.renewals(),
            duplicate_renewals: self.tally.duplicates().len(),
            rejected_bearers: self.tally.rejected(),
            lost_accounts: self.lost().len(),
            corrupt_files: self.audit.corrupt,
            kills: self.fleet.deaths().len(),
        })
    }

    /// What should not have happened.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let mut broken = self.fleet.accidents().to_vec();
        let mut promise = |kept: bool, what: String| {
            if !kept {
                broken.push(what);
            }
        };
        let missed = self.tally.missed();
        promise(missed == 0, format!("the journal was not read often enough: {missed} requests missed"));
        for duplicate in self.tally.duplicates() {
            let (earlier, later) = (duplicate.earlier, duplicate.later);
            promise(
                self.died_over(earlier),
                format!(
                    "account {} was renewed by {} and {:?} later by {}, and nobody had died",
                    duplicate.hub_id,
                    earlier,
                    later.at.since(earlier.at),
                    later
                ),
            );
        }
        let may_lose = self.options.rotation != Rotation::Keep;
        for hub_id in self.lost() {
            let died = may_lose && self.tally.newest(hub_id).is_some_and(|newest| self.died_over(newest));
            promise(died, format!("account {hub_id} is lost, and nobody had died over its last renewal"));
        }
        // With `strict`, a lost account's access tokens end with its grant.
        let may_reject = self.options.rotation == Rotation::Strict && !self.lost().is_empty();
        let rejected = self.tally.rejected();
        promise(rejected == 0 || may_reject, format!("{rejected} bearers were rejected"));
        promise(self.audit.corrupt == 0, format!("{} files are damaged", self.audit.corrupt));
        // Every account that was not lost has been renewed once in each of its tokens' lives; four fifths leave room for the ends.
        let lives = self.options.seconds / self.options.token_lifetime;
        let accounts = usize::try_from(self.options.accounts).unwrap_or(usize::MAX);
        let good = accounts.saturating_sub(self.lost().len());
        let least = good * usize::try_from(lives).unwrap_or(usize::MAX) * 4 / 5;
        let renewals = self.tally.renewals();
        promise(renewals >= least, format!("only {renewals} renewals, not {least}"));
        broken
    }

    fn lost(&self) -> BTreeSet<i64> {
        &self.audit.lost | self.tally.refused()
    }

    /// Whether the process that got these tokens was killed before it can have been done with them.
    fn died_over(&self, issued: Issued) -> bool {
        let Timing { request, lease, .. } = self.timing;
        self.fleet.deaths().iter().any(|death| {
            Some(death.number) == issued.process
                && death.at.plus(request) >= issued.at
                && death.at <= issued.at.plus(lease)
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

/// Says something on standard error.
pub(crate) fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
