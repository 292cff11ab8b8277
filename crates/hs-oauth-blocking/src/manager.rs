use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, Disconnect, CurrentTokens, Install, RenewalPolicy, TokenError};
use hs_oauth_core::{AccessToken, Account, AuthorizationCode, Event, Introspection, TokenSet};
use hs_oauth_store::TokenStore;
use hs_oauth_store::cache::{self, Cache, Cached, is_installed};

use crate::client::Client;
use crate::drive::{caught, now, random};
use crate::flight::{Busy, Listener, Shared, State};
use crate::turns::Turns;

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
    shared: Arc<Shared>,
}

/// A [`TokenManager`] that is being set up.
pub struct TokenManagerBuilder {
    client: Client,
    store: Box<dyn TokenStore>,
    policy: RenewalPolicy,
    user_level: bool,
    on_event: Option<Box<Listener>>,
    turns: Turns,
}

impl TokenManager {
    /// A manager of the tokens in `store`. Only one manager of a process should work on a store.
    pub fn new(client: Client, store: impl TokenStore + 'static) -> Self {
        Self::builder(client, store).build()
    }

    /// The same, with more to say about it.
    pub fn builder(client: Client, store: impl TokenStore + 'static) -> TokenManagerBuilder {
        TokenManagerBuilder {
            client,
            store: Box::new(store),
            policy: RenewalPolicy::new(),
            user_level: false,
            on_event: None,
            turns: Turns::new(None),
        }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.shared().client
    }

    /// Exchanges a code for tokens and keeps them: the account has connected the app. Gives the account, which HubSpot is
    /// asked for where its answer does not say (on `v1`). Replaces what was held of the account.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store does not answer, and the code is still good; [`TokenError::Call`] if the exchange
    /// fails; [`TokenError::UnknownAccount`], [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the new tokens, which are
    /// then [`install_tokens`](Self::install_tokens)'s; [`TokenError::ShutDown`].
    pub fn install(&self, code: AuthorizationCode) -> Result<Account, TokenError> {
        let shared = self.shared();
        let _busy = self.begin()?;
        caught(|| shared.store.check()).map_err(TokenError::Store)?;
        let tokens = shared.client.exchange_code(code)?;
        let (account, tokens) = shared.account_of(tokens)?;
        shared.install(account, tokens)?;
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
        let _busy = self.begin()?;
        self.shared().install(account, tokens)
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
        match self.shared().cache.read(account, cache::now()) {
            Cached::Use(bearer) => Ok(bearer),
            Cached::RenewSoon(bearer) => {
                self.shared().renew_ahead(account);
                Ok(bearer)
            }
            Cached::RenewNow => self.shared().bearer(account, Demand::Usable),
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
        match self.shared().cache.lend(account, cache::now(), show) {
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
        cache::access_token(&bearer).ok_or(TokenError::Interrupted)
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
        let Some(rejected) = cache::access_token(rejected) else { return self.bearer(account) };
        let demand = Demand::OtherThan(rejected);
        if let Some(bearer) = self.shared().cache.instead(account, &demand, now()) {
            return Ok(bearer);
        }
        match self.shared().cache.must_not_force(account, now()) {
            None => self.shared().bearer(account, demand),
            Some(wait) => {
                let bearer = self.shared().bearer(account, Demand::Usable)?;
                match cache::is_met(&demand, &bearer) {
                    true => Ok(bearer),
                    false => Err(TokenError::BackingOff { wait }),
                }
            }
        }
    }

    /// Renews the account's tokens whether they need it or not, and gives the new bearer. Never hands out the old one.
    ///
    /// # Errors
    /// As [`bearer`](Self::bearer).
    pub fn refresh_now(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.shared().bearer(account, Demand::Newer)
    }

    /// Forgets the account's tokens and revokes its refresh token. Once this begins they are no longer handed out here; other
    /// processes do so until theirs is renewed. HubSpot lets the access token live to its end.
    ///
    /// # Errors
    /// [`TokenError::Store`], and the account may still be connected; [`TokenError::Call`] if it is forgotten here but could not be revoked:
    /// the next disconnect revokes it; [`TokenError::Superseded`] if it was installed in between; [`TokenError::ShutDown`].
    pub fn disconnect(&self, account: Account) -> Result<(), TokenError> {
        let shared = self.shared();
        let _busy = self.begin()?;
        shared.cache.evict(account);
        let mut run = Disconnect::new(random());
        let result = shared.world(account).drive(&mut run, &mut None);
        // What a flight may have brought while the tombstone was not there yet.
        shared.cache.evict(account);
        // Forgotten it is, even if it could not be revoked.
        if matches!(result, Ok(()) | Err(TokenError::Call(_))) {
            shared.emit(&Event::Disconnected { account });
        }
        result
    }

    /// Every account that is installed, in order; also those whose grant is gone or whose record cannot be read, not those that
    /// were disconnected. Loads every record: where there are very many, the store's own
    /// [`list`](crate::TokenStore::list), which has the disconnected ones too, is faster.
    ///
    /// # Errors
    /// [`TokenError::Store`].
    pub fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        let store = &*self.shared().store;
        let mut accounts = caught(|| store.list()).map_err(TokenError::Store)?;
        accounts.retain(|account| is_installed(&caught(|| store.load(*account))));
        Ok(accounts)
    }

    /// Ends the manager, for all its clones: waits for what is under way, and tries once more to save tokens that are not saved.
    /// From then on tokens in memory are handed out while they are good; whatever else is asked for gives
    /// [`TokenError::ShutDown`].
    ///
    /// Gives the tokens that could not be saved and exist nowhere else.
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        let shared = self.shared();
        shared.shut();
        shared.changed.notify_all();
        shared.settle_down(Duration::MAX);
        shared.save_once();
        let state = shared.state();
        state.unsaved.iter().map(|(account, unsaved)| (*account, unsaved.tokens().clone())).collect()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn begin(&self) -> Result<Busy, TokenError> {
        let mut state = self.shared().state();
        match state.is_shut {
            true => Err(TokenError::ShutDown),
            false => Ok(Busy::new(self.shared(), &mut state)),
        }
    }
}

/// The longest that dropping a manager waits: a renewal's request and save are over by then.
const LONGEST_DROP: Duration = Duration::from_secs(60);

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody can ask any more.
        self.shared.turns.close();
        self.shared.settle_down(LONGEST_DROP);
        self.shared.save_once();
    }
}

