//! HubSpot's OAuth API without IO: requests and answers as plain [`http`] types, and every decision there is to make about
//! them.
//!
//! **In here**: what goes on the wire and what comes back, in every generation of the API ([`ApiVersion`]); the
//! authorization URL and the check of its callback; what an error asks of the caller ([`NextStep`]); when a failed call may
//! be sent again ([`RetryPolicy`]); when tokens are renewed ([`RenewalPolicy`]) and how, by many processes that share a store
//! ([`Renewal`], [`Install`], [`Disconnect`]). **Not in here**: sockets, clocks, threads, files, locks, logs. The time is an argument
//! ([`Timestamp`]), and so is randomness, unless the default feature `os-random` asks the operating system for it. The crates
//! `hs-oauth-async` and `hs-oauth-blocking` move the bytes; with any other HTTP client three lines do:
//!
//! ```
//! # fn your_http_client(_: http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
//! #     http::Response::new(br#"{"access_token":"CK","token_type":"bearer","expires_in":1800,"refresh_token":"na1-2"}"#.to_vec())
//! # }
//! use hs_oauth_core::{App, ClientSecret, Endpoint, Refresh, RefreshToken, Timestamp};
//!
//! let app = App::hubspot("client-id", ClientSecret::new("s3cret")?).build()?;
//! let refresh = Refresh::new(RefreshToken::new("na1-6f18f26a")?);
//!
//! let sent_at = Timestamp::from_secs(1_790_000_000); // your clock: a `SystemTime` becomes one
//! let response = your_http_client(refresh.to_http(&app)); // no redirects, a timeout, a cap on the answer's size
//! let tokens = refresh.read_response(&app, sent_at, &response)?;
//! # assert_eq!(tokens.refresh_token.unwrap().expose(), "na1-2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - **Build**: an [`App`] (checked once), then an endpoint: [`ExchangeCode`], [`Refresh`], [`ClientCredentials`],
//!   [`Introspect`], [`Revoke`]. [`Endpoint::to_http`] cannot fail.
//! - **Send**: with any HTTP client.
//! - **Parse**: [`Endpoint::read_response`] gives a [`TokenSet`], an [`Introspection`] or an [`Error`].
//! - **Before all that**: [`Authorize`] makes the URL of the consent page and a [`PendingAuthorization`];
//!   [`PendingAuthorization::accept`] makes the callback an [`AuthorizationCode`].
//! - **After all that**: a [`Run`] says step by step what to load, write and send; the [`Record`] is what a store holds of an
//!   [`Account`]. `hs-oauth-async` and `hs-oauth-blocking` have a `TokenManager` that drives them.
//! - **The other side**: feature `server` reads requests and writes answers, for emulators and tests.
//!
//! # Secrets
//!
//! Tokens, codes and the client secret have types of their own. They print as `[redacted]`, are compared in constant time and
//! wiped when dropped; `expose` and serialization are the ways to the text. Two limits: the `http::Request` that
//! [`Endpoint::to_http`] gives holds secrets in its body (and, on `v1`, tokens in its path) in plain types that are not wiped;
//! and a body that passed through an HTTP client leaves copies in that client's buffers.

mod account;
mod app;
mod authorize;
mod callback;
mod endpoint;
mod error;
mod form;
mod invalid_argument;
mod json;
mod limits;
mod random;
pub mod renewal;
mod retry;
mod scope;
mod secret;
#[cfg(feature = "server")]
pub mod server;
mod text;
mod timestamp;
mod token_set;
mod url;
mod version;

pub use http;

pub use account::Account;
pub use app::{App, AppBuilder, Credential};
#[cfg(feature = "os-random")]
pub use authorize::BeginError;
pub use authorize::{Authorization, AuthorizationUrl, Authorize, Randomness};
pub use callback::{AuthorizationCode, CallbackError, MAX_CALLBACK_SIZE, PendingAuthorization};
pub use endpoint::{
    AccessTokenInfo, ClientCredentials, Endpoint, ExchangeCode, Introspect, Introspection, Refresh,
    RefreshTokenInfo, Revoke, SignedAccessToken, Token,
};
pub use error::{
    ApiError, Error, ErrorDetail, HubSpotCode, NextStep, OAuthCode, Operation, RescuedTokens, ResponseError,
    StoreError, StoreErrorKind, TransportError, TransportErrorKind,
};
pub use invalid_argument::{InvalidArgument, InvalidArgumentKind};
pub use json::{Problem, UnknownFields};
pub use limits::{CONNECT_TIMEOUT, MAX_RESPONSE_SIZE, STORE_TIMEOUT, TIMEOUT};
pub use random::Random;
#[cfg(feature = "os-random")]
pub use random::RandomnessError;
pub use retry::RetryPolicy;
pub use scope::{Scope, Scopes};
pub use secret::{
    AccessToken, ClientAssertion, ClientSecret, Code, CodeVerifier, IdToken, MAX_SECRET_SIZE, RefreshToken,
    Signature, State,
};
pub use text::printable;
pub use timestamp::Timestamp;
pub use token_set::{TokenSet, TokenType, TokenUse};
pub use url::may_carry_credentials;
pub use version::{ApiVersion, ReleaseMonth};
