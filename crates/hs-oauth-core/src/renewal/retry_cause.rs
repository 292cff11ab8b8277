//! Why a renewal failed, as the record keeps it for those who have to wait.

use std::fmt;
use std::time::Duration;

use crate::error::{ApiError, Error, HubSpotCode, NextStep, OAuthCode};
use crate::open_set::open_set;

open_set! {
    /// Why the last renewal failed, so that everyone who has to wait for the next one learns of it. This is an open set.
    #[derive(serde::Deserialize)]
    #[serde(from = "std::borrow::Cow<'_, str>")]
    RetryCause {
        /// HubSpot refused the client id or the client secret.
        ClientRefused = "client_refused",
        /// HubSpot refused the request for another reason that lies with the app.
        Misconfigured = "misconfigured",
        /// HubSpot refused the grants of many accounts at once.
        MassRefusal = "mass_refusal",
        /// The tokens that came were those of another account or app.
        OtherAccount = "other_account",
        /// A rate limit of HubSpot's was exceeded.
        RateLimited = "rate_limited",
        /// HubSpot was busy, moved the account, or failed with a status of 500 or above.
        Unavailable = "unavailable",
        /// HubSpot could not be reached, or its response did not arrive.
        NoResponse = "no_response",
        /// HubSpot's response could not be used.
        UnusableResponse = "unusable_response",
        /// An API rejected a token that came from a renewal just before, so another renewal would not help. It is never stored.
        RejectedAgain = "rejected_again",
    }
}

impl RetryCause {
    /// Returns the cause of this failed refresh.
    pub fn of(error: &Error) -> Self {
        match (error, error.next_step()) {
            (_, NextStep::ReportBug) => Self::UnusableResponse,
            (Error::Api(error), NextStep::RetryAfter(_)) if error.status.as_u16() == 429 => Self::RateLimited,
            (Error::Api(_), NextStep::RetryAfter(_)) => Self::Unavailable,
            (_, NextStep::RetryAfter(_)) => Self::NoResponse,
            (Error::Api(error), _) if refuses_client(error) => Self::ClientRefused,
            _ => Self::Misconfigured,
        }
    }

    /// Returns what to do next, of somebody who has to wait this long for the next try.
    pub const fn next_step(&self, wait: Duration) -> NextStep {
        match self {
            Self::ClientRefused | Self::Misconfigured | Self::MassRefusal | Self::OtherAccount => {
                NextStep::FixConfiguration
            }
            Self::UnusableResponse => NextStep::ReportBug,
            _ => NextStep::RetryAfter(Some(wait)),
        }
    }

    /// Returns whether the cause is the configuration of the app: no waiting helps, and another credential may.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::ClientRefused | Self::Misconfigured | Self::MassRefusal)
    }
}

/// Returns whether an error response says that the client id or the client secret is wrong.
fn refuses_client(error: &ApiError) -> bool {
    let is_client =
        |code: &HubSpotCode| matches!(code, HubSpotCode::BadClientId | HubSpotCode::BadClientSecret);
    matches!(error.error, Some(OAuthCode::InvalidClient | OAuthCode::UnauthorizedClient))
        || error.code.iter().chain(&error.sub_category).any(is_client)
}

/// Writes a clause for people, such as `HubSpot refused the client id or the client secret`.
impl fmt::Display for RetryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientRefused => "HubSpot refused the client id or the client secret",
            Self::Misconfigured => "HubSpot refused the request of the app",
            Self::MassRefusal => "HubSpot refused the grants of many accounts at once",
            Self::OtherAccount => "the tokens that came were those of another account",
            Self::RateLimited => "a rate limit of HubSpot's was exceeded",
            Self::Unavailable => "HubSpot was not available",
            Self::NoResponse => "no response came from HubSpot",
            Self::UnusableResponse => "HubSpot's response could not be used",
            Self::RejectedAgain => "the rejected token was renewed just before, so its age is not the reason",
            Self::Other(_) => "an earlier renewal failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::error::{Operation, TransportError, TransportErrorKind};

    const ALL: [(RetryCause, &str); 9] = [
        (RetryCause::ClientRefused, "client_refused"),
        (RetryCause::Misconfigured, "misconfigured"),
        (RetryCause::MassRefusal, "mass_refusal"),
        (RetryCause::OtherAccount, "other_account"),
        (RetryCause::RateLimited, "rate_limited"),
        (RetryCause::Unavailable, "unavailable"),
        (RetryCause::NoResponse, "no_response"),
        (RetryCause::UnusableResponse, "unusable_response"),
        (RetryCause::RejectedAgain, "rejected_again"),
    ];

    #[test]
    fn a_cause_is_stored_as_its_name_and_one_of_a_later_release_is_kept() {
        let later = (RetryCause::Other("an \"other\" cause".to_owned()), "an \"other\" cause");
        for (cause, name) in ALL.into_iter().chain([later]) {
            let text = serde_json::to_value(&cause).unwrap();
            assert_eq!((text.as_str(), cause.as_str()), (Some(name), name));
            assert_eq!(serde_json::from_value::<RetryCause>(text).unwrap(), cause);
        }
    }

    #[test]
    fn the_cause_of_a_failed_refresh_is_read_from_its_error() {
        let api = |status, code: Option<&str>| {
            let mut error = ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap());
            error.code = code.map(HubSpotCode::from);
            Error::from(error)
        };
        for (error, cause) in [
            (api(401, Some("BAD_CLIENT_SECRET")), RetryCause::ClientRefused),
            (api(400, Some("BAD_CLIENT_ID")), RetryCause::ClientRefused),
            (api(403, None), RetryCause::Misconfigured),
            (api(302, None), RetryCause::Misconfigured),
            (api(429, None), RetryCause::RateLimited),
            (api(423, None), RetryCause::Unavailable),
            (api(477, None), RetryCause::Unavailable),
            (api(503, None), RetryCause::Unavailable),
            (TransportError::new(TransportErrorKind::Timeout).into(), RetryCause::NoResponse),
        ] {
            assert_eq!(RetryCause::of(&error), cause, "{error}");
            let is_configuration = error.next_step() == NextStep::FixConfiguration;
            assert_eq!(cause.is_configuration(), is_configuration, "{error}");
        }
    }

    /// The second call must not contradict the first.
    #[test]
    fn whoever_has_to_wait_is_told_the_same_next_step_as_the_one_whose_refresh_failed() {
        let wait = Duration::from_secs(60);
        let kinds = [
            TransportErrorKind::Resolve,
            TransportErrorKind::Connect,
            TransportErrorKind::Unreachable,
            TransportErrorKind::Tls,
            TransportErrorKind::NotTls,
            TransportErrorKind::ConnectTimeout,
            TransportErrorKind::Timeout,
            TransportErrorKind::Interrupted,
            TransportErrorKind::ResponseTooLarge,
            TransportErrorKind::Redirected,
            TransportErrorKind::Client,
        ]
        .map(|kind| Error::from(TransportError::new(kind)));
        let statuses = (300..600).map(|status| {
            Error::from(ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap()))
        });
        for error in kinds.into_iter().chain(statuses) {
            let next = RetryCause::of(&error).next_step(wait);
            assert_eq!(next.name(), error.next_step().name(), "{error}");
        }
    }
}
