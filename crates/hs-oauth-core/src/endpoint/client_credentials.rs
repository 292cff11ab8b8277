//! `POST /oauth/{version}/token`, `grant_type=client_credentials` (RFC 6749 §4.4.2).

use http::{Request, Response};

use super::{Endpoint, error_response, post, token_response};
use crate::app::App;
use crate::error::{Error, Operation};
use crate::scope::Scopes;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;
use crate::version::Resource;

/// The request for an access token of the app itself.
///
/// Such a token is for APIs that act for no account, such as the webhooks journal. It comes without a refresh token: when it
/// expires, request another. HubSpot's OpenAPI files list this grant type for `v1`, `v3` and `2026-03`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    scopes: Scopes,
}

impl ClientCredentials {
    /// Returns a request for these scopes.
    pub const fn new(scopes: Scopes) -> Self {
        Self { scopes }
    }

    /// Returns the requested scopes.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

impl Endpoint for ClientCredentials {
    type Output = TokenSet;

    const OPERATION: Operation = Operation::ClientCredentials;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        let fixed = "grant_type=client_credentials";
        if self.scopes.is_empty() {
            return post(app.uri(Resource::Token), app, fixed, &[]);
        }
        post(app.uri(Resource::Token), app, fixed, &[("scope", &self.scopes.to_string())])
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<TokenSet, Error> {
        if response.status().is_success() {
            token_response::read(Self::OPERATION, None, sent_at, response)
        } else {
            Err(error_response(Self::OPERATION, app, [""; 2], sent_at, response).into())
        }
    }
}
