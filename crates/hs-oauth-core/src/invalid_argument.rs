//! The error of constructors.

use std::fmt;

use crate::next_step::NextStep;

/// The error of a constructor that does not accept an argument: which one, and what is wrong with it.
///
/// It never holds the value itself, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{argument}`{} {kind}", position(self.index))]
#[non_exhaustive]
pub struct InvalidArgument {
    /// The name of the argument, such as `client_id` or `redirect_uri`. It is HubSpot's name or that of the constructor's parameter.
    /// For [`App::from_env`](crate::App::from_env), it is the name of the environment variable.
    pub argument: &'static str,
    /// The position of the value, from 0, if it is one of a list.
    pub index: Option<usize>,
    /// What is wrong with the value.
    pub kind: InvalidArgumentKind,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidArgumentKind {
    /// The value is missing or empty.
    Missing,
    /// The value is longer than `limit` bytes.
    TooLong {
        /// The largest number of bytes that this argument may have.
        limit: usize,
    },
    /// The value has a character that is not allowed in it.
    Character {
        /// The offset of the character, in bytes from 0.
        at: usize,
    },
    /// The scope has a comma in it. HubSpot separates scopes by spaces.
    Comma {
        /// The offset of the comma, in bytes from 0.
        at: usize,
    },
    /// The scopes lack `oauth`, which HubSpot requires of every app.
    NoOauthScope,
    /// The scope is in another list, too. An app has each scope as required, conditionally required or optional.
    InTwoLists,
    /// The value is `.` or `..`, which clients and servers remove from a URL path (RFC 3986 §5.2.4).
    DotSegment,
    /// The value is not an absolute `http` or `https` URL.
    NotAUrl,
    /// The URL is plain `http` and its host is not a loopback address, so credentials would cross a network unencrypted.
    NotHttps,
    /// The URL has a part that is not allowed.
    UrlPart(
        /// The part: `a user name or password`, `a query`, `a fragment`, or parameters that HubSpot adds itself.
        &'static str,
    ),
    /// The value is not an API version: `v1`, `v3` or a month such as `2026-09`.
    NotAVersion,
    /// The value is not 43 to 128 unreserved characters (RFC 7636 §4.1).
    NotACodeVerifier,
    /// The environment variable's value is not UTF-8.
    NotUnicode,
    /// The value is not an account: a hub id, or a hub id and a user id with a dash between them.
    NotAnAccount,
    /// The times are such that a renewal would not be safe.
    Timing(
        /// What is wrong with the times.
        &'static str,
    ),
}

impl InvalidArgument {
    pub(crate) const fn new(argument: &'static str, kind: InvalidArgumentKind) -> Self {
        Self { argument, index: None, kind }
    }

    /// Returns the same error for an argument of another name.
    pub(crate) const fn named(self, argument: &'static str) -> Self {
        Self { argument, ..self }
    }

    /// Returns the same error for a value in a list. `index` counts from 0.
    pub(crate) const fn in_list(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// Returns what to do next: fix the configuration. Whoever gave the argument has to give another one.
    pub const fn next_step(&self) -> NextStep {
        NextStep::FixConfiguration
    }
}

/// Writes a position in a list for people, who count from 1.
fn position(index: Option<usize>) -> String {
    index.map_or_else(String::new, |index| format!(" number {}", index.saturating_add(1)))
}

impl fmt::Display for InvalidArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing or empty"),
            Self::TooLong { limit } => write!(f, "is longer than {limit} bytes"),
            Self::Character { at } => write!(f, "has a character at byte {at} that is not allowed"),
            Self::Comma { at } => write!(f, "has a comma at byte {at}: put spaces between scopes"),
            Self::NoOauthScope => f.write_str("lacks `oauth`, which HubSpot requires of every app"),
            Self::InTwoLists => {
                f.write_str("is in two lists: a scope is either required, conditionally required or optional")
            }
            Self::DotSegment => f.write_str("is `.` or `..`, which cannot be part of a URL path"),
            Self::NotAUrl => f.write_str("is not an absolute http or https URL"),
            Self::NotHttps => f.write_str("must be https (plain http is for loopback hosts only)"),
            Self::UrlPart(part) => write!(f, "has {part}, which is not allowed"),
            Self::NotAVersion => f.write_str("is not an API version: use v1, v3 or a month such as 2026-09"),
            Self::NotACodeVerifier => f.write_str("is not a code verifier: 43 to 128 of A-Z a-z 0-9 - . _ ~"),
            Self::NotUnicode => f.write_str("is not UTF-8"),
            Self::NotAnAccount => {
                f.write_str("is not an account: use a hub's number, or a hub's and a user's such as 62515-7")
            }
            Self::Timing(rule) => write!(f, "has {rule}"),
        }
    }
}
