//! What to do about an error.

use std::fmt;
use std::time::Duration;

/// What the caller of a failed operation has to do. Every error has a `next_step()`.
///
/// A `match` needs no wildcard, since another step would be a new major version of this crate:
///
/// ```
/// use hs_oauth_core::NextStep;
///
/// /// The status with which a web service responds when it has no token for its caller.
/// fn status(next: NextStep) -> http::StatusCode {
///     match next {
///         NextStep::Reauthorize | NextStep::RestartAuthorization => http::StatusCode::FORBIDDEN, // show "Connect"
///         NextStep::RetryAfter(_) => http::StatusCode::SERVICE_UNAVAILABLE,
///         NextStep::FixConfiguration | NextStep::ReportBug => http::StatusCode::INTERNAL_SERVER_ERROR,
///     }
/// }
/// # assert_eq!(status(NextStep::Reauthorize), 403);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextStep {
    /// The account's grant is gone. Do not retry. Ask the account to connect the app again.
    Reauthorize,
    /// The authorization code was used up, or the callback was not accepted. Send the browser to the consent page again.
    RestartAuthorization,
    /// The app or its host is configured wrongly, or HubSpot's API changed. Fix that. The stored grants stay valid.
    FixConfiguration,
    /// Nothing is wrong with the app or the grant. Wait this long, then try again. With `None`, the caller chooses how long to
    /// wait.
    RetryAfter(Option<Duration>),
    /// The response is not what HubSpot's OAuth API is documented to send. Check the address. If it is HubSpot's, report a bug.
    ReportBug,
}

impl NextStep {
    /// Returns the step's name for programs: `reauthorize`, `restart_authorization`, `fix_configuration`, `retry_after` or
    /// `report_bug`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reauthorize => "reauthorize",
            Self::RestartAuthorization => "restart_authorization",
            Self::FixConfiguration => "fix_configuration",
            Self::RetryAfter(_) => "retry_after",
            Self::ReportBug => "report_bug",
        }
    }
}

impl fmt::Display for NextStep {
    /// Writes the step as an instruction to a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reauthorize => "ask the account to connect the app again",
            Self::RestartAuthorization => "start the authorization again",
            Self::FixConfiguration => "fix the app's configuration; the stored grants stay good",
            Self::RetryAfter(Some(wait)) => return write!(f, "try again in {} s", wait.as_secs_f64().ceil()),
            Self::RetryAfter(None) => "try again later",
            Self::ReportBug => "check the address; if it is HubSpot's, report a bug",
        })
    }
}
