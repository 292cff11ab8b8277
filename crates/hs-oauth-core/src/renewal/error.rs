//! Why a run ends without tokens.

use std::fmt;
use std::time::Duration;

use super::retry_cause::RetryCause;
use crate::account::Account;
use crate::app::AppIdentity;
use crate::error::{Error, NextStep, StoreError};
use crate::text::printable;
use crate::token_set::TokenSet;

/// Why there is no token to hand out, or why an install or a disconnect was not finished.
///
/// [`TokenError::next_step`] says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No tokens are stored for the account. It never connected the app, or it was disconnected.
    #[error("no tokens are held for this account; next: {}", self.next_step())]
    NotInstalled,
    /// HubSpot refused the grant. The account uninstalled the app, or its refresh token was lost in a renewal. Nothing is sent for this
    /// account until it is installed again, or until somebody asks for a recheck.
    #[error(
        "the account's grant is gone{}{}; next: {}",
        if *unsettled { " (lost in a renewal)" } else { "" },
        cause(refusal.as_ref()),
        self.next_step()
    )]
    Gone {
        /// Whether the grant was probably lost in a renewal whose response never came, and not ended by the account.
        unsettled: bool,
        /// HubSpot's error response, if this run received it.
        refusal: Option<Error>,
    },
    /// There is no refresh token to renew the tokens with. Those that are stored have expired; those that were to be installed are not stored.
    #[error("there is no refresh token to renew the account's tokens with; next: {}", self.next_step())]
    NotRenewable,
    /// The call to HubSpot failed. After a renewal or an install, the account's state is unchanged. After a disconnect, the tombstone is stored.
    #[error(transparent)]
    Call(#[from] Error),
    /// An earlier renewal failed, in this process or another, and it is too early for the next one.
    #[error("{}; next try in {}; next: {}", cause_text(cause.as_ref()), Seconds(*wait), self.next_step())]
    BackingOff {
        /// How long to wait before the next call.
        wait: Duration,
        /// Why the earlier renewal failed. `None` if an older version of this library noted it.
        cause: Option<RetryCause>,
    },
    /// The grant was made for another app. It is not used, and its record is not changed.
    ///
    /// The app's client id is wrong, or two apps share a store by mistake. An app that is to take over the account has to be installed.
    #[error("the grant is of the app {client_id}, and the configured app is {configured}; next: {}", self.next_step())]
    OtherApp {
        /// The client id of the app that the grant was made for.
        client_id: String,
        /// The client id of the configured app.
        configured: String,
        /// The tokens that were to be installed, if any.
        tokens: Option<Box<TokenSet>>,
    },
    /// The tokens are those of another account. They are not used. After a refresh, the old tokens stay.
    #[error("tokens for the account {expected} were asked for, and those of {named} came; next: {}", self.next_step())]
    OtherAccount {
        /// The account that tokens were asked for. Its user is the one who installed the app, if that is known.
        expected: Account,
        /// The account that HubSpot named.
        named: Account,
        /// The tokens that were to be installed, if any. Those of a refresh are not kept.
        tokens: Option<Box<TokenSet>>,
    },
    /// The account names a user and the manager is not user-level, or the other way round.
    #[error("{} (account {account}); next: {}", level_text(account), self.next_step())]
    WrongLevel {
        /// The account.
        account: Account,
        /// The tokens that were to be installed, if any.
        tokens: Option<Box<TokenSet>>,
    },
    /// HubSpot refused the grant, and those of many other accounts within the last minute. So the account is not marked as gone.
    ///
    /// Such a mass refusal nearly always has one cause: the app's client id or secret is that of another app, or HubSpot fails.
    #[error("HubSpot refuses the grants of many accounts at once{}; next: {}", cause(Some(refusal)), self.next_step())]
    MassRefusal {
        /// HubSpot's error response.
        refusal: Error,
    },
    /// The store failed, and there are no new tokens.
    #[error("{_0}; next: {}", self.next_step())]
    Store(StoreError),
    /// HubSpot has taken the app out of the account, and that could not be saved. The tokens are still stored, and do not work any more.
    #[error(
        "the app is uninstalled, and that could not be saved{}; next: uninstall it again when the store works",
        cause(Some(_0))
    )]
    UninstallUnsaved(StoreError),
    /// HubSpot issued tokens that could not be saved. They may exist nowhere else.
    ///
    /// The token manager holds them and saves them as soon as the store works again, unless another install or a disconnect came in between.
    #[error(
        "new tokens could not be saved{}; next: see to the store; the token manager goes on saving them",
        cause(Some(error))
    )]
    Unsaved {
        /// The tokens that HubSpot issued.
        tokens: Box<TokenSet>,
        /// Why they were not saved.
        error: StoreError,
    },
    /// Another install or disconnect of this account came in between. Its result is in the store.
    #[error(
        "another install or disconnect of this account came in between, and stands; next: {}",
        self.next_step()
    )]
    Superseded {
        /// The tokens that were to be installed, if any.
        tokens: Option<Box<TokenSet>>,
    },
    /// HubSpot issued tokens without naming the account, as `v1` does, and a request for the account failed.
    #[error("new tokens do not say whose they are{}; next: ask HubSpot, and install them for that account", cause(error.as_ref()))]
    UnknownAccount {
        /// The tokens that HubSpot issued.
        tokens: Box<TokenSet>,
        /// Why the request for the account failed, if one was sent.
        error: Option<Error>,
    },
    /// The token manager has been shut down.
    #[error("the token manager has been shut down; next: ask the one that comes after it")]
    ShutDown,
    /// An async token manager was called outside of the runtime that it needs.
    #[error("there is no async runtime to work on here; next: call from within one")]
    NoRuntime,
    /// The renewal ended without a result. It panicked, because of an error in the store, or its runtime was shut down. It counts as a
    /// crash.
    #[error("the renewal was interrupted; next: {}", self.next_step())]
    Interrupted,
}

