use crate::account::Account;
use crate::error::TokenError;
use crate::timestamp::Timestamp;

/// What a token manager has to tell. Shows no secret; the error of [`Event::Failed`] may hold tokens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// New tokens are in the store: of an install, of a renewal, or of a renewal whose save had failed before.
    Saved {
        /// Whose.
        account: Account,
        /// When the access token ends.
        expires_at: Timestamp,
    },
    /// A renewal is done: its tokens are saved and handed out from now on.
    Renewed {
        /// Whose.
        account: Account,
        /// When the access token ends.
        expires_at: Timestamp,
    },
    /// The account's grant is gone: ask the account to connect the app again.
    Gone {
        /// Whose.
        account: Account,
        /// Whether it was probably lost in a renewal of which no answer came, and not refused outright.
        unsettled: bool,
    },
    /// The account was disconnected here.
    Disconnected {
        /// Whose.
        account: Account,
    },
    /// A renewal or the save of its tokens failed. [`TokenError::next_step`] says what to do; the manager itself tries again when
    /// it may.
    Failed {
        /// Whose.
        account: Account,
        /// Why.
        error: &'a TokenError,
    },
}

impl Event<'_> {
    /// Whose event it is.
    pub const fn account(&self) -> Account {
        match self {
            Self::Saved { account, .. }
            | Self::Renewed { account, .. }
            | Self::Gone { account, .. }
            | Self::Disconnected { account }
            | Self::Failed { account, .. } => *account,
        }
    }

    /// The event's name for programs and logs: `saved`, `renewed`, `gone`, `disconnected` or `failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Saved { .. } => "saved",
            Self::Renewed { .. } => "renewed",
            Self::Gone { .. } => "gone",
            Self::Disconnected { .. } => "disconnected",
            Self::Failed { .. } => "failed",
        }
    }
}
