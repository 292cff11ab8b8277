//! Guides: one page for each thing that an application does.
//!
//! | question | guide |
//! |---|---|
//! | How does an account connect my app, and how do I take over tokens that I have? | [`install`] |
//! | How do I call HubSpot with a token that works? | [`hold`] |
//! | What does this error ask of me? | [`errors`] |
//! | How do several processes share tokens, and what can go wrong? | [`fleet`] |
//! | How large can a fleet be, and what does it ask of its store? | [`capacity`] |
//! | Which accounts are well, and what do I measure? | [`observe`] |
//! | What happens to accounts, what can I limit, and what does the library not do? | [`operate`] |
//! | How do I leave `v1`? | [`migrate`] |
//! | How do I test my code without HubSpot? | [`mod@test`] |
//!
//! The code on these pages is async. `hs-oauth-blocking` has the same types and methods without `.await`. There, `Client::new` returns no
//! `Result`, a store needs no `SpawnBlocking`, and `TokenManager::send` takes an `http::Request`.

#[doc = include_str!("guide/install.md")]
///
/// # The items of this guide
///
/// [`App`](crate::App), [`Authorize`](crate::Authorize), [`PendingAuthorization`](crate::PendingAuthorization),
/// [`CallbackError`](crate::CallbackError), [`TokenManager::install`](crate::TokenManager::install),
/// [`TokenManager::install_tokens`](crate::TokenManager::install_tokens), [`Account`](crate::Account).
pub mod install {}

#[doc = include_str!("guide/hold.md")]
///
/// # The items of this guide
///
/// [`TokenManager::bearer`](crate::TokenManager::bearer), [`TokenManager::with_bearer`](crate::TokenManager::with_bearer),
/// [`TokenManager::access_token`](crate::TokenManager::access_token), [`TokenManager::send`](crate::TokenManager::send),
/// [`TokenManager::bearer_after_401`](crate::TokenManager::bearer_after_401),
/// [`TokenManager::refresh_now`](crate::TokenManager::refresh_now), [`TokenManager::disconnect`](crate::TokenManager::disconnect),
/// [`TokenManager::shutdown`](crate::TokenManager::shutdown).
pub mod hold {}

#[doc = include_str!("guide/errors.md")]
///
/// # The items of this guide
///
/// [`NextStep`](crate::NextStep), [`TokenError`](crate::TokenError), [`Error`](crate::Error), [`ApiError`](crate::ApiError),
/// [`ResponseError`](crate::ResponseError), [`TransportError`](crate::TransportError), [`StoreError`](crate::StoreError),
/// [`RetryPolicy`](crate::RetryPolicy).
pub mod errors {}

#[doc = include_str!("guide/fleet.md")]
///
/// # The items of this guide
///
/// [`TokenStore`](crate::TokenStore), [`AsyncTokenStore`](crate::AsyncTokenStore), [`SpawnBlocking`](crate::SpawnBlocking),
/// [`MemoryStore`](crate::MemoryStore), [`FileStore`](crate::FileStore), [`Record`](crate::Record),
/// [`RenewalPolicy`](crate::RenewalPolicy), [`Timing`](crate::Timing).
pub mod fleet {}

#[doc = include_str!("guide/capacity.md")]
///
/// # The items of this guide
///
/// [`TokenManagerBuilder`](crate::TokenManagerBuilder), [`Sweep`](crate::Sweep), [`RenewalPolicy`](crate::RenewalPolicy).
pub mod capacity {}

#[doc = include_str!("guide/observe.md")]
///
/// ```json
#[doc = include_str!("guide/grafana.json")]
/// ```
///
/// # The items of this guide
///
/// [`TokenManager::status`](crate::TokenManager::status), [`TokenManager::statuses`](crate::TokenManager::statuses),
/// [`AccountStatus`](crate::AccountStatus), [`TokenManager::health`](crate::TokenManager::health), [`Health`](crate::Health),
/// [`Sweep`](crate::Sweep), [`TokenManagerBuilder::with_sweep`](crate::TokenManagerBuilder::with_sweep),
/// [`TokenManagerBuilder::with_replicas`](crate::TokenManagerBuilder::with_replicas),
/// [`TokenManager::set_credential`](crate::TokenManager::set_credential).
pub mod observe {}

#[doc = include_str!("guide/operate.md")]
///
/// # The items of this guide
///
/// [`Event`](crate::Event), [`TokenManagerBuilder`](crate::TokenManagerBuilder), [`Client::with_http`](crate::Client::with_http),
/// [`http_builder`](crate::http_builder).
pub mod operate {}

// Its code needs the emulator, which is no dependency of this crate. The package of the examples compiles it.
#[cfg_attr(not(doctest), doc = include_str!("guide/migrate.md"))]
#[cfg_attr(doctest, doc = "How to leave `v1`.")]
///
/// # The items of this guide
///
/// [`ApiVersion`](crate::ApiVersion), [`AppBuilder::with_version`](crate::AppBuilder::with_version), [`App::from_env`](crate::App::from_env),
/// [`TokenManager::install_refresh_token`](crate::TokenManager::install_refresh_token).
pub mod migrate {}

// The emulator, which this code needs, is no dependency of this crate. The package of the examples compiles it.
#[cfg_attr(not(doctest), doc = include_str!("guide/test.md"))]
#[cfg_attr(doctest, doc = "How to test without HubSpot.")]
pub mod test {}
