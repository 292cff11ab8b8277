use std::fmt;

/// A value a constructor did not take: which argument, and what is wrong with it.
///
/// Never holds the value itself, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{argument}` {kind}")]
#[non_exhaustive]
pub struct InvalidArgument {
    /// The argument, by the name HubSpot or the constructor gives it: `client_id`, `redirect_uri`, or the name of an
    /// environment variable when [`App::from_env`](crate::App::from_env) read it.
    pub argument: &'static str,
    /// What is wrong with the value.
    pub kind: InvalidArgumentKind,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidArgumentKind {
    /// There is no value, or an empty one.
    Missing,
    /// The value has more bytes than `limit`.
    TooLong {
        /// The most bytes this argument may have.
        limit: usize,
    },
    /// The value has a byte that may not stand in it, at offset `at` (counted in bytes from 0).
    Character {
        /// Where the byte is.
        at: usize,
    },
    /// The value is `.` or `..`, which a URL path would swallow.
    DotSegment,
    /// The value is not an absolute `http` or `https` URL.
    NotAUrl,
    /// The URL is plain `http` and its host is not loopback, so credentials would cross a network in the clear.
    NotHttps,
    /// The URL has a part that may not be there.
    UrlPart(
        /// The part: `a user name or password`, `a query`, `a fragment`, or parameters HubSpot adds itself.
        &'static str,
    ),
    /// The value is none of the version names: `v1`, `v3` or a month such as `2026-09`.
    NotAVersion,
    /// The value is not 43 to 128 unreserved characters (RFC 7636 §4.1).
    NotACodeVerifier,
    /// The environment variable's value is not UTF-8.
    NotUnicode,
    /// The text is not an account: a hub's number, or a hub's and a user's with a dash between.
    NotAnAccount,
    /// With times like these a renewal is not safe.
    Timing(
        /// What is wrong with them.
        &'static str,
    ),
    /// The tokens have no refresh token, or do not say whose they are.
    Tokens(
        /// What is missing.
        &'static str,
    ),
}

impl InvalidArgument {
    pub(crate) const fn new(argument: &'static str, kind: InvalidArgumentKind) -> Self {
        Self { argument, kind }
    }

    pub(crate) const fn named(self, argument: &'static str) -> Self {
        Self { argument, kind: self.kind }
    }
}

impl fmt::Display for InvalidArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing or empty"),
            Self::TooLong { limit } => write!(f, "is longer than {limit} bytes"),
            Self::Character { at } => write!(f, "has a character at byte {at} that may not stand in it"),
            Self::DotSegment => f.write_str("is only dots, which a URL path would swallow"),
            Self::NotAUrl => f.write_str("is not an absolute http or https URL"),
            Self::NotHttps => f.write_str("must be https (plain http is for loopback hosts only)"),
            Self::UrlPart(part) => write!(f, "has {part}, which may not be there"),
            Self::NotAVersion => f.write_str("is not an API version: use v1, v3 or a month such as 2026-09"),
            Self::NotACodeVerifier => f.write_str("is not a code verifier: 43 to 128 of A-Z a-z 0-9 - . _ ~"),
            Self::NotUnicode => f.write_str("is not UTF-8"),
            Self::NotAnAccount => {
                f.write_str("is not an account: use a hub's number, or a hub's and a user's such as 62515-7")
            }
            Self::Timing(rule) => write!(f, "has {rule}"),
            Self::Tokens(missing) => write!(f, "has no {missing}"),
        }
    }
}
