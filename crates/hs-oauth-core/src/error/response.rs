//! Successful responses whose body cannot be used.

use std::fmt;

use http::StatusCode;

use super::{NextStep, Operation};
use crate::json::Problem;
use crate::secret::{AccessToken, RefreshToken};

/// The error of a response with a successful status whose body cannot be used.
///
/// It holds no part of the body but the tokens that could be read from it. They print as `[redacted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseError {
    /// What the call asked for.
    pub operation: Operation,
    /// The HTTP status, 200 to 299.
    pub status: StatusCode,
    /// The media type of the response, without parameters. `None` if it is missing or an unusual one.
    pub content_type: Option<String>,
    /// Everything that is wrong with the body.
    pub problems: Vec<Problem>,
    /// The tokens that could be read nevertheless. A refresh token that replaced another exists nowhere else.
    pub rescued: RescuedTokens,
}

/// The tokens in a response that could otherwise not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RescuedTokens {
    /// The access token, if it could be read.
    pub access_token: Option<AccessToken>,
    /// The refresh token, if it could be read.
    pub refresh_token: Option<RefreshToken>,
    /// The hub id of the account that they belong to, if it could be read.
    pub hub_id: Option<i64>,
    /// The user id of the person who installed the app, if it could be read.
    pub user_id: Option<i64>,
}

impl ResponseError {
    pub(crate) fn new<B>(operation: Operation, response: &http::Response<B>, problems: Vec<Problem>) -> Self {
        let content_type = response.headers().get(http::header::CONTENT_TYPE);
        Self {
            operation,
            status: response.status(),
            content_type: content_type.and_then(|value| media_type(value.to_str().ok()?)),
            problems,
            rescued: RescuedTokens::default(),
        }
    }

    /// Returns what to do next.
    ///
    /// This is [`NextStep::ReportBug`] unless the body did not arrive whole. In that case it is [`NextStep::RetryAfter`]: try again,
    /// with the refresh token in [`ResponseError::rescued`] if there is one.
    pub fn next_step(&self) -> NextStep {
        match self.problems.contains(&Problem::Truncated) {
            true => NextStep::RetryAfter(None),
            false => NextStep::ReportBug,
        }
    }
}

/// The media types that are shown. Any other may be an echo of the request, and so hold a secret.
const MEDIA_TYPES: [&str; 12] = [
    "application/javascript",
    "application/json",
    "application/jwt",
    "application/octet-stream",
    "application/problem+json",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "text/html",
    "text/javascript",
    "text/plain",
    "text/xml",
];

/// Returns the media type in a `Content-Type` header if it is one of [`MEDIA_TYPES`].
fn media_type(content_type: &str) -> Option<String> {
    let media_type = content_type.split(';').next()?.trim();
    let known = MEDIA_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(media_type))?;
    Some(known.to_owned())
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked to {}, the server answered {}", self.operation, self.status.as_u16())?;
        if let Some(content_type) = &self.content_type {
            write!(f, " ({content_type})")?;
        }
        f.write_str(" with a body that cannot be used: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { ", " } else { "" })?;
        }
        if self.rescued.refresh_token.is_some() {
            f.write_str(
                "; the refresh token in it is kept in this error, and may be the only one that is still good",
            )?;
        }
        write!(f, "; next: {}", self.next_step())
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_usual_media_type_is_shown_since_another_may_be_an_echo_of_the_request() {
        assert_eq!(media_type(" Text/HTML ; charset=utf-8").as_deref(), Some("text/html"));
        assert_eq!(media_type("application/json").as_deref(), Some("application/json"));
        for echo in
            ["application/na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a", "na1-6f18f26a/json", "json", "", "/"]
        {
            assert_eq!(media_type(echo), None, "{echo}");
        }
    }
}
