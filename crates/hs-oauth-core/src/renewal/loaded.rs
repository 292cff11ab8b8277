//! What a loaded record asks of a renewal (RENEWAL.md, "load").

use std::time::Duration;

use super::backoff::HolderWait;
use super::error::TokenError;
use super::id::HolderId;
use super::lease;
use super::record::{GrantState, Stored};
use super::requirements::Requirements;
use crate::error::{StoreError, StoreErrorKind};
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// What a loaded record asks of a renewal.
pub(super) enum Loaded {
    /// The stored tokens are what the callers get.
    HandOut(TokenSet),
    /// There are no tokens to hand out, and no refresh can be sent now.
    Fail(TokenError),
    /// Another run holds the lease. It may do so for `max` at most.
    Wait { holder: HolderId, max: Duration },
    /// This run holds the lease: the result of its swap was lost.
    OwnLease(Stored),
    /// The tokens are to be renewed, and the lease may be taken.
    Renew(Stored),
}

/// Decides what to do with the stored record, for the run that `holder` names. `may_recheck` says that it may try a grant that is gone.
pub(super) fn examine(
    now: Timestamp,
    requirements: &Requirements,
    holder: HolderId,
    holder_wait: &HolderWait,
    may_recheck: bool,
    stored: Option<Stored>,
) -> Loaded {
    let Some(stored) = stored else { return Loaded::Fail(TokenError::NotInstalled) };
    let record = &stored.record;
    if let Some(error) = requirements.other_app(record.client_id.as_deref()) {
        return Loaded::Fail(error);
    }
    match record.state {
        GrantState::Live => {}
        GrantState::Gone if may_recheck && requirements.rechecks_gone() && record.tokens.is_some() => {}
        GrantState::Gone => {
            return Loaded::Fail(TokenError::Gone { unsettled: record.unsettled, refusal: None });
        }
        GrantState::Disconnected => return Loaded::Fail(TokenError::NotInstalled),
    }
    let Some(tokens) = record.tokens.as_ref() else {
        return Loaded::Fail(TokenError::Store(StoreError::new(StoreErrorKind::Unreadable)));
    };
    // A process with a version of this library that does not compare may have stored them.
    if let Some(error) = requirements.other_account(tokens.hub_id, tokens.user_id, None) {
        return Loaded::Fail(error);
    }
    // If no refresh can be sent, the old tokens are handed out while they are usable.
    let usable = requirements.is_usable(now, tokens).then_some(tokens);
    if usable.is_some() && !requirements.is_renewal_due(now, tokens) {
        return Loaded::HandOut(tokens.clone());
    }
    let hand_out_or = |other: Loaded| usable.map_or(other, |tokens| Loaded::HandOut(tokens.clone()));
    if tokens.refresh_token.is_none() {
        return hand_out_or(Loaded::Fail(TokenError::NotRenewable));
    }
    if lease::is_held_by(record, holder) {
        return Loaded::OwnLease(stored);
    }
    let policy = &requirements.policy;
    if let Some((wait, retry)) = requirements.backoff(now, record, policy.timing(tokens).clock_margin) {
        return hand_out_or(Loaded::Fail(TokenError::BackingOff { wait, cause: retry.cause.clone() }));
    }
    if let Some((holder, max)) = lease::held_by_another(now, policy, record, tokens, holder_wait) {
        return hand_out_or(Loaded::Wait { holder, max });
    }
    Loaded::Renew(stored)
}
