use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, Disconnect, Install, TokenError};
use hs_oauth_core::{AccessToken, Account, AuthorizationCode, TokenSet};
use hs_oauth_manager::{
    Cached, Caller, Shared, access_token, catch_panic, coarse_now, identify, is_installed, now, random,
    tokens_of,
};
use hs_oauth_store::TokenStore;

use crate::client::Client;
use crate::flight::Inner;

/// Holds the tokens of every account that connected the app, and hands out ones that work. Cloning it is cheap; clones share
/// everything.
///
/// A token is renewed in the last quarter of its life while it is still handed out, once for all callers of this process and,
/// through the store, once for all processes. New tokens are in the store before anyone gets them. Renewals ahead of time run on
/// up to eight threads of the manager's; one that callers wait for runs on the thread of the first. Dropping the last clone waits
/// for what is under way, since a renewal that is cut off may lose an account's refresh token; a process that ends without that
/// does not.
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
/// let answer = manager.send(account, details)?; // the same, and a new token after a 401
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager {
    handle: Arc<Handle>,
}

/// What the clones of a manager hold, and the threads do not.
struct Handle {
    inner: Arc<Inner>,
}

/// A [`TokenManager`] that is being set up.
pub type TokenManagerBuilder = hs_oauth_manager::TokenManagerBuilder<TokenManager>;

impl TokenManager {
    /// A manager of the tokens in `store`. Only one manager of a process should work on a store.
    pub fn new(client: Client, store: impl TokenStore + 'static) -> Self {
        Self::builder(client, store).build()
    }

    /// The same, with more to say about it.
    pub fn builder(client: Client, store: impl TokenStore + 'static) -> TokenManagerBuilder {
        TokenManagerBuilder::new(|settings| {
            let inner = Inner { client, store: Box::new(store), shared: Shared::new(settings) };
            Self { handle: Arc::new(Handle { inner: Arc::new(inner) }) }
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.inner().client
    }

    /// Exchanges a code for tokens and keeps them: the account has connected the app. Gives the account, which HubSpot is
    /// asked for where its answer does not say (on `v1`). Replaces what was held of the account.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store does not answer, and the code is still good; [`TokenError::Call`] if the exchange
    /// fails; [`TokenError::UnknownAccount`], [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the new tokens, which are
    /// then [`install_tokens`](Self::install_tokens)'s; [`TokenError::ShutDown`].
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

    /// Keeps tokens that were got elsewhere: out of an error of [`install`](Self::install), or with a refresh token from before this
    /// library, by [`Client::refresh`](crate::Client::refresh). Replaces what was held of the account.
    ///
    /// # Errors
    /// [`TokenError::NotRenewable`], and nothing is done, if there is no refresh token among them; [`TokenError::Unsaved`] or
    /// [`TokenError::Superseded`] with the tokens; [`TokenError::ShutDown`].
    pub fn install_tokens(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        if tokens.refresh_token.is_none() {
            return Err(TokenError::NotRenewable);
        }
        let _task = self.inner().shared.flights.start_task()?;
        self.inner().install(account, tokens)
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

    /// Shows the bearer to `show`, which copies of it what it needs: for whoever asks so often that handing out a counted clone,
    /// which is most of the cost of [`bearer`](Self::bearer), is too much.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer); then `show` is not called.
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

    /// The token in [`bearer`](Self::bearer).
    ///
    /// # Errors
    /// As there.
    pub fn access_token(&self, account: Account) -> Result<AccessToken, TokenError> {
        let bearer = self.bearer(account)?;
        access_token(&bearer).ok_or(TokenError::Interrupted)
    }

    /// Another bearer than the one an API answered with 401: the stored one if that is another already, else a new one. However many
    /// callers were answered so, one renewal is made; and none if the rejected token itself came of such a renewal within the last
    /// minute, since then the 401 is not for its age. [`send`](Self::send) does this by itself.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer); [`TokenError::BackingOff`] if it is too early for another renewal.
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

    /// Renews the account's tokens whether they need it or not, and gives the new bearer. Never hands out the old one.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer).
    pub fn refresh_now(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner().bearer(Caller::new(account, Demand::Newer))
    }

    /// Forgets the account's tokens and revokes its refresh token. Once this begins they are no longer handed out here; other
    /// processes do so until theirs is renewed. HubSpot lets the access token live to its end.
    ///
    /// # Errors
    /// [`TokenError::Store`], and the account may still be connected; [`TokenError::Call`] if it is forgotten here but could not be revoked:
    /// the next disconnect revokes it; [`TokenError::Superseded`] if it was installed in between; [`TokenError::ShutDown`].
    pub fn disconnect(&self, account: Account) -> Result<(), TokenError> {
        let inner = self.inner();
        let _task = inner.shared.flights.start_task()?;
        inner.shared.cache.evict(account);
        let mut run = Disconnect::new(random());
        let result = inner.driver(account).drive(&mut run);
        inner.shared.finish_disconnect(account, result)
    }

    /// Every account that is installed, in order; also those whose grant is gone or whose record cannot be read, not those that
    /// were disconnected. Loads every record: where there are very many, the store's own
    /// [`list`](crate::TokenStore::list), which has the disconnected ones too, is faster.
    ///
    /// # Errors
    /// [`TokenError::Store`].
    pub fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        let store = &*self.inner().store;
        let mut accounts = catch_panic(|| store.list()).map_err(TokenError::Store)?;
        accounts.retain(|account| is_installed(&catch_panic(|| store.load(*account))));
        Ok(accounts)
    }

    /// Ends the manager, for all its clones: waits for what is under way, and tries once more to save tokens that are not saved.
    /// From then on tokens in memory are handed out while they are good; whatever else is asked for gives
    /// [`TokenError::ShutDown`].
    ///
    /// Gives the tokens that could not be saved and exist nowhere else.
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        let inner = self.inner();
        inner.shared.flights.shut_down();
        inner.wait_idle(Duration::MAX);
        inner.save_once();
        tokens_of(&inner.shared.flights.state().unsaved)
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }
}

/// The longest that dropping a manager waits: a renewal's request and save are over by then.
const MAX_DROP_TIME: Duration = Duration::from_secs(60);

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody can ask any more.
        self.inner.shared.flights.close_queue();
        self.inner.wait_idle(MAX_DROP_TIME);
        self.inner.save_once();
    }
}

impl Inner {
    fn install(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        let snapshot = self.shared.cache.snapshot(account);
        let mut run = Install::new(random(), tokens);
        let result = self.driver(account).drive(&mut run);
        self.shared.finish_install(account, snapshot, result)
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().shared.fmt(f)
    }
}
