//! What the response to a refresh means (RENEWAL.md, "send").

use std::time::Duration;

use super::backoff::{next_retry, requested_wait};
use super::error::TokenError;
use super::record::{Record, Retry};
use super::requirements::Requirements;
use super::retry_cause::RetryCause;
use crate::endpoint::Introspection;
use crate::error::{Error, NextStep};
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// What a renewal does with the response to its refresh.
pub(super) enum Outcome {
    /// It saves these tokens. `partial`: nothing but a new refresh token could be used, for this reason, and no refresh is sent until
    /// that moment. The access token is the old one.
    Save { tokens: TokenSet, partial: Option<Box<(TokenError, Retry)>> },
    /// It asks HubSpot whose tokens these are, since the response does not say so and nobody has found out before.
    Identify { tokens: TokenSet },
    /// It marks the grant "gone".
    Mark { refusal: Error },
    /// It writes this record, which has a back-off and no lease.
    Release { record: Box<Record>, error: TokenError },
}

/// A response that is being examined, and what it is a response to.
pub(super) struct Examination<'r> {
    pub(super) now: Timestamp,
    pub(super) requirements: &'r Requirements,
    /// The record under whose lease the refresh was sent.
    pub(super) leased: &'r Record,
    /// The tokens of that record.
    pub(super) sent: &'r TokenSet,
    pub(super) random: &'r mut Random,
}

impl Examination<'_> {
    /// Decides what to do with the response to a refresh.
    pub(super) fn of_refresh(
        self,
        sent_at: Timestamp,
        response: Result<TokenSet, Error>,
        is_mass_refusal: bool,
    ) -> Outcome {
        let tokens = match response {
            Ok(tokens) => tokens,
            Err(error) => return self.failed(error, is_mass_refusal),
        };
        if let Some(error) = self.other_account(tokens.hub_id, tokens.user_id) {
            return self.unusable(error);
        }
        let is_identified =
            self.requirements.is_named(tokens.hub_id, tokens.user_id) || self.sent.has_access_token();
        let tokens = succeed(self.sent, tokens, sent_at);
        match is_identified {
            true => Outcome::Save { tokens, partial: None },
            false => Outcome::Identify { tokens },
        }
    }

    /// Decides what to do with new tokens after HubSpot was asked whose they are.
    pub(super) fn of_introspection(
        self,
        mut tokens: TokenSet,
        response: Result<Introspection, Error>,
    ) -> Outcome {
        let info = match response {
            Ok(Introspection::AccessToken(info))
                if self.requirements.is_named(Some(info.hub_id), info.user_id.or(tokens.user_id)) =>
            {
                info
            }
            // They are not handed out before it is known whose they are. The refresh token is kept, and the next run asks again.
            Ok(_) => {
                let rescued = tokens.refresh_token.clone();
                let error = TokenError::UnknownAccount { tokens: Box::new(tokens), error: None };
                return self.keep(rescued, RetryCause::UnusableResponse, None, true, error);
            }
            Err(error) => return self.rescue(tokens.refresh_token.take(), error),
        };
        let other = self.other_account(Some(info.hub_id), info.user_id);
        if let Some(error) = other.or_else(|| self.requirements.other_app(info.client_id.as_deref())) {
            return self.unusable(error);
        }
        tokens.hub_id = Some(info.hub_id);
        tokens.user_id = tokens.user_id.or(info.user_id);
        tokens.scopes.get_or_insert(info.scopes);
        Outcome::Save { tokens, partial: None }
    }

    /// Returns the error for tokens that HubSpot says are another account's than the record's.
    fn other_account(&self, hub_id: Option<i64>, user_id: Option<i64>) -> Option<TokenError> {
        self.requirements.other_account(hub_id, user_id, self.sent.user_id)
    }

    fn failed(self, error: Error, is_mass_refusal: bool) -> Outcome {
        if let Error::Response(response) = &error
            && let Some(other) = self.other_account(response.rescued.hub_id, response.rescued.user_id)
        {
            return self.unusable(other);
        }
        match failure(&error) {
            Failure::Refused if is_mass_refusal => {
                let error = TokenError::MassRefusal { refusal: error };
                self.release(RetryCause::MassRefusal, None, false, error)
            }
            Failure::Refused => Outcome::Mark { refusal: error },
            Failure::Other { .. } => self.rescue(error.rescued_refresh_token().cloned(), error),
        }
    }

    /// Keeps nothing of the response. HubSpot may have acted on the refresh.
    fn unusable(self, error: TokenError) -> Outcome {
        self.release(RetryCause::OtherAccount, None, true, error)
    }

    /// Keeps the refresh token of a response that cannot be used otherwise, if it is a new one.
    fn rescue(self, rescued: Option<RefreshToken>, error: Error) -> Outcome {
        let requested = requested_wait(&error, self.random);
        let unsettled = matches!(failure(&error), Failure::Other { unsettled: true });
        self.keep(rescued, RetryCause::of(&error), requested, unsettled, error.into())
    }

    fn keep(
        self,
        rescued: Option<RefreshToken>,
        cause: RetryCause,
        requested: Option<Duration>,
        unsettled: bool,
        error: TokenError,
    ) -> Outcome {
        match rescued.filter(|rescued| Some(rescued) != self.sent.refresh_token.as_ref()) {
            Some(rescued) => {
                let mut tokens = self.sent.clone();
                tokens.refresh_token = Some(rescued);
                let retry = self.retry(cause, requested);
                Outcome::Save { tokens, partial: Some(Box::new((error, retry))) }
            }
            None => self.release(cause, requested, unsettled, error),
        }
    }

    fn release(
        self,
        cause: RetryCause,
        requested: Option<Duration>,
        unsettled: bool,
        error: TokenError,
    ) -> Outcome {
        let mut record = Box::new(self.leased.clone());
        record.lease = None;
        record.unsettled |= unsettled;
        record.retry = Some(self.retry(cause, requested));
        Outcome::Release { record, error }
    }

    fn retry(self, cause: RetryCause, requested: Option<Duration>) -> Retry {
        next_retry(self.now, self.leased, &self.requirements.app, cause, requested, self.random)
    }
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
    use crate::secret::AccessToken;

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
