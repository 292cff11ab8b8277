//! Errors of token stores.

use std::fmt;
use std::sync::Arc;

use super::NextStep;
use crate::text::error_text;

/// The error of a token store that could not do what was asked. Stores make it with [`StoreError::new`] or
/// [`StoreError::with_source`].
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with a token store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store does not answer, or not in time. A write may have taken effect, or may still do so.
    Unavailable,
    /// The store's record of the account is damaged and cannot be read.
    Damaged,
    /// The store's record of the account cannot be read by this program. It was written by a newer version of this library, or is
    /// encrypted with a key that is not available.
    Unreadable,
    /// The store cannot be used as it is configured, for example because a permission is missing, or because others could read
    /// it.
    Refused,
}

impl StoreError {
    /// Returns an error of this kind without a source.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Returns an error of this kind with the error that caused it.
    ///
    /// `source` and its own sources are part of the error's message, so they must hold no secret.
    pub fn with_source(
        kind: StoreErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(Arc::from(source.into())) }
    }

    /// Returns the error of a store that reports one conflict after the other.
    pub fn conflicts() -> Self {
        Self::with_source(StoreErrorKind::Unavailable, "one conflict after the other")
    }

    /// Returns what is wrong with the store.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns what to do next: try again later if the store is unavailable; otherwise fix the store.
    pub const fn next_step(&self) -> NextStep {
        match self.kind {
            StoreErrorKind::Unavailable => NextStep::RetryAfter(None),
            StoreErrorKind::Damaged | StoreErrorKind::Unreadable | StoreErrorKind::Refused => {
                NextStep::FixConfiguration
            }
        }
    }
}

impl StoreErrorKind {
    /// Returns the kind's name for programs and logs: `unavailable`, `damaged`, `unreadable` or `refused`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        match &self.source {
            Some(source) => write!(f, ": {}", error_text(&**source)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the token store does not answer",
            Self::Damaged => "the token store's record of the account is damaged",
            Self::Unreadable => "the token store's record of the account cannot be read here",
            Self::Refused => "the token store cannot be used as it is set up",
        })
    }
}

// Not derived: the source is part of the message, so `source` does not return it a second time.
impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the query failed")]
    struct QueryFailed(#[source] std::num::ParseIntError);

    #[test]
    fn the_message_has_the_cause_and_the_causes_of_the_cause() {
        let cause = QueryFailed("x".parse::<u8>().unwrap_err());
        let error = StoreError::with_source(StoreErrorKind::Unavailable, cause);
        assert_eq!(
            error.to_string(),
            "the token store does not answer: the query failed: invalid digit found in string"
        );
    }
}
