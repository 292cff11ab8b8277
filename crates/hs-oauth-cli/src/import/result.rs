//! What came of the rows.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::import::row::Invalid;

/// What came of a row.
#[derive(Debug)]
pub(crate) struct RowResult {
    pub(crate) line: u64,
    /// The account, if the row names one.
    pub(crate) account: Option<String>,
    pub(crate) outcome: Outcome,
}

/// What came of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// HubSpot has accepted the refresh token, and the store has what came of it.
    Accepted {
        /// Whether that was in an earlier import.
        earlier: bool,
    },
    /// The refresh token is in the store, and HubSpot was not asked.
    Stored,
    /// The store had it already.
    Unchanged,
    /// It is not imported, and will not be if it is tried again.
    Refused { reason: Reason, message: String },
    /// It has to be tried again.
    Pending { message: String },
}

/// Why a grant is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The row holds no grant.
    Invalid,
    /// Another row has the same account.
    Duplicate,
    /// The account is connected already, with another refresh token.
    AlreadyConnected,
    /// HubSpot says that the grant is gone: the account has to connect again.
    Gone,
    /// The token is another account's.
    OtherAccount,
    /// The token is another app's.
    OtherApp,
    /// HubSpot refuses it for another reason.
    Refused,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::AlreadyConnected => "already_connected",
            Self::Gone => "gone",
            Self::OtherAccount => "other_account",
            Self::OtherApp => "other_app",
            Self::Refused => "refused",
        }
    }
}

impl Outcome {
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }

    pub(crate) fn pending(message: impl Into<String>) -> Self {
        Self::Pending { message: message.into() }
    }

    /// Returns whether HubSpot or the store has accepted the grant.
    pub(crate) const fn is_success(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Stored)
    }

    pub(crate) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Stored => "stored",
            Self::Unchanged => "unchanged",
            Self::Refused { .. } => "refused",
            Self::Pending { .. } => "pending",
        }
    }
}

impl fmt::Display for RowResult {
    /// Writes a line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(account) = &self.account {
            write!(f, " (account {account})")?;
        }
        write!(f, ": {}", self.outcome.status())?;
        match &self.outcome {
            Outcome::Refused { message, .. } | Outcome::Pending { message } => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

impl From<Invalid> for Outcome {
    fn from(invalid: Invalid) -> Self {
        Self::refused(Reason::Invalid, invalid.0)
    }
}

/// Returns the line of the report about a row. It has no token.
pub(crate) fn line_of_report(result: &RowResult) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put("line", result.line.into());
    if let Some(account) = &result.account {
        put("account", account.as_str().into());
    }
    put("status", result.outcome.status().into());
    match &result.outcome {
        Outcome::Accepted { earlier: true } => put("earlier", true.into()),
        Outcome::Refused { reason, message } => {
            put("reason", reason.name().into());
            put("message", message.as_str().into());
        }
        Outcome::Pending { message } => put("message", message.as_str().into()),
        _ => {}
    }
    Value::Object(object)
}

/// How many rows came to what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) accepted: u64,
    /// How many of the accepted ones were accepted in an earlier import.
    pub(crate) accepted_earlier: u64,
    pub(crate) stored: u64,
    pub(crate) unchanged: u64,
    pub(crate) refused: u64,
    pub(crate) pending: u64,
}

impl Summary {
    /// Counts a row.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.rows += 1;
        match outcome {
            Outcome::Accepted { earlier } => {
                self.accepted += 1;
                self.accepted_earlier += u64::from(*earlier);
            }
            Outcome::Stored => self.stored += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused { .. } => self.refused += 1,
            Outcome::Pending { .. } => self.pending += 1,
        }
    }

    /// Returns the sums as the object that `--json` prints.
    pub(crate) fn object(&self) -> Value {
        json!({
            "rows": self.rows,
            "accepted": self.accepted,
            "accepted_earlier": self.accepted_earlier,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "pending": self.pending,
        })
    }

    /// Returns the sums as a sentence.
    pub(crate) fn text(&self) -> String {
        let earlier = match self.accepted_earlier {
            0 => String::new(),
            number => format!(" ({number} of them earlier)"),
        };
        let mut parts = vec![format!("{} accepted{earlier}", self.accepted)];
        for (number, what) in [
            (self.stored, "stored and not verified"),
            (self.unchanged, "there already"),
            (self.refused, "refused"),
            (self.pending, "not done yet"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        format!("{} rows: {}", self.rows, parts.join(", "))
    }
}
