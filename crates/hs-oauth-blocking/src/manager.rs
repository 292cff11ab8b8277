//! The token manager.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, Disconnect, Install, TokenError};
use hs_oauth_core::{AccessToken, Account, AuthorizationCode, TokenSet};
use hs_oauth_manager::{
    Cached, Caller, Shared, access_token, catch_panic, coarse_now, identify, is_installed, now, random,
};
use hs_oauth_store::TokenStore;

use crate::client::Client;
use crate::driver::Inner;

/// Holds the tokens of all accounts that connected the app, and hands out ones that work. Cloning it is cheap. Clones share everything.
///
/// A token is renewed in the last quarter of its life, while it is still handed out. It is renewed once for all callers of this process
/// and, through the store, once for all processes. New tokens are in the store before any caller receives them.
///
/// Renewals ahead of time run on up to eight threads of the manager. A renewal that callers wait for runs on the thread of the first
/// caller. Dropping the last clone waits for what is under way, since a renewal that is cut off may lose an account's refresh token. A
/// process that exits without dropping the manager does not wait.
///
/// ```no_run
/// use hs_oauth_blocking::http::Request;
/// use hs_oauth_blocking::{Account, App, AuthorizationCode, Client, FileStore, TokenManager};
///
/// # fn example(code: AuthorizationCode) -> Result<(), Box<dyn std::error::Error>> {
/// let store = FileStore::open("/var/lib/app/tokens")?;
/// let manager = TokenManager::new(Client::new(App::from_env()?), store);
///
/// let account: Account = manager.install(code)?; // once, in the callback of the consent page
/// let bearer = manager.bearer(account)?; // from then on, before every call: the header `Authorization`
///
/// let details = Request::get("https://api.hubapi.com/account-info/v3/details").body(())?;
/// let response = manager.send(account, details)?; // the same, and a new token after a 401
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager {
    handle: Arc<Handle>,
}

/// Owned by the clones of a manager and not by its threads. It is dropped with the last clone.
struct Handle {
    inner: Arc<Inner>,
}

/// A [`TokenManager`] that is being set up.
pub type TokenManagerBuilder = hs_oauth_manager::TokenManagerBuilder<TokenManager>;

impl TokenManager {
    /// Returns a manager of the tokens in `store`, with the default settings. A process should have only one manager for a store.
    pub fn new(client: Client, store: impl TokenStore + 'static) -> Self {
        Self::builder(client, store).build()
    }

    /// Returns a builder for a manager with other settings.
    pub fn builder(client: Client, store: impl TokenStore + 'static) -> TokenManagerBuilder {
        TokenManagerBuilder::new(|settings| {
            let shared = Shared::new(settings, client.app().identity());
            let inner = Inner { client, store: Box::new(store), shared };
            Self { handle: Arc::new(Handle { inner: Arc::new(inner) }) }
        })
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.inner().client
    }

    /// Exchanges an authorization code for tokens and stores them: the account has connected the app. Returns the account.
    ///
    /// If HubSpot's response does not name the account, as on `v1`, HubSpot is asked for it. The new tokens replace those that were stored
    /// for the account.
    ///
    /// # Errors
    /// - [`TokenError::Store`] if a check of the store fails. The code was not sent and is still good.
    /// - [`TokenError::Call`] if the exchange fails.
    /// - [`TokenError::UnknownAccount`], [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the new tokens if these are not stored.
    ///   Pass them to [`install_tokens`](Self::install_tokens).
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install(&self, code: AuthorizationCode) -> Result<Account, TokenError> {
        let inner = self.inner();
        let _task = inner.shared.flights.start_task()?;
        catch_panic(|| inner.store.check()).map_err(TokenError::Store)?;
        let tokens = inner.client.exchange_code(code)?;
        let user_level = inner.shared.settings.user_level;
        let introspected = match Account::from_tokens(&tokens, user_level) {
            Some(_) => None,
            None => Some(inner.client.introspect(tokens.access_token.clone())),
        };
        let (account, tokens) = identify(tokens, user_level, introspected)?;
        inner.install(account, tokens)?;
        Ok(account)
    }

