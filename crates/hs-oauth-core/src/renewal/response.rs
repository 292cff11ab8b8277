//! What the response to a refresh means (RENEWAL.md, "send").

use super::backoff::next_retry;
use super::record::{Record, Retry};
use crate::error::{Error, NextStep};
use crate::random::Random;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// What a renewal does with the response to its refresh.
pub(super) enum Outcome {
    /// It saves these tokens. `partial`: nothing but a new refresh token could be read, for this reason, and no refresh is sent until
    /// that moment. The access token is the old one.
    Save { tokens: TokenSet, partial: Option<Box<(Error, Retry)>> },
    /// It marks the grant "gone".
    Mark { refusal: Error },
    /// It writes this record, which has a back-off and no lease.
    Release { record: Box<Record>, error: Error },
}

/// Decides what to do with the response to a refresh that was sent with the tokens `sent` of the record `leased`.
pub(super) fn examine(
    now: Timestamp,
    leased: &Record,
    sent: &TokenSet,
    sent_at: Timestamp,
    response: Result<TokenSet, Error>,
    random: &mut Random,
) -> Outcome {
    let error = match response {
        Ok(tokens) => return Outcome::Save { tokens: succeed(sent, tokens, sent_at), partial: None },
        Err(error) => error,
    };
    match failure(&error) {
        Failure::Refused => Outcome::Mark { refusal: error },
        Failure::Other { unsettled } => {
            let retry = next_retry(now, leased, &error, random);
            match error.rescued_refresh_token() {
                Some(rescued) if Some(rescued) != sent.refresh_token.as_ref() => {
                    let mut tokens = sent.clone();
                    tokens.refresh_token = Some(rescued.clone());
                    Outcome::Save { tokens, partial: Some(Box::new((error, retry))) }
                }
                _ => Outcome::Release { record: Box::new(released(leased, retry, unsettled)), error },
            }
        }
    }
}

fn released(leased: &Record, retry: Retry, unsettled: bool) -> Record {
    let mut record = leased.clone();
    record.lease = None;
    record.retry = Some(retry);
    record.unsettled |= unsettled;
    record
}

/// Returns the new tokens, completed with what only the old ones said, since responses differ in what they repeat.
fn succeed(old: &TokenSet, mut new: TokenSet, sent_at: Timestamp) -> TokenSet {
    // The life counts from sending, whatever the transport counted from.
    let latest = TokenSet::new(new.access_token.clone(), new.expires_in, sent_at).expires_at;
    new.expires_at = new.expires_at.min(latest);
    new.refresh_token = new.refresh_token.or_else(|| old.refresh_token.clone());
    new.hub_id = new.hub_id.or(old.hub_id);
    new.user_id = new.user_id.or(old.user_id);
    new.scopes = new.scopes.or_else(|| old.scopes.clone());
    new.unknown = old.unknown.clone();
    new
}

/// What a failed refresh says about the grant.
enum Failure {
    /// HubSpot refused the grant.
    Refused,
    /// Nothing. `unsettled`: HubSpot may have replaced the refresh token.
    Other { unsettled: bool },
}

fn failure(error: &Error) -> Failure {
    match (error.next_step(), error) {
        (NextStep::Reauthorize, _) => Failure::Refused,
        (_, Error::Api(error)) => Failure::Other { unsettled: error.status.as_u16() >= 500 },
        (_, Error::Transport(error)) => Failure::Other { unsettled: !error.kind().surely_unsent() },
        // HubSpot responded, so it may have acted, although the response cannot be used.
        _ => Failure::Other { unsettled: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    use crate::error::{ApiError, Operation, TransportError, TransportErrorKind};
    use crate::secret::{AccessToken, RefreshToken};

    fn tokens(access: &str, refresh: &str) -> TokenSet {
        let mut tokens = TokenSet::new(AccessToken::new(access).unwrap(), 1800, Timestamp::from_secs(1000));
        tokens.refresh_token = Some(RefreshToken::new(refresh).unwrap());
        tokens
    }

    #[test]
    fn a_refresh_is_settled_only_if_hubspot_surely_did_not_act() {
        let api =
            |status| Error::from(ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap()));
        let transport = |kind| Error::from(TransportError::new(kind));
        for (error, expected) in [
            (api(429), false),
            (api(403), false),
            (api(500), true),
            (api(503), true),
            (transport(TransportErrorKind::Resolve), false),
            (transport(TransportErrorKind::Connect), false),
            (transport(TransportErrorKind::Timeout), true),
            (transport(TransportErrorKind::Interrupted), true),
        ] {
            let unsettled = matches!(failure(&error), Failure::Other { unsettled: true });
            assert!(!matches!(failure(&error), Failure::Refused), "{error}");
            assert_eq!(unsettled, expected, "{error}");
        }
    }

    /// RENEWAL.md, timing rule 5.
    #[test]
    fn new_tokens_live_from_sending_and_keep_what_the_response_did_not_repeat() {
        let mut old = tokens("a", "r");
        (old.hub_id, old.user_id) = (Some(62515), Some(7));
        let mut new = tokens("b", "s");
        (new.refresh_token, new.user_id) = (None, Some(8));
        let new = succeed(&old, new, Timestamp::from_secs(990));
        assert_eq!(new.expires_at, Timestamp::from_secs(990 + 1800));
        assert_eq!(new.refresh_token, old.refresh_token);
        assert_eq!((new.hub_id, new.user_id), (Some(62515), Some(8)));
    }
}
