use std::fmt;
use std::sync::Arc;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, Disconnect, Install, TokenError};
use hs_oauth_core::{AccessToken, Account, AuthorizationCode, STORE_TIMEOUT, TokenSet};
use hs_oauth_manager::{
    Cached, Caller, Purpose, Shared, access_token, coarse_now, identify, is_installed, now, random, tokens_of,
};
use hs_oauth_store::AsyncTokenStore;

use crate::client::Client;
use crate::driver::with_timeout;
use crate::flight::{Inner, result_of};

/// Holds the tokens of every account that connected the app, and hands out ones that work. Cloning it is cheap; clones share
/// everything.
///
/// A token is renewed in the last quarter of its life while it is still handed out, once for all callers of this process and,
/// through the store, once for all processes. New tokens are in the store before anyone gets them. A renewal is a task of its
/// own: a caller who stops waiting does not stop it. Needs a tokio runtime with time and IO enabled, and one that keeps
/// running: a renewal that was begun on a runtime that nobody drives any more stands still, and so do those who wait for it.
///
/// ```no_run
/// use hs_oauth_async::{Account, App, AuthorizationCode, Client, FileStore, SpawnBlocking, TokenManager, reqwest};
///
/// # async fn example(code: AuthorizationCode) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SpawnBlocking::new(FileStore::open("/var/lib/app/tokens")?);
/// let manager = TokenManager::new(Client::new(App::from_env()?)?, store);
///
/// let account: Account = manager.install(code).await?; // once, in the callback of the consent page
/// let bearer = manager.bearer(account).await?; // from then on, before every call: the header `Authorization`
///
/// let http = reqwest::Client::new();
/// let details = http.get("https://api.hubapi.com/account-info/v3/details");
/// let answer = manager.send(account, details).await?; // the same, and a new token after a 401
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager {
    inner: Arc<Inner>,
}

/// A [`TokenManager`] that is being set up.
pub type TokenManagerBuilder = hs_oauth_manager::TokenManagerBuilder<TokenManager>;

impl TokenManager {
    /// A manager of the tokens in `store`. Only one manager of a process should work on a store.
    pub fn new(client: Client, store: impl AsyncTokenStore + 'static) -> Self {
        Self::builder(client, store).build()
    }

