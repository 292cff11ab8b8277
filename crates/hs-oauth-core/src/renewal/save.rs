//! How new tokens are saved, and what is done with them if a save fails (RENEWAL.md, "save").

use std::time::Duration;

use super::error::TokenError;
use super::id::{GrantId, HolderId};
use super::record::{GrantState, Record, Retry, Stored};
use super::store_calls::StoreCalls;
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// New tokens that a run could not save. The next run of the same process must begin with them.
#[derive(Clone, Debug)]
pub struct UnsavedTokens {
    pub(super) grant: GrantId,
    pub(super) sent: TokenSet,
    pub(super) tokens: TokenSet,
    /// The holder of the lease under which they were requested. That lease may still be in the record.
    pub(super) holder: HolderId,
    /// Set if only the refresh token of the response could be used: the reason, and when the next refresh may be sent.
    pub(super) partial: Option<Box<(TokenError, Retry)>>,
}

/// Tokens that HubSpot has issued and that may not be in the store yet.
#[derive(Debug)]
pub(super) struct PendingSave {
    pub(super) unsaved: UnsavedTokens,
    /// The end of the lease under which they were requested. Until then the run tries to save them.
    until: Timestamp,
    /// How long the run has slept between its tries. It counts too, since the clock may have been set back meanwhile.
    slept: Duration,
}

/// What the stored record says about tokens whose save failed.
pub(super) enum Comparison {
    /// The record has the new tokens: the save took effect, and its result was lost.
    Saved,
    /// The record still has the grant and the tokens that were sent. The new ones may be saved over it.
    Unchanged(Stored),
    /// The record has another grant or newer tokens. The new ones are dropped.
    Superseded(Stored),
    /// The account was disconnected. The new tokens are dropped, and this refresh token, if it is a new one, is revoked. It is not if the
    /// account was forgotten.
    Disconnected { revoke: Option<RefreshToken> },
}

impl UnsavedTokens {
    /// Returns the tokens that HubSpot issued.
    pub fn tokens(&self) -> &TokenSet {
        &self.tokens
    }
}

impl PendingSave {
    /// Returns the tokens that HubSpot issued to `holder` for the tokens `sent` of the record `leased`.
    pub(super) fn new(
        leased: &Record,
        holder: HolderId,
        sent: TokenSet,
        tokens: TokenSet,
        partial: Option<Box<(TokenError, Retry)>>,
    ) -> Self {
        let until = leased.lease.as_ref().map_or(Timestamp::from_millis(0), |lease| lease.until);
        let unsaved = UnsavedTokens { grant: leased.grant, sent, tokens, holder, partial };
        Self { unsaved, until, slept: Duration::ZERO }
    }

    /// Returns tokens that an earlier run could not save. The lease of that run may be over, so it allows no further tries.
    pub(super) fn again(unsaved: UnsavedTokens) -> Self {
        Self { unsaved, until: Timestamp::from_millis(0), slept: Duration::ZERO }
    }

    /// Returns the record with the new tokens in it. `owns_lease` says that the record's lease is the one under which they were
    /// requested.
    pub(super) fn written_into(&self, mut record: Record, owns_lease: bool) -> Record {
        record.state = GrantState::Live;
        record.tokens = Some(self.unsaved.tokens.clone());
        let requested = record.retry.take().filter(|retry| retry.requested);
        record.retry = self.unsaved.partial.as_ref().map(|partial| match requested {
            // HubSpot has asked another run for it meanwhile.
            Some(requested) if requested.at > partial.1.at => requested,
            _ => partial.1.clone(),
        });
        if owns_lease {
            record.lease = None;
            record.unsettled = false;
        }
        if self.unsaved.partial.is_some() {
            record.unsettled = true;
        }
        record
    }

    /// Compares the tokens with what is stored after a save that conflicted or failed.
    pub(super) fn compare(&self, stored: Option<Stored>) -> Comparison {
        let unsaved = &self.unsaved;
        let was_forgotten = stored.as_ref().is_some_and(|stored| stored.record.forgotten);
        let Some(stored) = stored.filter(|stored| stored.record.state != GrantState::Disconnected) else {
            let is_revoked = unsaved.has_new_refresh_token() && !was_forgotten;
            let dropped = unsaved.tokens.refresh_token.clone();
            return Comparison::Disconnected { revoke: dropped.filter(|_| is_revoked) };
        };
        let record = &stored.record;
        if record.state == GrantState::Live && record.is_same(unsaved.grant, &unsaved.tokens) {
            Comparison::Saved
        } else if record.is_same(unsaved.grant, &unsaved.sent) {
            Comparison::Unchanged(stored)
        } else {
            Comparison::Superseded(stored)
        }
    }

