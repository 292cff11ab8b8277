//! How a record is marked "gone" after HubSpot refused its grant (RENEWAL.md, "mark").

use super::id::HolderId;
use super::lease;
use super::record::{GrantState, Record, Stored};
use crate::error::Error;

/// A mark that is to be written: the record whose tokens were sent, and HubSpot's error response.
#[derive(Debug)]
pub(super) struct PendingMark {
    sent: Box<Stored>,
    pub(super) refusal: Error,
}

impl PendingMark {
    pub(super) fn new(sent: Stored, refusal: Error) -> Self {
        Self { sent: Box::new(sent), refusal }
    }

    /// Returns the version of the record that is to be marked.
    pub(super) fn expected(&self) -> u64 {
        self.sent.version
    }

    /// Returns the marked record. The lease of `holder`, whose refresh was refused, is over. Another run's is not.
    pub(super) fn marked(&self, holder: HolderId) -> Record {
        let mut record = self.sent.record.clone();
        record.state = GrantState::Gone;
        if lease::is_held_by(&record, holder) {
            record.lease = None;
        }
        record
    }

    /// Returns whether the grant was probably lost in an earlier refresh whose response never came.
    pub(super) fn unsettled(&self) -> bool {
        self.sent.record.unsettled
    }

    /// Returns whether the stored record still has the state, the grant and the tokens that HubSpot refused. No other record may be marked.
    pub(super) fn applies_to(&self, stored: &Stored) -> bool {
        let sent = &self.sent.record;
        let same = sent.tokens.as_ref().is_some_and(|tokens| stored.record.is_same(sent.grant, tokens));
        same && stored.record.state == sent.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    use crate::error::{ApiError, Operation};
    use crate::random::Random;
    use crate::renewal::GrantId;
    use crate::secret::{AccessToken, RefreshToken};
    use crate::timestamp::Timestamp;
    use crate::token_set::TokenSet;

    fn tokens(access: &str, refresh: &str) -> TokenSet {
        let mut tokens = TokenSet::new(AccessToken::new(access).unwrap(), 1800, Timestamp::from_secs(1000));
        tokens.refresh_token = Some(RefreshToken::new(refresh).unwrap());
        tokens
    }

    /// RENEWAL.md, rule 3.
    #[test]
    fn only_a_live_record_with_the_grant_and_the_tokens_that_were_sent_is_marked() {
        let mut random = Random::new([7; 32]);
        let grant = GrantId::generate(&mut random);
        let stored = |grant, tokens| Stored { version: 2, record: Record::new(grant, tokens) };
        let refusal = ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST);
        let pending = PendingMark::new(stored(grant, tokens("a", "r")), refusal.into());

        assert!(pending.applies_to(&stored(grant, tokens("a", "r"))));
        assert!(!pending.applies_to(&stored(grant, tokens("b", "r"))));
        assert!(!pending.applies_to(&stored(grant, tokens("a", "s"))));
        assert!(!pending.applies_to(&stored(GrantId::generate(&mut random), tokens("a", "r"))));
        let gone = Stored { version: 3, record: pending.marked(HolderId::generate(&mut random)) };
        assert_eq!(gone.record.state, GrantState::Gone);
        assert!(!pending.applies_to(&gone));
        // A recheck sent the tokens of a grant that was gone already.
        let recheck =
            PendingMark::new(gone.clone(), ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST).into());
        assert!(recheck.applies_to(&gone) && !recheck.applies_to(&stored(grant, tokens("a", "r"))));
        assert_eq!(recheck.marked(HolderId::generate(&mut random)), gone.record);
    }
}