impl TokenError {
    /// Returns [`TokenError::OtherApp`] if `client_id`, the app that a grant was made for, is known and is another than `app`.
    pub fn other_app(app: &AppIdentity, client_id: Option<&str>) -> Option<Self> {
        let client_id = client_id.filter(|client_id| *client_id != app.client_id())?;
        // It may come from a response, and so be anything.
        let client_id = printable(client_id).chars().take(MAX_CLIENT_ID_LEN).collect();
        Some(Self::OtherApp { client_id, configured: app.client_id().to_owned(), tokens: None })
    }

    /// Returns the error of an uninstall whose call has succeeded, for the error with which its tombstone was not written:
    /// [`TokenError::UninstallUnsaved`] in place of [`TokenError::Store`].
    pub fn after_uninstall(self) -> Self {
        match self {
            Self::Store(error) => Self::UninstallUnsaved(error),
            error => error,
        }
    }

    /// Returns what to do next.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NotInstalled | Self::Gone { .. } | Self::NotRenewable => NextStep::Reauthorize,
            Self::Call(error) => error.next_step(),
            Self::BackingOff { cause: Some(cause), wait } => cause.next_step(*wait),
            Self::BackingOff { wait, cause: None } => NextStep::RetryAfter(Some(*wait)),
            Self::OtherApp { .. }
            | Self::OtherAccount { .. }
            | Self::WrongLevel { .. }
            | Self::MassRefusal { .. } => NextStep::FixConfiguration,
            Self::Store(error) | Self::UninstallUnsaved(error) | Self::Unsaved { error, .. } => {
                error.next_step()
            }
            Self::Superseded { tokens: Some(_) } => NextStep::RestartAuthorization,
            // A disconnect may be tried again.
            Self::Superseded { tokens: None } => NextStep::RetryAfter(None),
            Self::Interrupted | Self::ShutDown => NextStep::RetryAfter(None),
            Self::UnknownAccount { error: Some(error), .. } => error.next_step(),
            Self::UnknownAccount { error: None, .. } | Self::NoRuntime => NextStep::FixConfiguration,
        }
    }

    /// Returns the tokens in this error, if there are any. HubSpot issued them, and they may be stored nowhere else.
    pub fn tokens(&self) -> Option<&TokenSet> {
        match self {
            Self::Unsaved { tokens, .. } | Self::UnknownAccount { tokens, .. } => Some(tokens),
            Self::Superseded { tokens }
            | Self::OtherApp { tokens, .. }
            | Self::OtherAccount { tokens, .. }
            | Self::WrongLevel { tokens, .. } => tokens.as_deref(),
            _ => None,
        }
    }

    /// Returns the error's name for programs and logs: `not_installed`, `gone`, `not_renewable`, `call`, `backing_off`,
    /// `other_app`, `other_account`, `wrong_level`, `mass_refusal`, `store`, `uninstall_unsaved`, `unsaved`, `superseded`,
    /// `unknown_account`, `shut_down`, `no_runtime` or `interrupted`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotInstalled => "not_installed",
            Self::Gone { .. } => "gone",
            Self::NotRenewable => "not_renewable",
            Self::Call(_) => "call",
            Self::BackingOff { .. } => "backing_off",
            Self::OtherApp { .. } => "other_app",
            Self::OtherAccount { .. } => "other_account",
            Self::WrongLevel { .. } => "wrong_level",
            Self::MassRefusal { .. } => "mass_refusal",
            Self::Store(_) => "store",
            Self::UninstallUnsaved(_) => "uninstall_unsaved",
            Self::Unsaved { .. } => "unsaved",
            Self::Superseded { .. } => "superseded",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::ShutDown => "shut_down",
            Self::NoRuntime => "no_runtime",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The most characters of another app's client id in an error. HubSpot's have 36.
