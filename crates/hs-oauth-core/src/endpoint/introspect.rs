//! `POST /oauth/{version}/token/introspect` (RFC 7662 §2.1); on `v1` `GET /oauth/v1/access-tokens/{token}` and
//! `GET /oauth/v1/refresh-tokens/{token}`.

use http::{Method, Request, Response};

use super::introspection::{self, Introspection};
use super::token::Token;
use super::{Endpoint, error_response, post, request_without_body};
use crate::app::App;
use crate::error::{Error, Operation};
use crate::timestamp::Timestamp;
use crate::version::{ApiVersion, Resource};

/// The introspection of a token: whether it is valid, and which account it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspect {
    token: Token,
}

impl Introspect {
    /// Returns a request that asks about this token.
    pub fn new(token: impl Into<Token>) -> Self {
        Self { token: token.into() }
    }

    /// Returns the token that the request asks about.
    pub const fn token(&self) -> &Token {
        &self.token
    }
}

impl Endpoint for Introspect {
    type Output = Introspection;

    const OPERATION: Operation = Operation::Introspect;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        match (app.version(), &self.token) {
            (ApiVersion::V1, Token::Access(token)) => {
                request_without_body(Method::GET, app.uri(Resource::AccessToken(token.expose())))
            }
            (ApiVersion::V1, Token::Refresh(token)) => {
                request_without_body(Method::GET, app.uri(Resource::RefreshToken(token.expose())))
            }
            (_, token) => {
                let fields = [("token", token.expose()), ("token_type_hint", token.type_hint())];
                post(app.uri(Resource::Introspect), app, "", &fields)
            }
        }
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<Introspection, Error> {
        if response.status().is_success() {
            return introspection::read(&self.token, app.version(), response);
        }
        let error = error_response(Self::OPERATION, app, [self.token.expose(), ""], sent_at, response);
        match app.version() {
            ApiVersion::V1 if error.is_unknown_token() => Ok(Introspection::Inactive),
            _ => Err(error.into()),
        }
    }
}
