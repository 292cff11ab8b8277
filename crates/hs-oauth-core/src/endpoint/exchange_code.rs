//! `POST /oauth/{version}/token`, `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.5).

use http::{Request, Response};

use super::{Endpoint, error_response, post, token_response};
use crate::app::App;
use crate::callback::AuthorizationCode;
use crate::error::{Error, Operation};
use crate::secret::CodeVerifier;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;
use crate::version::Resource;

/// The exchange of an authorization code for the first tokens of a grant.
///
/// A code can be used once, and only for a short time. So this request may be repeated only if it is certain that it was never sent.
/// After any other error that says to try again, the code may turn out to be used up. Then the authorization must be started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeCode {
    code: AuthorizationCode,
}

impl ExchangeCode {
    /// Returns a request that exchanges `code`.
    pub const fn new(code: AuthorizationCode) -> Self {
        Self { code }
    }

    /// Returns the code to exchange.
    pub const fn code(&self) -> &AuthorizationCode {
        &self.code
    }
}

impl Endpoint for ExchangeCode {
    type Output = TokenSet;

    const OPERATION: Operation = Operation::ExchangeCode;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        let verifier = self.code.code_verifier().map(|verifier| ("code_verifier", verifier.expose()));
        let fields = [("code", self.code.code().expose()), ("redirect_uri", self.code.redirect_uri())];
        let mut all = Vec::with_capacity(3);
        all.extend(fields);
        all.extend(verifier);
        post(app.uri(Resource::Token), app, "grant_type=authorization_code", &all)
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
            let code = self.code.code().expose();
            let verifier = self.code.code_verifier().map_or("", CodeVerifier::expose);
            Err(error_response(Self::OPERATION, app, [code, verifier], sent_at, response).into())
        }
    }
}
