use std::fmt;
use std::sync::Arc;

use super::NextStep;

/// A store that did not do what it was asked. A store makes it; core decides what it means.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It does not answer, or not in time. A write may have taken effect, or may still do so.
    Unavailable,
    /// What it holds of the account cannot be read.
    Damaged,
    /// What it holds of the account was written by a newer version of this library, or is sealed with a key that is not
    /// at hand.
    Unreadable,
    /// It refuses to work as it is set up: no permission, or others could read it.
    Refused,
}

impl StoreError {
    /// A failure without more to tell.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// A failure and what the store said. `source` is shown with the error: it must hold no secret.
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

    /// What is wrong.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What to do next: wait for a store that does not answer, else look after it.
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
    /// The failure's name for programs and logs: `unavailable`, `damaged`, `unreadable` or `refused`.
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
            Some(source) => write!(f, ": {source}"),
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

// The source is part of the message, so it is not given a second time.
impl std::error::Error for StoreError {}
