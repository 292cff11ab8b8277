//! `POST /oauth/{version}/token`, `grant_type=refresh_token` (RFC 6749 §6).

use http::{Request, Response};

use super::{Endpoint, error_response, post, token_response};
use crate::app::App;
use crate::error::{Error, Operation};
use crate::scope::Scopes;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;
use crate::version::Resource;

/// The refresh of a grant's access token.
///
/// The refresh token of the response replaces the one that was sent. If the response has none, the one that was sent stays valid,
/// and the [`TokenSet`] holds it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    refresh_token: RefreshToken,
    scopes: Scopes,
}

impl Refresh {
    /// Returns a request with this refresh token, for all scopes that were granted.
    pub const fn new(refresh_token: RefreshToken) -> Self {
        Self { refresh_token, scopes: Scopes::NONE }
    }

    /// Requests these scopes only. They must be among those that were granted (RFC 6749 §6).
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Returns the refresh token to send.
    pub const fn refresh_token(&self) -> &RefreshToken {
        &self.refresh_token
    }

    /// Returns the requested scopes. An empty list means all scopes that were granted.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

impl Endpoint for Refresh {
    type Output = TokenSet;

    const OPERATION: Operation = Operation::Refresh;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        let token = ("refresh_token", self.refresh_token.expose());
        let fixed = "grant_type=refresh_token";
        if self.scopes.is_empty() {
            return post(app.uri(Resource::Token), app, fixed, &[token]);
        }
        post(app.uri(Resource::Token), app, fixed, &[token, ("scope", &self.scopes.to_string())])
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<TokenSet, Error> {
        if response.status().is_success() {
            token_response::read(Self::OPERATION, Some(&self.refresh_token), sent_at, response)
        } else {
            Err(error_response(Self::OPERATION, app, [self.refresh_token.expose(), ""], sent_at, response)
                .into())
        }
    }
}
