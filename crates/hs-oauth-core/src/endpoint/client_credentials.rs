//! `POST /oauth/{version}/token`, `grant_type=client_credentials` (RFC 6749 §4.4.2).

use http::{Request, Response};

use super::{Endpoint, error_response, post, token_response};
use crate::app::App;
use crate::error::{Error, Operation};
use crate::scope::Scopes;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;
use crate::version::Resource;

/// Gets an access token for the app itself, for APIs that act for no account, such as the webhooks journal. There is no
/// refresh token: when it ends, ask again.
///
/// HubSpot's files name this grant for `v1`, `v3` and `2026-03`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    scopes: Scopes,
}

impl ClientCredentials {
    /// Asks for these scopes.
    pub const fn new(scopes: Scopes) -> Self {
        Self { scopes }
    }

    /// The scopes asked for.
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
