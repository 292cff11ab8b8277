//! `POST /oauth/{version}/token/revoke` (RFC 7009 §2.1); on `v1` `DELETE /oauth/v1/refresh-tokens/{token}`.

use http::{Method, Request, Response};

use super::{Endpoint, error_response, post, request_without_body};
use crate::app::App;
use crate::error::{Error, Operation, TransportError};
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::version::{ApiVersion, Resource};

/// The revocation of a refresh token, and with it of the grant.
///
/// Access tokens that were already issued stay valid until they expire, and the app stays installed. A token that HubSpot does not
/// know counts as revoked (RFC 7009 §2.2), on `v1` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    refresh_token: RefreshToken,
}

impl Revoke {
    /// Returns a request that revokes this token.
    pub const fn new(refresh_token: RefreshToken) -> Self {
        Self { refresh_token }
    }

    /// Returns the token to revoke.
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
            ApiVersion::V1 => request_without_body(Method::DELETE, app.uri(Resource::RefreshToken(token))),
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
        let error =
            error_response(Self::OPERATION, app, [self.refresh_token.expose(), ""], sent_at, response);
        match app.version() {
            ApiVersion::V1 if error.is_unknown_token() => Ok(()),
            _ => Err(error.into()),
        }
    }

    /// Reads the status alone, since the body of the response has no meaning (RFC 7009 §2.2).
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
