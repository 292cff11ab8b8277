//! `POST /oauth/{version}/token/revoke` (RFC 7009 §2.1); on `v1` `DELETE /oauth/v1/refresh-tokens/{token}`.

use http::{Method, Request, Response};

use super::{Endpoint, bare, error_response, post};
use crate::app::App;
use crate::error::{Error, Operation, TransportError};
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::version::{ApiVersion, Resource};

/// Revokes a refresh token, and with it the grant. Access tokens already given live on until they expire, and the app
/// stays installed.
///
/// A token HubSpot does not know counts as revoked (RFC 7009 §2.2), on `v1` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    refresh_token: RefreshToken,
}

impl Revoke {
    /// Revokes this token.
    pub const fn new(refresh_token: RefreshToken) -> Self {
        Self { refresh_token }
    }

    /// The token to be revoked.
    pub const fn refresh_token(&self) -> &RefreshToken {
        &self.refresh_token
    }
}

impl Endpoint for Revoke {
    type Output = ();

    const OPERATION: Operation = Operation::Revoke;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        let token = self.refresh_token.expose();
        match app.version() {
            ApiVersion::V1 => bare(Method::DELETE, app.uri(Resource::RefreshToken(token))),
            _ => {
                let fields = [("token", token), ("token_type_hint", "refresh_token")];
                post(app.uri(Resource::Revoke), app, "", &fields)
            }
        }
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<(), Error> {
        if response.status().is_success() {
            return Ok(());
        }
        let refusal =
            error_response(Self::OPERATION, app, [self.refresh_token.expose(), ""], sent_at, response);
        match app.version() {
            ApiVersion::V1 if refusal.is_unknown_token() => Ok(()),
            _ => Err(refusal.into()),
        }
    }
    /// The status is the whole answer (RFC 7009 §2.2).
    fn read_partial_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
        _: TransportError,
    ) -> Result<(), Error> {
        self.read_response(app, sent_at, response)
    }
}
