//! `DELETE /appinstalls/{version}/external-install`, with `v3` as its version for an app on `v1`.

use http::{Method, Request, Response};

use super::{Endpoint, error_response, request_with_bearer};
use crate::app::App;
use crate::error::{Error, Operation, TransportError};
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::version::Resource;

/// The removal of the app from an account, which needs the scope `oauth`.
///
/// HubSpot mails the account's admins, and every token of the grant ends. [`Revoke`](super::Revoke) leaves the app installed. This takes
/// the app out of the account for everyone: if several tenants share the account, it ends the install of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uninstall {
    access_token: AccessToken,
}

impl Uninstall {
    /// Returns a request that takes the app out of the account to which this token belongs.
    pub const fn new(access_token: AccessToken) -> Self {
        Self { access_token }
    }

    /// Returns the access token.
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }
}

impl Endpoint for Uninstall {
    type Output = ();

    const OPERATION: Operation = Operation::Uninstall;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        request_with_bearer(Method::DELETE, app.uri(Resource::ExternalInstall), &self.access_token)
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<(), Error> {
        match response.status().is_success() {
            true => Ok(()),
            false => {
                let secrets = [self.access_token.expose(), ""];
                Err(error_response(Self::OPERATION, app, secrets, sent_at, response).into())
            }
        }
    }

    /// Reads the status alone, since the response has no body.
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
