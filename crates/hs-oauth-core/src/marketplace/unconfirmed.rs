//! A code that came without a `state`, until the person who is signed in has confirmed that it is theirs.

use http::{Request, Response};
use serde::{Deserialize, Serialize};

use super::ReturnUrl;
use crate::app::App;
use crate::authorize::MAX_AGE;
use crate::callback::{AuthorizationCode, CallbackError};
use crate::endpoint::{Endpoint, ExchangeCode, Introspect, Revoke};
use crate::error::{Error, Operation, TransportError};
use crate::scope::Scopes;
use crate::secret::Code;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// An install that began on the Marketplace: a code that came without a `state`.
///
/// **The code may be somebody else's.** Whoever follows a link that an attacker has made brings the attacker's code, and would join the
/// attacker's account to their own session (RFC 6749 §10.12). So a person has to be signed in, see which account this is, and confirm
/// it, before the account is theirs in the application:
///
/// 1. [`exchange`](Self::exchange) the code, and [`introspect`](UnconfirmedTokens::introspect) the token. That says the account's name.
/// 2. Show the account to the person who is signed in, with a button for each answer. Keep the [`UnconfirmedTokens`] in the session until
///    then.
/// 3. [`tokens_confirmed_by_signed_in_person`](UnconfirmedTokens::tokens_confirmed_by_signed_in_person) if they say that it is theirs.
///    Send [`revoke`](UnconfirmedTokens::revoke) if they do not.
/// 4. Send the browser to [`return_url`](Self::return_url) after an install. If it does not go there, HubSpot begins again.
///
/// It can be serialized. It has a secret in it, so the browser must not be able to read the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an unconfirmed install")]
pub struct UnconfirmedInstall {
    #[serde(rename = "code")]
    code: Code,
    #[serde(rename = "redirect_uri")]
    redirect_uri: String,
    #[serde(rename = "return_url", default)]
    return_url: Option<ReturnUrl>,
    #[serde(rename = "expires_at")]
    expires_at: Timestamp,
}

/// The exchange of a code that nobody has confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeUnconfirmed {
    exchange: ExchangeCode,
}

/// The tokens of an install that nobody has confirmed yet.
///
/// It can be serialized, for the time until the person confirms. It has the tokens in it, so the browser must not be able to read the
/// session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnconfirmedTokens(TokenSet);

impl UnconfirmedInstall {
    pub(super) fn new(
        code: Code,
        redirect_uri: String,
        return_url: Option<ReturnUrl>,
        now: Timestamp,
    ) -> Self {
        Self { code, redirect_uri, return_url, expires_at: now.plus(MAX_AGE) }
    }

    /// Returns the address to which the browser has to go after the install, if HubSpot named one.
    pub const fn return_url(&self) -> Option<&ReturnUrl> {
        self.return_url.as_ref()
    }

    /// Returns when the install becomes too old to be confirmed: an hour after it came. The code itself is good for a shorter time.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns the request that exchanges the code, so that the account can be shown to the person who is signed in. `now` is the time.
    ///
    /// # Errors
    /// [`CallbackError::Expired`] if the code came more than an hour ago.
    pub fn exchange(&self, now: Timestamp) -> Result<ExchangeUnconfirmed, CallbackError> {
        let code = self.clone().code_confirmed_by_signed_in_person(now)?;
        Ok(ExchangeUnconfirmed { exchange: ExchangeCode::new(code) })
    }

    /// Returns the code. **Call this only after the person who is signed in has confirmed that they began this install**, in answer to a
    /// page of the application's and by a request that another site cannot forge. `now` is the time.
    ///
    /// That page cannot show which account it is. [`exchange`](Self::exchange) leads to one that can.
    ///
    /// # Errors
    /// [`CallbackError::Expired`] if the code came more than an hour ago.
    pub fn code_confirmed_by_signed_in_person(
        self,
        now: Timestamp,
    ) -> Result<AuthorizationCode, CallbackError> {
        if now >= self.expires_at {
            return Err(CallbackError::Expired);
        }
        Ok(AuthorizationCode::from_caller_who_checked_state(self.code, self.redirect_uri, None))
    }
}

impl Endpoint for ExchangeUnconfirmed {
    type Output = UnconfirmedTokens;

    const OPERATION: Operation = ExchangeCode::OPERATION;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        self.exchange.to_http(app)
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<UnconfirmedTokens, Error> {
        self.exchange.read_response(app, sent_at, response).map(UnconfirmedTokens)
    }

    fn read_partial_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
        failure: TransportError,
    ) -> Result<UnconfirmedTokens, Error> {
        self.exchange.read_partial_response(app, sent_at, response, failure).map(UnconfirmedTokens)
    }
}

impl UnconfirmedTokens {
    /// Returns the hub id of the account, if HubSpot named it.
    pub const fn hub_id(&self) -> Option<i64> {
        self.0.hub_id
    }

    /// Returns the scopes that were granted, if HubSpot named them.
    pub const fn scopes(&self) -> Option<&Scopes> {
        self.0.scopes.as_ref()
    }

    /// Returns the request that asks whose the tokens are: the account's domain and the user's address, to be shown to the person.
    pub fn introspect(&self) -> Introspect {
        Introspect::new(self.0.access_token.clone())
    }

    /// Returns the tokens. **Call this only after the person who is signed in has seen which account this is and has confirmed that it is
    /// theirs**, by a request that another site cannot forge.
    pub fn tokens_confirmed_by_signed_in_person(self) -> TokenSet {
        self.0
    }

    /// Returns the request that revokes the tokens, for an account that is not the person's. The app stays installed in that account.
    pub fn revoke(&self) -> Option<Revoke> {
        self.0.refresh_token.clone().map(Revoke::new)
    }
}
