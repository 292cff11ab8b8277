use std::fmt;

use http::StatusCode;

use super::{NextStep, Operation};
use crate::json::Problem;
use crate::secret::{AccessToken, RefreshToken};

/// A successful status with a body that is not what was asked for.
///
/// Holds no part of the body but the tokens that could be read out of it, which print as `[redacted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseError {
    /// What was asked for.
    pub operation: Operation,
    /// The status, 200 to 299.
    pub status: StatusCode,
    /// The answer's media type without parameters, if it is one of the usual.
    pub content_type: Option<String>,
    /// Everything that is wrong with the body.
    pub problems: Vec<Problem>,
    /// The tokens that could be read all the same. Boxed with the error; a token that replaced another exists nowhere
    /// else.
    pub rescued: RescuedTokens,
}

/// The tokens in an answer that could otherwise not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RescuedTokens {
    /// The access token.
    pub access_token: Option<AccessToken>,
    /// The refresh token.
    pub refresh_token: Option<RefreshToken>,
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

    /// [`NextStep::ReportBug`], unless the body did not arrive whole: then try again, with the refresh token in
    /// [`ResponseError::rescued`] if there is one.
    pub fn next_step(&self) -> NextStep {
        match self.problems.contains(&Problem::Truncated) {
            true => NextStep::RetryAfter(None),
            false => NextStep::ReportBug,
        }
    }
}

/// The media types that tell something. Any other name may be an echo of the request.
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
    fn a_media_type_is_shown_if_it_is_no_echo() {
        assert_eq!(media_type(" Text/HTML ; charset=utf-8").as_deref(), Some("text/html"));
        assert_eq!(media_type("application/json").as_deref(), Some("application/json"));
        for echo in
            ["application/na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a", "na1-6f18f26a/json", "json", "", "/"]
        {
            assert_eq!(media_type(echo), None, "{echo}");
        }
    }
}
