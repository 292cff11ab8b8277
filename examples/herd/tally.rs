//! What the emulator saw, out of its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hs_oauth_async::{Timestamp, Timing};
use hs_oauth_emulator::{Entry, Server, Target};

use crate::child::USER_AGENT;
use crate::options::Options;

pub(crate) struct Tally {
    /// A renewal sooner than this after another is one too many: the policy's three quarters of a token's life, which the client
    /// counts from when it sent the request, and that is at most the limit of a request before the emulator's time.
    earliest: Duration,
    newest: BTreeMap<i64, Issued>,
    renewals: Vec<Timestamp>,
    duplicates: Vec<Duplicate>,
    rejected: u64,
    refused: BTreeSet<i64>,
    last_number: u64,
    missed: u64,
}

/// When the account's newest tokens were issued, and to which process; to this one with an install.
#[derive(Clone, Copy)]
pub(crate) struct Issued {
    pub(crate) at: Timestamp,
    pub(crate) process: Option<u32>,
}

/// A renewal that came too early.
pub(crate) struct Duplicate {
    pub(crate) hub_id: i64,
    pub(crate) earlier: Issued,
    pub(crate) later: Issued,
}

impl Tally {
    pub(crate) fn new(options: &Options, timing: Timing) -> Self {
        let life = Duration::from_secs(options.token_lifetime.into());
        Self {
            earliest: (life - life / 4).saturating_sub(timing.request),
            newest: BTreeMap::new(),
            renewals: Vec::new(),
            duplicates: Vec::new(),
            rejected: 0,
            refused: BTreeSet::new(),
            last_number: 0,
            missed: 0,
        }
    }

    /// Takes in what is new. The journal keeps the newest only, but numbers all: nothing is missed unnoticed.
    pub(crate) fn read(&mut self, hubspot: &Server) {
        hubspot.emulator(|emulator| {
            emulator.journal().for_each(|entry| self.see(entry));
            emulator.clear_journal();
        });
    }

    pub(crate) fn renewals(&self) -> usize {
        self.renewals.len()
    }

    pub(crate) fn renewal_times(&self) -> &[Timestamp] {
        &self.renewals
    }

    pub(crate) fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Calls of the API that were answered with 401.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Accounts with a refresh that was refused.
    pub(crate) fn refused(&self) -> &BTreeSet<i64> {
        &self.refused
    }

    pub(crate) fn newest(&self, hub_id: i64) -> Option<Issued> {
        self.newest.get(&hub_id).copied()
    }

    /// Requests that went through the journal unread.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    fn see(&mut self, entry: &Entry) {
        self.missed += entry.number.saturating_sub(self.last_number + 1);
        self.last_number = entry.number;
        match (entry.operation, entry.status, entry.hub_id) {
            (Some(Target::AccountInfo), Some(401), _) => self.rejected += 1,
            (Some(Target::ExchangeCode), Some(200), Some(hub_id)) => {
                self.newest.insert(hub_id, Issued::by(entry));
            }
            (Some(Target::Refresh), Some(200), Some(hub_id)) => self.renewed(hub_id, Issued::by(entry)),
            // A grant that `strict` has ended is nobody's any more; the refusal that ended it was seen.
            (Some(Target::Refresh), _, Some(hub_id)) => _ = self.refused.insert(hub_id),
            _ => {}
        }
    }

    fn renewed(&mut self, hub_id: i64, later: Issued) {
        self.renewals.push(later.at);
        let Some(earlier) = self.newest.insert(hub_id, later) else { return };
        if later.at < earlier.at.plus(self.earliest) {
            self.duplicates.push(Duplicate { hub_id, earlier, later });
        }
    }
}

impl Issued {
    fn by(entry: &Entry) -> Self {
        let number = entry.user_agent.as_deref().and_then(|agent| agent.strip_prefix(USER_AGENT));
        Self { at: entry.at, process: number.and_then(|number| number.parse().ok()) }
    }
}