    /// The same, with more to say about it.
    pub fn builder(client: Client, store: impl AsyncTokenStore + 'static) -> TokenManagerBuilder {
        TokenManagerBuilder::new(|settings| {
            let inner = Inner { client, store: Box::new(store), shared: Shared::new(settings) };
            Self { inner: Arc::new(inner) }
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Exchanges a code for tokens and keeps them: the account has connected the app. Gives the account, which HubSpot is
    /// asked for where its answer does not say (on `v1`). Replaces what was held of the account.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store does not answer, and the code is still good; [`TokenError::Call`] if the exchange
    /// fails; [`TokenError::UnknownAccount`], [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the new tokens, which are
    /// then [`install_tokens`](Self::install_tokens)'s; [`TokenError::ShutDown`].
    pub async fn install(&self, code: AuthorizationCode) -> Result<Account, TokenError> {
        let work = |inner: Arc<Inner>| async move {
            let check = with_timeout(STORE_TIMEOUT, async { inner.store.check().await });
            check.await.map_err(TokenError::Store)?;
            let tokens = inner.client.exchange_code(code).await?;
            let user_level = inner.shared.settings.user_level;
            let introspected = match Account::from_tokens(&tokens, user_level) {
                Some(_) => None,
                None => Some(inner.client.introspect(tokens.access_token.clone()).await),
            };
            let (account, tokens) = identify(tokens, user_level, introspected)?;
            inner.install(account, tokens).await?;
            Ok(account)
        };
        self.inner.run_task(work).await
    }

    /// Keeps tokens that were got elsewhere: out of an error of [`install`](Self::install), or with a refresh token from before this
    /// library, by [`Client::refresh`](crate::Client::refresh). Replaces what was held of the account.
    ///
    /// # Errors
    /// [`TokenError::NotRenewable`], and nothing is done, if there is no refresh token among them; [`TokenError::Unsaved`] or
    /// [`TokenError::Superseded`] with the tokens; [`TokenError::ShutDown`].
    pub async fn install_tokens(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        if tokens.refresh_token.is_none() {
            return Err(TokenError::NotRenewable);
        }
        let work = move |inner: Arc<Inner>| async move { inner.install(account, tokens).await };
        self.inner.run_task(work).await
    }

    /// The header `Authorization` for a call to an API of HubSpot's, marked as sensitive.
    ///
    /// Nearly always at once, from memory; else from the store or after a renewal. The old token is handed out while it is
    /// good, whatever keeps it from being renewed.
    ///
    /// # Errors
    /// [`TokenError::NotInstalled`] and [`TokenError::Gone`]: the account has to connect the app (again). Nothing is remembered of
    /// that but by the store, so each call asks it. Others if no token is good and no new one is to be had:
    /// [`TokenError::next_step`] says what to do.
    pub async fn bearer(&self, account: Account) -> Result<HeaderValue, TokenError> {
        match self.inner.shared.cache.read(account, coarse_now()) {
            Cached::Use(bearer) => Ok(bearer),
            Cached::RenewSoon(bearer) => {
                // If no flight can be started now, a later call starts one.
                let _ = self.inner.start_or_join(account, &Demand::Usable, Purpose::Ahead);
                Ok(bearer)
            }
            Cached::RenewNow => self.inner.bearer(Caller::new(account, Demand::Usable)).await,
        }
    }

    /// Shows the bearer to `show`, which copies of it what it needs: for whoever asks so often that handing out a counted clone,
    /// which is most of the cost of [`bearer`](Self::bearer), is too much.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer); then `show` is not called.
    pub async fn with_bearer<T>(
        &self,
        account: Account,
        show: impl FnOnce(&HeaderValue) -> T,
    ) -> Result<T, TokenError> {
        match self.inner.shared.cache.lend(account, coarse_now(), show) {
            Ok(shown) => Ok(shown),
            Err(show) => self.bearer(account).await.map(|bearer| show(&bearer)),
        }
    }

    /// The token in [`bearer`](Self::bearer).
    ///
    /// # Errors
    /// As there.
    pub async fn access_token(&self, account: Account) -> Result<AccessToken, TokenError> {
        let bearer = self.bearer(account).await?;
        access_token(&bearer).ok_or(TokenError::Interrupted)
    }

    /// Another bearer than the one an API answered with 401: the stored one if that is another already, else a new one. However many
    /// callers were answered so, one renewal is made; and none if the rejected token itself came of such a renewal within the last
    /// minute, since then the 401 is not for its age. [`send`](Self::send) does this by itself.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer); [`TokenError::BackingOff`] if it is too early for another renewal.
    pub async fn bearer_after_401(
        &self,
        account: Account,
        rejected: &HeaderValue,
    ) -> Result<HeaderValue, TokenError> {
        match self.inner.shared.after_401(account, rejected, now()) {
            Ok(bearer) => Ok(bearer),
            Err(caller) => self.inner.bearer(caller).await,
        }
    }

    /// Renews the account's tokens whether they need it or not, and gives the new bearer. Never hands out the old one.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer).
    pub async fn refresh_now(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner.bearer(Caller::new(account, Demand::Newer)).await
    }

    /// Forgets the account's tokens and revokes its refresh token. Once this begins they are no longer handed out here; other
    /// processes do so until theirs is renewed. HubSpot lets the access token live to its end.
    ///
    /// # Errors
    /// [`TokenError::Store`], and the account may still be connected; [`TokenError::Call`] if it is forgotten here but could not be revoked:
    /// the next disconnect revokes it; [`TokenError::Superseded`] if it was installed in between; [`TokenError::ShutDown`].
    pub async fn disconnect(&self, account: Account) -> Result<(), TokenError> {
        let work = move |inner: Arc<Inner>| async move {
            inner.shared.cache.evict(account);
            let mut run = Disconnect::new(random());
            let result = inner.driver(account).drive(&mut run).await;
            inner.shared.finish_disconnect(account, result)
        };
        self.inner.run_task(work).await
    }

    /// Every account that is installed, in order; also those whose grant is gone or whose record cannot be read, not those that
    /// were disconnected. Loads every record: where there are very many, the store's own
    /// [`list`](crate::TokenStore::list), which has the disconnected ones too, is faster.
    ///
    /// # Errors
    /// [`TokenError::Store`].
    pub async fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        let store = &*self.inner.store;
        let listed = with_timeout(STORE_TIMEOUT, async { store.list().await }).await;
        let mut accounts = Vec::new();
        for account in listed.map_err(TokenError::Store)? {
            if is_installed(&with_timeout(STORE_TIMEOUT, async { store.load(account).await }).await) {
                accounts.push(account);
            }
        }
        Ok(accounts)
    }

    /// Ends the manager, for all its clones: waits for what is under way, and tries once more to save tokens that are not saved.
    /// From then on tokens in memory are handed out while they are good; whatever else is asked for gives
    /// [`TokenError::ShutDown`].
    ///
    /// Call it before the runtime ends: a renewal that is cut off may lose an account's refresh token. Gives the tokens that
    /// could not be saved and exist nowhere else.
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub async fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        let flights = &self.inner.shared.flights;
        flights.shut_down();
        self.inner.wait_idle().await;
        let unsaved: Vec<_> = flights.state().unsaved.keys().copied().collect();
        let started: Vec<_> = unsaved
            .into_iter()
            .filter_map(|account| self.inner.start_or_join(account, &Demand::Usable, Purpose::Shutdown).ok())
            .collect();
        for (flight, _) in started {
            _ = result_of(&flight).await;
        }
        tokens_of(&flights.state().unsaved)
    }
}

impl Inner {
    async fn install(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        let snapshot = self.shared.cache.snapshot(account);
        let mut run = Install::new(random(), tokens);
        let result = self.driver(account).drive(&mut run).await;
        self.shared.finish_install(account, snapshot, result)
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.shared.fmt(f)
    }
}
