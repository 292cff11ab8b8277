//! The endpoints of HubSpot's API, one file each: the five of OAuth, and two that need an access token.
//!
//! A value of an endpoint's type is a request. The same value reads the response.
//!
//! - `exchange_code`, `refresh` and `client_credentials` request tokens. `token_response` reads the response of all three.
//! - `introspect` asks about a token. `introspection` reads the response, and `signed_access_token` one object in it. `token` has
//!   the argument.
//! - `revoke` revokes a refresh token.
//! - `uninstall` takes the app out of an account, and `account_details` describes one. Both send the account's access token.

mod account_details;
mod client_credentials;
mod exchange_code;
mod introspect;
mod introspection;
mod refresh;
mod revoke;
mod signed_access_token;
mod token;
mod token_response;
mod uninstall;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

pub use account_details::{AccountDetails, AccountType, ReadAccountDetails};
pub use client_credentials::ClientCredentials;
pub use exchange_code::ExchangeCode;
pub use introspect::Introspect;
pub use introspection::{AccessTokenInfo, Introspection, RefreshTokenInfo};
pub use refresh::Refresh;
pub use revoke::Revoke;
pub use signed_access_token::SignedAccessToken;
pub use token::Token;
pub use uninstall::Uninstall;

use crate::app::App;
use crate::error::{ApiError, Error, Operation, TransportError};
use crate::form;
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;

/// A request to HubSpot's OAuth API, and the way to read its response.
///
/// [`to_http`](Self::to_http) builds the HTTP request, any HTTP client sends it, and [`read_response`](Self::read_response) reads
/// the HTTP response.
///
/// ```
/// use hs_oauth_core::{App, ClientSecret, Endpoint, Refresh, RefreshToken, Timestamp};
///
/// let app = App::hubspot("client-id", ClientSecret::new("s3cret")?).build()?;
/// let refresh = Refresh::new(RefreshToken::new("na1-6f18f26a")?);
///
/// let sent_at = Timestamp::from_millis(0); // the caller's clock
/// let request = refresh.to_http(&app);
/// assert_eq!(request.uri(), "https://api.hubapi.com/oauth/2026-09/token");
///
/// let response = http::Response::new(br#"{"access_token":"CK","token_type":"bearer","expires_in":1800}"#);
/// let tokens = refresh.read_response(&app, sent_at, &response)?;
/// assert_eq!(tokens.expires_at, Timestamp::from_secs(1800));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Endpoint {
    /// The type that a successful response is read as.
    type Output;

    /// The operation, for errors and logs, and for the decision whether it may be repeated.
    const OPERATION: Operation;

    /// Builds the HTTP request for the app's API version.
    ///
    /// The body holds secrets, and so may the path on `v1`. The headers hold none but the bearer of [`Uninstall`] and
    /// [`ReadAccountDetails`], which is marked as sensitive.
    fn to_http(&self, app: &App) -> Request<Vec<u8>>;

    /// Reads the response to that request. `sent_at` is the time just before the request was sent.
    ///
    /// # Errors
    /// [`Error::Api`] if the status is not 200 to 299. [`Error::Response`] if it is, but the body cannot be used.
    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<Self::Output, Error>;

    /// Reads a response that did not arrive whole: its status, and as much of the body as arrived.
    ///
    /// `failure` is the error that the transport would return otherwise.
    ///
    /// # Errors
    /// The errors of [`Endpoint::read_response`] if the status is not 200 to 299. Otherwise [`Error::Response`] if the body holds
    /// tokens, since a refresh token that replaced the one sent exists nowhere else. Otherwise `failure`.
    fn read_partial_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
        failure: TransportError,
    ) -> Result<Self::Output, Error> {
        match response.status().is_success() {
            true => Err(token_response::rescue(Self::OPERATION, response, failure)),
            false => self.read_response(app, sent_at, response),
        }
    }
}

/// Returns a POST request with a form of `fixed`, the app's credentials and `fields`.
///
/// `fixed` is empty, or is `name=value` and needs no escapes.
fn post(uri: Uri, app: &App, fixed: &str, fields: &[(&str, &str)]) -> Request<Vec<u8>> {
    let client = app.client_form();
    // The whole capacity is reserved at once, since a body that grows leaves copies of the secrets in memory.
    let room = fields.iter().map(|(name, value)| form::room_for(name, value)).sum::<usize>();
    let mut body = String::with_capacity(fixed.len() + 1 + client.len() + room);
    for part in [fixed, client] {
        if !body.is_empty() && !part.is_empty() {
            body.push('&');
        }
        body.push_str(part);
    }
    for (name, value) in fields {
        form::push(&mut body, name, value);
    }
    let mut request = request(Method::POST, uri, body.into_bytes());
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    request
}

/// Returns a request whose only argument is in its path or in a header.
fn request_without_body(method: Method, uri: Uri) -> Request<Vec<u8>> {
    request(method, uri, Vec::new())
}

/// Returns a request that the account's access token authorizes, and not the app's credential (RFC 6750 §2.1).
fn request_with_bearer(method: Method, uri: Uri, token: &AccessToken) -> Request<Vec<u8>> {
    let mut request = request_without_body(method, uri);
    // An access token is visible ASCII, so this never fails.
    if let Ok(mut bearer) = HeaderValue::try_from(["Bearer ", token.expose()].concat()) {
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    request
}

fn request(method: Method, uri: Uri, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    // There is room for the `User-Agent` of a transport.
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    *request.headers_mut() = headers;
    request
}

/// Reads an error response. `secrets` are the secrets of the request besides the app's credential. Empty ones are ignored.
fn error_response<B: AsRef<[u8]>>(
    operation: Operation,
    app: &App,
    secrets: [&str; 2],
    sent_at: Timestamp,
    response: &Response<B>,
) -> ApiError {
    let [first, second] = secrets;
    ApiError::read(operation, response, sent_at, [first, second, app.credential_text().unwrap_or("")])
}
