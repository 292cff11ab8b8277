//! HubSpot's OAuth API for async services, over [`reqwest`].
//!
//! **In here**: the [`TokenManager`], which holds the tokens of every account in a store and hands out ones that work; and the
//! [`Client`], which makes the calls of HubSpot's OAuth API with the limits that a credential needs: https except on loopback, no
//! redirects, a response of at most 1 MiB, a timeout, and no further try that could do harm. **Not in here**: what is in a request, what a
//! response means, and when to renew. `hs-oauth-core` decides that. The items of it that an application needs are re-exported by name, so
//! that this is the only crate an async service depends on.
//!
//! ```no_run
//! use hs_oauth_async::{App, Client, NextStep, RefreshToken};
//!
//! # async fn example(stored: RefreshToken) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(App::from_env()?)?;
//! match client.refresh(&stored).await {
//!     Ok(tokens) => println!("good until {:?}", tokens.expires_at),
//!     Err(error) if error.next_step() == NextStep::Reauthorize => println!("the account has to connect again"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Guides
//!
//! The module [`guide`] has a page for each thing that an application does: [`install`](guide::install) accounts, [`hold`](guide::hold)
//! their tokens, handle [`errors`](guide::errors), run a [`fleet`](guide::fleet) of processes, [`operate`](guide::operate) it,
//! [`migrate`](guide::migrate) from `v1`, and [`test`](guide::test).
//!
//! # What is here
//!
//! | for | items |
//! |---|---|
//! | holding tokens | [`TokenManager`], [`TokenManagerBuilder`], [`Account`], [`Installed`], [`Event`], [`RenewalPolicy`], [`Timing`], [`MassRefusalLimit`], [`TokenError`], [`RetryCause`], [`SendError`] |
//! | looking after them | [`AccountStatus`], [`AccountState`], [`StatusPage`], [`StatusEntry`], [`Health`], [`Sweep`], [`SweepProgress`] |
//! | the app and its client | [`App`], [`AppBuilder`], [`Credential`], [`ApiVersion`], [`ReleaseMonth`], [`Client`], [`RetryPolicy`], [`http_builder`], [`TIMEOUT`], [`CONNECT_TIMEOUT`], [`MAX_RESPONSE_SIZE`] |
//! | connecting an account | [`Authorize`], [`Authorization`], [`AuthorizationUrl`], [`PendingAuthorization`], [`PendingAuthorizations`], [`AuthorizationCode`], [`CallbackError`], [`Randomness`], [`BeginError`], [`RandomnessError`], [`Scope`], [`Scopes`] |
//! | installs from the Marketplace | [`CallbackLeg`], [`MarketplaceSignIn`], [`MarketplaceAuthorization`], [`MarketplaceFinalize`], [`UnconfirmedInstall`], [`ExchangeUnconfirmed`], [`UnconfirmedTokens`], [`ReturnUrl`] |
//! | tokens and secrets | [`TokenSet`], [`TokenType`], [`TokenUse`], [`AccessToken`], [`RefreshToken`], [`IdToken`], [`ClientSecret`], [`ClientAssertion`], [`Code`], [`CodeVerifier`], [`State`], [`Signature`], [`Timestamp`] |
//! | single calls | [`Endpoint`], [`ExchangeCode`], [`Refresh`], [`ClientCredentials`], [`Introspect`], [`Revoke`], [`Uninstall`], [`ReadAccountDetails`], [`AccountDetails`], [`AccountType`], [`Token`], [`Introspection`], [`AccessTokenInfo`], [`RefreshTokenInfo`], [`SignedAccessToken`] |
//! | requests from HubSpot | [`RequestVerifier`], [`RequestSignatureVersion`], [`RequestSignatureError`] |
//! | errors | [`Error`], [`NextStep`], [`Operation`], [`ApiError`], [`ErrorDetail`], [`HubSpotCode`], [`OAuthCode`], [`ResponseError`], [`RescuedTokens`], [`Problem`], [`TransportError`], [`TransportErrorKind`], [`StoreError`], [`StoreErrorKind`], [`InvalidArgument`], [`InvalidArgumentKind`], [`printable`], [`error_text`] |
//! | stores | [`AsyncTokenStore`], [`SpawnBlocking`], [`TokenStore`], [`MemoryStore`], [`FileStore`], `Sealed` and its keys (feature `sealed`), [`AllPages`] to read all of one, and to write one of your own [`Record`], [`GrantState`], [`Stored`], [`Swapped`], [`Page`], [`Entry`], [`Cursor`], [`check_account`], [`async_trait`](macro@async_trait) |
//!
//! # Features
//!
//! `rustls` (default) or `native-tls` for TLS; without both, only loopback can be reached. `sealed` (default) for encryption of
//! records at rest. `tracing` (default) for spans and events, which hold no secret. `metrics` for metrics by the facade of
//! that name.

mod account_calls;
mod app_tokens;
mod client;
mod driver;
mod flight;
pub mod guide;
mod manager;
mod runtime;
mod send;
mod spawn_blocking;
mod sweep;
mod transport;
mod waiting;

pub use client::Client;
pub use hs_oauth_manager::{Event, Health, Installed, StatusEntry, StatusPage, Sweep, SweepProgress};
pub use manager::{TokenManager, TokenManagerBuilder};
pub use reqwest;
pub use send::SendError;
pub use spawn_blocking::SpawnBlocking;
pub use transport::http_builder;

pub use hs_oauth_core::renewal::{
    AccountState, AccountStatus, GrantState, MassRefusalLimit, Record, RenewalPolicy, RetryCause, Stored,
    Timing, TokenError,
};
pub use hs_oauth_core::{
    AccessToken, AccessTokenInfo, Account, AccountDetails, AccountType, ApiError, ApiVersion, App,
    AppBuilder, Authorization, AuthorizationCode, AuthorizationUrl, Authorize, BeginError, CONNECT_TIMEOUT,
    CallbackError, CallbackLeg, ClientAssertion, ClientCredentials, ClientSecret, Code, CodeVerifier,
    Credential, Endpoint, Error, ErrorDetail, ExchangeCode, ExchangeUnconfirmed, HubSpotCode, IdToken,
    Introspect, Introspection, InvalidArgument, InvalidArgumentKind, MAX_RESPONSE_SIZE,
    MarketplaceAuthorization, MarketplaceFinalize, MarketplaceSignIn, NextStep, OAuthCode, Operation,
    PendingAuthorization, PendingAuthorizations, Problem, Randomness, RandomnessError, ReadAccountDetails,
    Refresh, RefreshToken, RefreshTokenInfo, ReleaseMonth, RequestSignatureError, RequestSignatureVersion,
    RequestVerifier, RescuedTokens, ResponseError, RetryPolicy, ReturnUrl, Revoke, Scope, Scopes, Signature,
    SignedAccessToken, State, StoreError, StoreErrorKind, TIMEOUT, Timestamp, Token, TokenSet, TokenType,
    TokenUse, TransportError, TransportErrorKind, UnconfirmedInstall, UnconfirmedTokens, Uninstall,
    error_text, http, printable,
};
pub use hs_oauth_store::{
    AllPages, AsyncTokenStore, Cursor, Entry, FileStore, MemoryStore, Page, Swapped, TokenStore, async_trait,
    check_account,
};
#[cfg(feature = "sealed")]
pub use hs_oauth_store::{InvalidKey, Keys, Resealed, Sealed, SealingKey};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
