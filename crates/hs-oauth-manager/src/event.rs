//! The events of a token manager, for the application's callback and for `tracing`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Timestamp};

/// Something that happened to an account. `Debug` shows no secret. The error of [`Event::Failed`] may hold tokens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// New tokens are in the store. They come from an install, from a renewal, or from a renewal whose save had failed before.
    Saved {
        /// The account.
        account: Account,
        /// When the access token expires.
        expires_at: Timestamp,
    },
    /// A renewal has succeeded. Its tokens are saved, and are handed out from now on.
    Renewed {
        /// The account.
        account: Account,
        /// When the access token expires.
        expires_at: Timestamp,
    },
    /// The account's grant is gone. The account has to connect the app again.
    Gone {
        /// The account.
        account: Account,
        /// Whether the grant was probably lost in a renewal whose response never came, and not ended by the account.
        unsettled: bool,
    },
    /// The account was disconnected by this manager.
    Disconnected {
        /// The account.
        account: Account,
    },
    /// HubSpot refuses the grants of many accounts at once. From now on no account is marked as gone, until refreshes succeed again. The
    /// app's client id or secret is probably that of another app.
    MassRefusal,
    /// A renewal failed, or an install or the save of new tokens did. [`TokenError::next_step`] says what to do. The manager itself tries
    /// a renewal again when it may.
    Failed {
        /// The account.
        account: Account,
        /// Why it failed.
        error: &'a TokenError,
    },
}

impl Event<'_> {
    /// Returns the account that the event is about, if it is about one.
    pub const fn account(&self) -> Option<Account> {
        match self {
            Self::MassRefusal => None,
            Self::Saved { account, .. }
            | Self::Renewed { account, .. }
            | Self::Gone { account, .. }
            | Self::Disconnected { account }
            | Self::Failed { account, .. } => Some(*account),
        }
    }

    /// Returns the event's name for programs and logs: `saved`, `renewed`, `gone`, `disconnected`, `mass_refusal` or `failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Saved { .. } => "saved",
            Self::Renewed { .. } => "renewed",
            Self::Gone { .. } => "gone",
            Self::Disconnected { .. } => "disconnected",
            Self::MassRefusal => "mass_refusal",
            Self::Failed { .. } => "failed",
        }
    }
}

/// An application's callback for events.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Traces an event and passes it to the callback. The manager goes on even if the callback panics.
pub(crate) fn emit(listener: Option<&Listener>, event: &Event<'_>) {
    #[cfg(feature = "tracing")]
    match event {
        Event::Gone { account, unsettled } => {
            tracing::warn!(target: "hs_oauth", %account, event = event.name(), unsettled);
        }
        Event::Failed { account, error } => {
            tracing::warn!(target: "hs_oauth", %account, event = event.name(), %error);
        }
        Event::MassRefusal => tracing::warn!(target: "hs_oauth", event = event.name()),
        Event::Saved { account, .. } | Event::Renewed { account, .. } | Event::Disconnected { account } => {
            tracing::info!(target: "hs_oauth", %account, event = event.name());
        }
    }
    if let Some(listener) = listener {
        let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
    }
}
