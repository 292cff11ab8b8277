use std::fmt;

use http::StatusCode;

use super::{NextStep, Operation};
use crate::secret::{AccessToken, RefreshToken};

/// A successful status with a body that is not what was asked for.
///
/// Holds no part of the body but the tokens that could be read out of it, which print as `[redacted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerError {
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
    pub rescued: Rescued,
}

/// The tokens in an answer that could otherwise not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescued {
    /// The access token.
    pub access_token: Option<AccessToken>,
    /// The refresh token.
    pub refresh_token: Option<RefreshToken>,
}

/// What is wrong with the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no body.
    Empty,
    /// The body did not arrive whole: the connection broke, the time was up, or it is too large.
    Cut,
    /// The body is not one whole JSON text.
    NotJson,
    /// The body is JSON, but not an object.
    NotAnObject,
    /// A field stands there more than once.
    Repeated(&'static str),
    /// A needed field is not there, or null.
    Missing(&'static str),
    /// A needed field has another type than it should.
    WrongType(&'static str),
    /// A field's value cannot be: a token with a line break, a lifetime of zero, a token type other than `bearer`.
    Invalid(&'static str),
}

impl AnswerError {
    pub(crate) fn new<B>(operation: Operation, response: &http::Response<B>, problems: Vec<Problem>) -> Self {
        let content_type = response.headers().get(http::header::CONTENT_TYPE);
        Self {
            operation,
            status: response.status(),
            content_type: content_type.and_then(|value| media_type(value.to_str().ok()?)),
            problems,
            rescued: Rescued::default(),
        }
    }

    /// [`NextStep::ReportBug`], unless the body did not arrive whole: then try again, with the refresh token in
    /// [`AnswerError::rescued`] if there is one.
    pub fn next_step(&self) -> NextStep {
        match self.problems.contains(&Problem::Cut) {
            true => NextStep::RetryAfter(None),
            false => NextStep::ReportBug,
        }
    }
}

impl Problem {
    /// The field it is about, by HubSpot's name for it; none if it is the whole body.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::Cut | Self::NotJson | Self::NotAnObject => None,
            Self::Repeated(field) | Self::Missing(field) | Self::WrongType(field) | Self::Invalid(field) => {
                Some(field)
            }
        }
    }

    /// The field that is missing, if that is the problem.
    pub const fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Missing(field) => Some(field),
            _ => None,
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

impl fmt::Display for AnswerError {
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

impl std::error::Error for AnswerError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Cut => f.write_str("it did not arrive whole"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::NotAnObject => f.write_str("it is not a JSON object"),
            Self::Repeated(field) => write!(f, "`{field}` is there twice"),
            Self::Missing(field) => write!(f, "`{field}` is missing"),
            Self::WrongType(field) => write!(f, "`{field}` is of the wrong type"),
            Self::Invalid(field) => write!(f, "`{field}` has a value that cannot be"),
        }
    }
}

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
