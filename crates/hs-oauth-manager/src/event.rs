//! The events of a token manager, for the application's callback and for `tracing`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Timestamp};

use crate::metrics;

/// Something that happened to an account. `Debug` shows no secret. The error of [`Event::Failed`] may hold tokens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An account has connected the app, or its tokens were imported. They are saved.
    Installed {
        /// The account.
        account: Account,
        /// Whether the account was connected before, and had not been disconnected.
        reinstall: bool,
    },
    /// A renewal has succeeded. Its tokens are saved, and are handed out from now on.
    Renewed {
        /// The account.
        account: Account,
        /// When the access token expires.
        expires_at: Timestamp,
        /// How long the renewal took, with all its waits.
        took: Duration,
    },
    /// Tokens that could not be saved before are saved now.
    Saved {
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
    /// The account was disconnected or forgotten by this manager, or the app was uninstalled.
    Disconnected {
        /// The account.
        account: Account,
    },
    /// HubSpot refuses the grants of many accounts at once. From now on no account is marked as gone, until refreshes succeed again. The
    /// app's client id or secret is probably that of another app.
    MassRefusal,
    /// HubSpot refuses the credential that was set while the manager ran. For up to an hour the one before it is used.
    CredentialRefused,
    /// A renewal failed, or an install or the save of new tokens did. [`TokenError::next_step`] says what to do. The manager itself tries
    /// a renewal again when it may. A store that fails for all accounts is reported at once, and then once a minute as long as it fails.
    Failed {
        /// The account.
        account: Account,
        /// Why it failed.
        error: &'a TokenError,
        /// How long it took until it failed, with all waits.
        took: Duration,
        /// How many renewals have failed without an event of their own since the last one. It is not 0 only for a store that fails.
        unreported: u64,
    },
}

impl Event<'_> {
    /// Returns the account that the event is about, if it is about one.
    pub const fn account(&self) -> Option<Account> {
        match self {
            Self::MassRefusal | Self::CredentialRefused => None,
            Self::Installed { account, .. }
            | Self::Saved { account, .. }
            | Self::Renewed { account, .. }
            | Self::Gone { account, .. }
            | Self::Disconnected { account }
            | Self::Failed { account, .. } => Some(*account),
        }
    }

    /// Returns the event's name for programs and logs: `installed`, `renewed`, `saved`, `gone`, `disconnected`, `mass_refusal`,
    /// `credential_refused` or `failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Installed { .. } => "installed",
            Self::Saved { .. } => "saved",
            Self::Renewed { .. } => "renewed",
            Self::Gone { .. } => "gone",
            Self::Disconnected { .. } => "disconnected",
            Self::MassRefusal => "mass_refusal",
            Self::CredentialRefused => "credential_refused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// An application's callback for events.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Traces an event and passes it to the callback. The manager goes on even if the callback panics.
pub(crate) fn emit(listener: Option<&Listener>, event: &Event<'_>) {
    #[cfg(feature = "tracing")]
    trace(event);
    metrics::event(event.name());
    if let Some(listener) = listener {
        let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
    }
}

/// Traces an event: a loss as a warning, what an operator or a customer did as information, and what happens all the time as a detail.
#[cfg(feature = "tracing")]
fn trace(event: &Event<'_>) {
    let name = event.name();
    match event {
        Event::Gone { account, unsettled } => {
            tracing::warn!(target: TARGET, %account, event = name, unsettled);
        }
        Event::MassRefusal | Event::CredentialRefused => tracing::warn!(target: TARGET, event = name),
        Event::Failed { account, error, took, unreported } => {
            tracing::warn!(target: TARGET, %account, event = name, %error, ?took, unreported);
        }
        Event::Installed { account, reinstall } => {
            tracing::info!(target: TARGET, %account, event = name, reinstall);
        }
        Event::Disconnected { account } => tracing::info!(target: TARGET, %account, event = name),
        Event::Renewed { account, took, .. } => {
            tracing::debug!(target: TARGET, %account, event = name, ?took);
        }
        Event::Saved { account, .. } => tracing::debug!(target: TARGET, %account, event = name),
    }
}

/// Returns the span of a renewal, an install or a disconnect of an account. The calls to HubSpot are in it. At the end of a renewal it has
/// what that cost.
#[cfg(feature = "tracing")]
pub fn account_span(account: Account) -> tracing::Span {
    let empty = tracing::field::Empty;
    tracing::debug_span!(target: TARGET, "account", %account, store_calls = empty, requests = empty)
}

/// Notes what a renewal cost in the span in which it is driven: its calls to the store and its requests to HubSpot.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is traced"))]
pub(crate) fn record_cost(store_calls: u32, requests: u32) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("store_calls", store_calls).record("requests", requests);
}

/// The target of everything that is traced.
#[cfg(feature = "tracing")]
pub(crate) const TARGET: &str = "hs_oauth";
