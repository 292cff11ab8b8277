//! HubSpot's side of the API, for emulators, proxies and tests (feature `server`).
//!
//! - **Requests**: [`Received::read_request`] reads an HTTP request into the same types that a client builds it from. A [`Rejection`] says
//!   why a request could not be read.
//! - **Responses**: [`Serve::to_response`] writes the result of an endpoint, and [`ApiError::to_response`](crate::ApiError::to_response)
//!   an error response. A client reads both back as the same value.
//!
//! Whether a request is granted is not decided here.

mod request;
mod response;

use http::Response;

use crate::app::Credential;
use crate::endpoint::{
    ClientCredentials, Endpoint, ExchangeCode, Introspect, ReadAccountDetails, Refresh, Revoke, Uninstall,
};
use crate::invalid_argument::InvalidArgument;
use crate::version::ApiVersion;

/// A request that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The API version that the request was made to.
    pub version: ApiVersion,
    /// The app that the request says it comes from.
    pub client: PresentedClient,
    /// The endpoint that was called, with its arguments.
    pub call: Call,
}

/// The app that a request says it comes from. Nothing of it is verified.
///
/// The lookups and revocations of `v1` name no app, and neither do requests with an account's access token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentedClient {
    /// The client id, from `client_id`.
    pub client_id: Option<String>,
    /// The client's credential, from `client_secret`, or from `client_assertion` if that has the JWT bearer type.
    pub credential: Credential,
}

/// A call of one of the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// The exchange of an authorization code for tokens.
    ExchangeCode(ExchangeCode),
    /// The refresh of an access token.
    Refresh(Refresh),
    /// The request for a token of the app itself.
    ClientCredentials(ClientCredentials),
    /// The introspection of a token.
    Introspect(Introspect),
    /// The revocation of a refresh token.
    Revoke(Revoke),
    /// The removal of the app from an account.
    Uninstall(Uninstall),
    /// The request for the details of an account.
    AccountDetails(ReadAccountDetails),
}

/// The reason why a request could not be read. Each variant has the HTTP status of the error response it calls for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No resource has this path. Status 404.
    #[error("there is nothing at this address")]
    NotFound,
    /// The resource does not accept this method. Status 405.
    #[error("this address takes {allow} only")]
    MethodNotAllowed {
        /// The methods that it accepts, in the form of an `Allow` header.
        allow: &'static str,
    },
    /// There is no access token in the header `Authorization` (RFC 6750 §2.1). Status 401.
    #[error("there is no bearer in the header `Authorization`")]
    NoBearer,
    /// The body is not `application/x-www-form-urlencoded`. Status 415.
    #[error("the body must be application/x-www-form-urlencoded")]
    UnsupportedMediaType,
    /// This required parameter is missing or empty. Status 400.
    #[error("missing parameter `{0}`")]
    Missing(&'static str),
    /// This parameter appears more than once (RFC 6749 §3.2). Status 400.
    #[error("parameter `{0}` is there more than once")]
    Repeated(&'static str),
    /// A parameter has an invalid value. Status 400.
    #[error("bad parameter: {0}")]
    Malformed(InvalidArgument),
    /// The `grant_type` is not one of HubSpot's. Status 400.
    #[error("unsupported grant_type")]
    UnsupportedGrantType,
}

/// An endpoint whose responses a server can write.
pub trait Serve: Endpoint {
    /// Returns the response under `version` from which [`Endpoint::read_response`] reads `output`.
    fn to_response(output: &Self::Output, version: ApiVersion) -> Response<Vec<u8>>;
}