    /// Returns how long to wait before the next try, or `None` if the time for it is over. `lease` is the length of a whole lease.
    pub(super) fn next_wait(
        &mut self,
        now: Timestamp,
        lease: Duration,
        store: &StoreCalls,
        random: &mut Random,
    ) -> Option<Duration> {
        if now >= self.until || self.slept >= lease {
            return None;
        }
        let wait = store.next_wait(random);
        self.slept += wait;
        Some(wait)
    }
}

impl UnsavedTokens {
    fn has_new_refresh_token(&self) -> bool {
        self.tokens.refresh_token != self.sent.refresh_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::RetryCause;
    use crate::secret::AccessToken;

    fn tokens(access: &str, refresh: &str) -> TokenSet {
        let mut tokens = TokenSet::new(AccessToken::new(access).unwrap(), 1800, Timestamp::from_secs(1000));
        tokens.refresh_token = Some(RefreshToken::new(refresh).unwrap());
        tokens
    }

    fn pending(random: &mut Random) -> (PendingSave, Record) {
        let leased = Record::new(GrantId::generate(random), tokens("a", "r"));
        let holder = HolderId::generate(random);
        (PendingSave::new(&leased, holder, tokens("a", "r"), tokens("b", "s"), None), leased)
    }

    #[test]
    fn the_stored_record_decides_what_is_done_with_tokens_that_could_not_be_saved() {
        let random = &mut Random::new([7; 32]);
        let (pending, leased) = pending(random);
        let compare = |record: &Record| pending.compare(Some(Stored { version: 2, record: record.clone() }));
        assert!(matches!(compare(&leased), Comparison::Unchanged(_)));
        let gone = Record { state: GrantState::Gone, ..leased.clone() };
        assert!(matches!(compare(&gone), Comparison::Unchanged(_)));
        let saved = pending.written_into(leased.clone(), true);
        assert!(matches!(compare(&saved), Comparison::Saved));
        let newer = Record { tokens: Some(tokens("c", "t")), ..leased.clone() };
        assert!(matches!(compare(&newer), Comparison::Superseded(_)));
        let installed = Record { grant: GrantId::generate(random), ..leased };
        assert!(matches!(compare(&installed), Comparison::Superseded(_)));

        let tombstone = Record::tombstone(GrantId::generate(random), None);
        let new_token = RefreshToken::new("s").unwrap();
        for comparison in [compare(&tombstone), pending.compare(None)] {
            let Comparison::Disconnected { revoke } = comparison else { panic!("it is disconnected") };
            assert_eq!(revoke.as_ref(), Some(&new_token));
        }
        let forgotten = compare(&Record::forgotten(GrantId::generate(random)));
        assert!(
            matches!(forgotten, Comparison::Disconnected { revoke: None }),
            "others may share the account"
        );
    }

    /// RENEWAL.md, scenario C7.
    #[test]
    fn a_save_removes_only_the_lease_of_its_own_run() {
        let random = &mut Random::new([7; 32]);
        let (pending, mut record) = pending(random);
        record.lease =
            Some(crate::renewal::Lease::new(HolderId::generate(random), Timestamp::from_secs(1060)));
        record.unsettled = true;
        let under_another = pending.written_into(record.clone(), false);
        assert!(under_another.lease.is_some() && under_another.unsettled);
        let under_own = pending.written_into(record, true);
        assert!(under_own.lease.is_none() && !under_own.unsettled);
        assert_eq!(under_own.tokens, Some(tokens("b", "s")));
    }

    fn retry(seconds: u64, requested: bool) -> Retry {
        let at = Timestamp::from_secs(1000 + seconds);
        Retry { requested, cause: Some(RetryCause::Unavailable), ..Retry::new(at, 1) }
    }

    /// RENEWAL.md, rule 5: a wait that HubSpot asked for is not cut short by a response of which only the refresh token could be used.
    #[test]
    fn a_refresh_token_that_was_rescued_does_not_cut_a_requested_wait_short() {
        let mut record = Record::new(GrantId::new(1), tokens("a", "r"));
        let partial = Some(Box::new((TokenError::Interrupted, retry(1, false))));
        let pending =
            PendingSave::new(&record, HolderId::new(1), tokens("a", "r"), tokens("a", "s"), partial);
        for (stored, expected) in [
            (None, retry(1, false)),
            (Some(retry(60, false)), retry(1, false)),
            (Some(retry(60, true)), retry(60, true)),
            (Some(retry(0, true)), retry(1, false)),
        ] {
            record.retry = stored;
            assert_eq!(pending.written_into(record.clone(), false).retry, Some(expected));
        }
        let whole = PendingSave::new(&record, HolderId::new(1), tokens("a", "r"), tokens("b", "s"), None);
        record.retry = Some(retry(60, true));
        assert_eq!(whole.written_into(record, true).retry, None, "HubSpot has responded with tokens");
    }
}
