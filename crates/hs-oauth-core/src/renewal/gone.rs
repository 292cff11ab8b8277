//! How a record is marked "gone" after HubSpot refused its grant (RENEWAL.md, "mark").

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

    /// Returns the marked record. The lease is over.
    pub(super) fn marked(&self) -> Record {
        let mut record = self.sent.record.clone();
        record.state = GrantState::Gone;
        record.lease = None;
        record
    }

    /// Returns whether the grant was probably lost in an earlier refresh whose response never came.
    pub(super) fn unsettled(&self) -> bool {
        self.sent.record.unsettled
    }

    /// Returns whether the stored record still has the grant and the tokens that HubSpot refused. No other record may be marked.
    pub(super) fn applies_to(&self, stored: &Stored) -> bool {
        let sent = &self.sent.record;
        let same = sent.tokens.as_ref().is_some_and(|tokens| stored.record.is_same(sent.grant, tokens));
        same && stored.record.state == GrantState::Live
    }
}
