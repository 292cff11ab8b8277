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

/// Gets a new access token for a grant.
///
/// The answer's refresh token replaces the one sent; if the answer has none, the one sent stays good, and is in the
/// [`TokenSet`] again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    refresh_token: RefreshToken,
    scopes: Scopes,
}

impl Refresh {
    /// Refreshes with this token, for all that was granted.
    pub const fn new(refresh_token: RefreshToken) -> Self {
        Self { refresh_token, scopes: Scopes::NONE }
    }

    /// Asks for fewer scopes than were granted.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// The token to be sent.
    pub const fn refresh_token(&self) -> &RefreshToken {
        &self.refresh_token
    }

    /// The scopes asked for; none means all that was granted.
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