const MAX_CLIENT_ID_LEN: usize = 64;

/// Writes the text of an error that led to another one, without the next step that goes with it: `: HubSpot did not …`.
fn cause(error: Option<&impl fmt::Display>) -> String {
    let text = error.map(ToString::to_string).unwrap_or_default();
    let text = text.split("; next: ").next().unwrap_or_default();
    match text.is_empty() {
        true => String::new(),
        false => format!(": {text}"),
    }
}

fn cause_text(cause: Option<&RetryCause>) -> String {
    cause.map_or_else(|| "it is too early for another renewal".to_owned(), RetryCause::to_string)
}

fn level_text(account: &Account) -> &'static str {
    match account.user_id {
        Some(_) => "the token manager holds tokens of whole hubs, and the account names a user",
        None => "the token manager holds tokens of users, and the account names none",
    }
}

/// Writes a duration in seconds, rounded up: `75 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_millis().div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use http::StatusCode;

    use super::*;
    use crate::error::{ApiError, Operation, StoreErrorKind};

    #[test]
    fn an_error_says_its_cause_once_and_what_to_do_next() {
        let mut refusal = ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST);
        refusal.error = Some("invalid_grant".into());
        let refusal = Error::from(refusal);
        let store = StoreError::with_source(StoreErrorKind::Unavailable, "connection refused");
        let tokens = Box::new(TokenSet::from_refresh_token("r".parse().unwrap()));
        for (error, cause, next) in [
            (
                TokenError::Gone { unsettled: false, refusal: Some(refusal.clone()) },
                "invalid_grant",
                NextStep::Reauthorize,
            ),
            (
                TokenError::MassRefusal { refusal: refusal.clone() },
                "invalid_grant",
                NextStep::FixConfiguration,
            ),
            (TokenError::Store(store.clone()), "connection refused", store.next_step()),
            (TokenError::Unsaved { tokens, error: store.clone() }, "connection refused", store.next_step()),
            (TokenError::UninstallUnsaved(store.clone()), "connection refused", store.next_step()),
            (TokenError::Call(refusal.clone()), "invalid_grant", NextStep::Reauthorize),
        ] {
            let text = error.to_string();
            assert_eq!(text.matches(cause).count(), 1, "{text}");
            assert_eq!(text.matches("; next: ").count(), 1, "{text}");
            assert_eq!(error.next_step(), next, "{text}");
            assert!(error.source().is_none_or(|source| !text.contains(&source.to_string())), "{text}");
        }
    }

    /// What it says after the second call of a service that was deployed with a wrong secret.
    #[test]
    fn a_back_off_says_its_cause_and_how_long_it_lasts() {
        let wait = Duration::from_millis(74_200);
        let error = TokenError::BackingOff { wait, cause: Some(RetryCause::ClientRefused) };
        assert_eq!(
            error.to_string(),
            format!(
                "HubSpot refused the client id or the client secret; next try in 75 s; next: {}",
                NextStep::FixConfiguration
            )
        );
        let error = TokenError::BackingOff { wait, cause: Some(RetryCause::NoResponse) };
        assert_eq!(error.next_step(), NextStep::RetryAfter(Some(wait)));
    }
}
