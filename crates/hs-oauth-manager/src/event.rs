//! What a token manager tells the application: by its callback and by `tracing`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Timestamp};

/// What happened to an account. Shows no secret; the error of [`Event::Failed`] may hold tokens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// New tokens are in the store. They came of an install, of a renewal, or of a renewal whose save had failed before.
    Saved {
        /// The account.
        account: Account,
        /// When the access token expires.
        expires_at: Timestamp,
    },
    /// A renewal is done. Its tokens are saved, and handed out from now on.
    Renewed {
        /// The account.
        account: Account,
        /// When the access token expires.
        expires_at: Timestamp,
    },
    /// The account's grant is gone: ask the account to connect the app again.
    Gone {
        /// The account.
        account: Account,
        /// Whether the grant was probably lost in a renewal whose response never came, and not refused outright.
        unsettled: bool,
    },
    /// The account was disconnected here.
    Disconnected {
        /// The account.
        account: Account,
    },
    /// A renewal failed, or the save of its tokens. [`TokenError::next_step`] says what to do. The manager itself tries again when
    /// it may.
    Failed {
        /// The account.
        account: Account,
        /// Why it failed.
        error: &'a TokenError,
    },
}

impl Event<'_> {
    /// Returns the account that the event is about.
    pub const fn account(&self) -> Account {
        match self {
            Self::Saved { account, .. }
            | Self::Renewed { account, .. }
            | Self::Gone { account, .. }
            | Self::Disconnected { account }
            | Self::Failed { account, .. } => *account,
        }
    }

    /// Returns the event's name for programs and logs: `saved`, `renewed`, `gone`, `disconnected` or `failed`.
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

/// The application's callback.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Tells the application. Whatever its callback does, the manager goes on.
pub(crate) fn emit(listener: Option<&Listener>, event: &Event<'_>) {
    #[cfg(feature = "tracing")]
    match event {
        Event::Gone { account, unsettled } => {
            tracing::warn!(target: "hs_oauth", %account, event = event.name(), unsettled);
        }
        Event::Failed { account, error } => {
            tracing::warn!(target: "hs_oauth", %account, event = event.name(), %error);
        }
        _ => tracing::info!(target: "hs_oauth", account = %event.account(), event = event.name()),
    }
    if let Some(listener) = listener {
        let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
    }
}