    /// Stores tokens that were not requested by [`install`](Self::install). They replace those that were stored for the account.
    ///
    /// They come from an error of `install`; or, for a refresh token from before this library was used, from
    /// [`Client::refresh`](crate::Client::refresh).
    ///
    /// # Errors
    /// - [`TokenError::NotRenewable`] if there is no refresh token among them. Nothing is stored.
    /// - [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the tokens if these are not stored.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install_tokens(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        if tokens.refresh_token.is_none() {
            return Err(TokenError::NotRenewable);
        }
        let _task = self.inner().shared.flights.start_task()?;
        self.inner().install(account, tokens)
    }

    /// Returns the value of the header `Authorization` for a call to one of HubSpot's APIs. It is marked as sensitive.
    ///
    /// It nearly always comes from memory and at once. Otherwise it comes from the store or from a renewal. The old token is handed out as
    /// long as it is good, even if it cannot be renewed.
    ///
    /// # Errors
    /// - [`TokenError::NotInstalled`], [`TokenError::Gone`] or [`TokenError::NotRenewable`] if the account has to connect the app, for the
    ///   first time or again. The manager does not remember these errors, so each further call asks the store.
    /// - [`TokenError::Call`], [`TokenError::BackingOff`], [`TokenError::Store`] or [`TokenError::Unsaved`] if the token is no longer good
    ///   and cannot be renewed now. [`TokenError::next_step`] says what to do.
    /// - [`TokenError::Interrupted`] if the renewal ended without a result.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown), if no token in memory is good.
    pub fn bearer(&self, account: Account) -> Result<HeaderValue, TokenError> {
        match self.inner().shared.cache.read(account, coarse_now()) {
            Cached::Use(bearer) => Ok(bearer),
            Cached::RenewSoon(bearer) => {
                self.inner().renew_ahead(account);
                Ok(bearer)
            }
            Cached::RenewNow => self.inner().bearer(Caller::new(account, Demand::Usable)),
        }
    }

    /// Calls `show` with the [`bearer`](Self::bearer) and returns its result.
    ///
    /// This is for a caller who asks very often: [`bearer`](Self::bearer) returns a counted clone, which is most of its cost. Here `show`
    /// copies only what it needs.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer). `show` is then not called.
    pub fn with_bearer<T>(
        &self,
        account: Account,
        show: impl FnOnce(&HeaderValue) -> T,
    ) -> Result<T, TokenError> {
        match self.inner().shared.cache.lend(account, coarse_now(), show) {
            Ok(shown) => Ok(shown),
            Err(show) => self.bearer(account).map(|bearer| show(&bearer)),
        }
    }

    /// Returns the access token in the [`bearer`](Self::bearer).
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer).
    pub fn access_token(&self, account: Account) -> Result<AccessToken, TokenError> {
        let bearer = self.bearer(account)?;
        access_token(&bearer).ok_or(TokenError::Interrupted)
    }

    /// Returns another bearer than `rejected`, which an API has rejected with status 401. [`send`](Self::send) does this by itself.
    ///
    /// It is the stored one if that is already another, and otherwise a new one. One renewal is made for all callers whose bearer was
    /// rejected. None is made if the rejected token itself comes from such a renewal within the last minute: the 401 then has another
    /// cause than the token's age.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer). [`TokenError::BackingOff`] also if it is too early for another renewal after a 401.
    pub fn bearer_after_401(
        &self,
        account: Account,
        rejected: &HeaderValue,
    ) -> Result<HeaderValue, TokenError> {
        match self.inner().shared.after_401(account, rejected, now()) {
            Ok(bearer) => Ok(bearer),
            Err(caller) => self.inner().bearer(caller),
        }
    }

    /// Renews the account's tokens even if they need no renewal, and returns the new bearer. It never returns the old one.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer), even while the old token is good.
    pub fn refresh_now(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner().bearer(Caller::new(account, Demand::Newer))
    }

    /// Deletes the account's tokens and revokes its refresh token.
    ///
    /// As soon as this begins, the manager no longer hands out the tokens. Other processes hand them out until they have to renew them.
    /// HubSpot accepts the access token until it expires.
    ///
    /// # Errors
    /// - [`TokenError::Store`] if the store fails. The account may still be connected.
    /// - [`TokenError::Call`] if the tokens are deleted but the refresh token could not be revoked. The next disconnect revokes it.
    /// - [`TokenError::Superseded`] if the account was installed meanwhile.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn disconnect(&self, account: Account) -> Result<(), TokenError> {
        let inner = self.inner();
        let _task = inner.shared.flights.start_task()?;
        inner.shared.cache.evict(account);
        let mut run = Disconnect::new(inner.shared.app.clone(), random());
        let result = inner.drive(account, &mut None, &mut run);
        inner.shared.finish_disconnect(account, result)
    }

    /// Returns all accounts that are installed, in order.
    ///
    /// Accounts whose grant is gone or whose record cannot be read are among them. Disconnected accounts are not. This loads every record.
    /// With very many accounts the store's own [`list`](crate::TokenStore::list) is faster, which also has the disconnected ones.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store cannot list its accounts.
    pub fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        let store = &*self.inner().store;
        let mut accounts = catch_panic(|| store.list()).map_err(TokenError::Store)?;
        accounts.retain(|account| is_installed(&catch_panic(|| store.load(*account))));
        Ok(accounts)
    }

    /// Shuts the manager down, for all its clones. Returns the tokens that could not be saved, which exist nowhere else.
    ///
    /// It waits for what is under way, and then makes a last attempt to save tokens that are not saved yet. From then on, tokens in memory
    /// are handed out as long as they are good. Everything else fails with [`TokenError::ShutDown`].
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        let inner = self.inner();
        inner.shared.flights.shut_down();
        inner.wait_idle(Duration::MAX);
        inner.save_once();
        inner.shared.flights.unsaved_tokens()
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }
}

/// The longest time that dropping a manager waits. The request and the save of a renewal are over by then.
const MAX_DROP_TIME: Duration = Duration::from_secs(60);

impl Drop for Handle {
    fn drop(&mut self) {
        // No caller is left, so what is only queued need not begin.
        self.inner.shared.flights.close_queue();
        self.inner.wait_idle(MAX_DROP_TIME);
        self.inner.save_once();
    }
}

impl Inner {
    fn install(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        let snapshot = self.shared.cache.snapshot(account);
        let mut run = Install::new(self.shared.app.clone(), random(), tokens);
        let result = self.drive(account, &mut None, &mut run);
        self.shared.finish_install(account, snapshot, result)
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().shared.fmt(f)
    }
}
