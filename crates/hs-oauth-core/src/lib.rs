//! HubSpot's OAuth API without IO: requests and responses as plain [`http`] types, and every decision about them.
//!
//! What belongs in this crate: the format of requests and responses in every version of the API, the check of what comes from outside, and
//! every decision about errors, retries and renewals. What does not belong here: sockets, clocks, threads, files, locks and logs. The time
//! is an argument ([`Timestamp`]). So is randomness, unless the default feature `os-random` takes it from the operating system.
//!
//! The crates `hs-oauth-async` and `hs-oauth-blocking` send the requests. Another HTTP client needs three lines:
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
//! let sent_at = Timestamp::from_secs(1_790_000_000); // the time now: a `SystemTime` can be converted
//! let response = your_http_client(refresh.to_http(&app)); // without redirects, with a timeout and a limit on the response's size
//! let tokens = refresh.read_response(&app, sent_at, &response)?;
//! # assert_eq!(tokens.refresh_token.unwrap().expose(), "na1-2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! | what you do | with |
//! |---|---|
//! | describe the app | [`App`], [`AppBuilder`], [`Credential`], [`ApiVersion`], [`ReleaseMonth`], [`may_carry_credentials`] |
//! | send a browser to the consent page | [`Authorize`], [`Scopes`], [`Scope`], [`Authorization`], [`AuthorizationUrl`], [`Randomness`], `BeginError` |
//! | check the callback | [`PendingAuthorization`], [`PendingAuthorizations`], [`AuthorizationCode`], [`CallbackError`], [`MAX_CALLBACK_SIZE`] |
//! | install from the Marketplace | [`CallbackLeg`], [`MarketplaceSignIn`], [`MarketplaceAuthorization`], [`MarketplaceFinalize`], [`UnconfirmedInstall`], [`ExchangeUnconfirmed`], [`UnconfirmedTokens`], [`ReturnUrl`] |
//! | build a request and read its response | [`Endpoint`]: [`ExchangeCode`], [`Refresh`], [`ClientCredentials`], [`Introspect`], [`Revoke`], [`Uninstall`], [`ReadAccountDetails`] |
//! | use the result | [`TokenSet`], [`TokenType`], [`TokenUse`], [`Introspection`], [`Token`], [`AccessTokenInfo`], [`RefreshTokenInfo`], [`SignedAccessToken`], [`AccountDetails`], [`AccountType`], [`Account`] |
//! | check a request from HubSpot | [`RequestVerifier`], [`RequestSignatureVersion`], [`RequestSignatureError`] |
//! | handle an error of a call | [`Error`], [`NextStep`], [`Operation`], [`ApiError`], [`ErrorDetail`], [`OAuthCode`], [`HubSpotCode`], [`ResponseError`], [`Problem`], [`RescuedTokens`], [`TransportError`], [`TransportErrorKind`] |
//! | handle another error | [`InvalidArgument`], [`InvalidArgumentKind`], [`StoreError`], [`StoreErrorKind`], `RandomnessError` |
//! | write a transport | [`RetryPolicy`], [`TIMEOUT`], [`CONNECT_TIMEOUT`], [`MAX_RESPONSE_SIZE`], [`printable`], [`error_text`] |
//! | hold secrets | [`AccessToken`], [`RefreshToken`], [`IdToken`], [`ClientSecret`], [`ClientAssertion`], [`Code`], [`CodeVerifier`], [`State`], [`Signature`], [`MAX_SECRET_SIZE`] |
//! | renew tokens | [`renewal`], [`Random`], [`STORE_TIMEOUT`], [`UnknownFields`] |
//! | emulate HubSpot | `server` (a feature): reads requests and writes responses |
//!
//! The `TokenManager` of `hs-oauth-async` and of `hs-oauth-blocking` renews tokens for an application.
//!
//! # Guides
//!
//! `hs-oauth-async` has [guides](https://docs.rs/hs-oauth-async/latest/hs_oauth_async/guide/index.html) with a page for each
//! thing that an application does, such as [what each error asks](https://docs.rs/hs-oauth-async/latest/hs_oauth_async/guide/errors/index.html)
//! and [how to leave `v1`](https://docs.rs/hs-oauth-async/latest/hs_oauth_async/guide/migrate/index.html).
//!
//! # Secrets
//!
//! Tokens, codes and the client secret have types of their own. They print as `[redacted]`, are compared in constant time and are wiped
//! when they are dropped. Only `expose` and serialization return the text. There are two limits. The `http::Request` that
//! [`Endpoint::to_http`] returns has secrets in its body, and on `v1` in its path; these are plain types, which are not wiped. And an HTTP
//! client leaves copies of a body in its own buffers.

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
mod marketplace;
mod next_step;
mod open_set;
mod pending_authorizations;
mod random;
pub mod renewal;
mod retry;
mod scope;
mod secret;
#[cfg(feature = "server")]
pub mod server;
mod signature;
mod text;
mod timestamp;
mod token_set;
mod url;
mod version;

pub use http;

pub use account::Account;
pub use app::{App, AppBuilder, AppIdentity, Credential, CredentialFingerprint};
#[cfg(feature = "os-random")]
pub use authorize::BeginError;
pub use authorize::{Authorization, AuthorizationUrl, Authorize, Randomness};
pub use callback::{AuthorizationCode, CallbackError, MAX_CALLBACK_SIZE, PendingAuthorization};
pub use endpoint::{
    AccessTokenInfo, AccountDetails, AccountType, ClientCredentials, Endpoint, ExchangeCode, Introspect,
    Introspection, ReadAccountDetails, Refresh, RefreshTokenInfo, Revoke, SignedAccessToken, Token,
    Uninstall,
};
pub use error::{
    ApiError, Error, ErrorDetail, HubSpotCode, NextStep, OAuthCode, Operation, RescuedTokens, ResponseError,
    StoreError, StoreErrorKind, TransportError, TransportErrorKind,
};
pub use invalid_argument::{InvalidArgument, InvalidArgumentKind};
pub use json::{Problem, UnknownFields};
pub use limits::{CONNECT_TIMEOUT, MAX_RESPONSE_SIZE, STORE_TIMEOUT, TIMEOUT};
pub use marketplace::{
    CallbackLeg, ExchangeUnconfirmed, MarketplaceAuthorization, MarketplaceFinalize, MarketplaceSignIn,
    ReturnUrl, UnconfirmedInstall, UnconfirmedTokens,
};
pub use pending_authorizations::PendingAuthorizations;
pub use random::Random;
#[cfg(feature = "os-random")]
pub use random::RandomnessError;
pub use retry::RetryPolicy;
pub use scope::{Scope, Scopes};
#[doc(hidden)]
pub use secret::wipe;
pub use secret::{
    AccessToken, ClientAssertion, ClientSecret, Code, CodeVerifier, IdToken, MAX_SECRET_SIZE, RefreshToken,
    Signature, State,
};
pub use signature::{RequestSignatureError, RequestSignatureVersion, RequestVerifier};
pub use text::{error_text, printable};
pub use timestamp::Timestamp;
pub use token_set::{TokenSet, TokenType, TokenUse};
pub use url::may_carry_credentials;
pub use version::{ApiVersion, ReleaseMonth};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