impl TokenManagerBuilder {
    /// When tokens are renewed; [`RenewalPolicy::new`] unless set. All processes that share the store must have the same.
    #[must_use]
    pub fn policy(mut self, policy: RenewalPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether each user of a HubSpot account has tokens of their own: accounts then are users in hubs.
    #[must_use]
    pub fn user_level(mut self, user_level: bool) -> Self {
        self.user_level = user_level;
        self
    }

    /// Hears what becomes of the accounts, on whatever thread it happens: while it blocks, so does that.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(listener));
        self
    }

    /// The most renewals that this manager begins in any one second; as many as there are to begin unless set. Those that
    /// nobody waits for begin in the order in which their tokens end, those that a caller waits for before them. A caller who can
    /// have the old token does not wait.
    ///
    /// HubSpot's tokens are renewed ahead of time for more than four and a half minutes: a hundredth of the accounts of a process,
    /// if all are in use and expire together, leaves more than half of that.
    #[must_use]
    pub fn renewals_per_second(mut self, most: NonZeroU32) -> Self {
        self.turns = Turns::new(Some(most));
        self
    }

    /// The manager.
    pub fn build(self) -> TokenManager {
        let Self { client, store, policy, user_level, on_event, turns } = self;
        let shared = Shared {
            client,
            store,
            policy,
            user_level,
            on_event,
            cache: Cache::new(policy),
            turns,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        };
        TokenManager { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }
}

impl Shared {
    /// Whose tokens these are: as HubSpot said with them, or says when asked.
    fn account_of(&self, mut tokens: TokenSet) -> Result<(Account, TokenSet), TokenError> {
        let mut failure = None;
        if Account::from_tokens(&tokens, self.user_level).is_none() {
            match self.client.introspect(tokens.access_token.clone()) {
                Ok(Introspection::AccessToken(info)) => {
                    tokens.hub_id = Some(info.hub_id);
                    tokens.user_id = tokens.user_id.or(info.user_id);
                    tokens.scopes.get_or_insert(info.scopes);
                }
                Ok(_) => {}
                Err(error) => failure = Some(Box::new(error)),
            }
        }
        match Account::from_tokens(&tokens, self.user_level) {
            Some(account) => Ok((account, tokens)),
            None => Err(TokenError::UnknownAccount { tokens: Box::new(tokens), error: failure }),
        }
    }

    fn install(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        let ticket = self.cache.ticket(account);
        let mut run = Install::new(random(), tokens);
        let result = self.world(account).drive(&mut run, &mut None);
        if let Err(error) = &result {
            // The caller may have gone away, and the error may hold the only copy of the tokens.
            self.emit(&Event::Failed { account, error });
        }
        let CurrentTokens { tokens, version, .. } = result?;
        self.cache.publish(account, ticket, cache::bearer(&tokens.access_token), &tokens, version);
        self.emit(&Event::Saved { account, expires_at: tokens.expires_at });
        Ok(())
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared().state();
        f.debug_struct("TokenManager")
            .field("held", &self.shared().cache.len())
            .field("flights", &state.flights.len())
            .field("unsaved", &state.unsaved.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder").finish_non_exhaustive()
    }
}
