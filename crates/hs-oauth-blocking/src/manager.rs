//! The token manager.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{AccountStatus, Demand, Disconnect, TokenError};
use hs_oauth_core::{AccessToken, Account, AuthorizationCode, Credential, RefreshToken, TokenSet};
use hs_oauth_manager::{
    Cached, Caller, Health, Installed, NewTokens, PAGE_SIZE, RequestedScopes, SHUTDOWN_TIMEOUT, Shared,
    StatusPage, TaskGuard, access_token, is_installed, random,
};
use hs_oauth_store::{AllPages, Cursor, TokenStore};

use crate::client::Client;
use crate::driver::Inner;
use crate::waiting::Threads;

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
/// let account: Account = manager.install(code)?.account; // once, in the callback of the consent page
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
        TokenManagerBuilder::new(|settings, _| {
            let client = client.for_manager(settings.clock.clone());
            let shared = Shared::new(settings, Arc::clone(client.credentials()));
            let inner = Arc::new(Inner { client, store: Box::new(store), shared });
            inner.start_sweep();
            Self { handle: Arc::new(Handle { inner }) }
        })
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.inner().client
    }

    /// Replaces the credential with which the app authenticates itself, such as the client secret. [`client`](Self::client) and its clones use
    /// the new one, too.
    ///
    /// New requests are sent with the new credential, and those under way keep theirs. A back-off that was made because HubSpot refused the
    /// old one does not count for the new one. For an hour both are accepted: if HubSpot refuses the new one, because it was mistyped or
    /// because HubSpot does not know it everywhere yet, the request is sent once more with the old one, and the event is
    /// [`CredentialRefused`](crate::Event::CredentialRefused). A request that was sent with the old one after HubSpot had ended it is sent
    /// once more with the new one.
    ///
    /// Every process needs the new credential, and so does a [`RequestVerifier`](crate::RequestVerifier). [`Client::app`](crate::Client::app)
    /// still shows the first one.
    pub fn set_credential(&self, credential: impl Into<Credential>) {
        self.inner().client.set_credential(credential.into());
    }

    /// Exchanges an authorization code for tokens and stores them: the account has connected the app. Returns the account, what it
    /// granted, and what of the scopes that were asked for is missing.
    ///
    /// If HubSpot's response does not name the account, as on `v1`, HubSpot is asked for it. The new tokens replace those that were stored
    /// for the account.
    ///
    /// # Errors
    /// - [`TokenError::Store`] if a check of the store fails. The code was not sent and is still good.
    /// - [`TokenError::Call`] if the exchange fails.
    /// - [`TokenError::UnknownAccount`], [`TokenError::Unsaved`] or [`TokenError::Superseded`] with the new tokens if these are not stored.
    ///   The guide `install` says what to do with them. After `Unsaved` that is not necessary: the manager keeps the tokens, and saves
    ///   them when it can.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install(&self, code: AuthorizationCode) -> Result<Installed, TokenError> {
        let inner = self.inner();
        let task = inner.shared.flights.start_task()?;
        inner.check()?;
        let requested = RequestedScopes::of(&code);
        let exchanged = inner.client.exchange_code(code);
        inner.shared.note_response(&exchanged);
        let installed = inner.install_new(task, inner.shared.new_tokens(exchanged?, None)?)?;
        Ok(requested.compare(installed))
    }

    /// Stores tokens that were not requested by [`install`](Self::install), such as those in an error of it. They replace those that were
    /// stored for the account. Returns the account, which is the one that the tokens name themselves.
    ///
    /// For a refresh token from before this library was used, see [`install_refresh_token`](Self::install_refresh_token).
    ///
    /// # Errors
    /// The errors of tokens that are not stored hold them: see [`TokenError::tokens`].
    /// - [`TokenError::NotRenewable`] if there is no refresh token among them. Nothing is stored.
    /// - [`TokenError::UnknownAccount`] if they name no account, as on `v1`: use [`install_tokens_as`](Self::install_tokens_as).
    /// - [`TokenError::Unsaved`] or [`TokenError::Superseded`] if they are not stored.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install_tokens(&self, tokens: TokenSet) -> Result<Installed, TokenError> {
        let new = self.inner().shared.new_tokens(tokens, None)?;
        let task = self.inner().shared.flights.start_task()?;
        self.inner().install_named(task, new)
    }

    /// Stores tokens of an account that the caller names. They replace those that were stored for it.
    ///
    /// If the tokens do not name their account, as on `v1`, HubSpot is asked for it. So tokens are never stored for an account that is not
    /// theirs.
    ///
    /// # Errors
    /// The errors of tokens that are not stored hold them: see [`TokenError::tokens`].
    /// - [`TokenError::NotRenewable`] if there is no refresh token among them. Nothing is stored.
    /// - [`TokenError::OtherAccount`] or [`TokenError::OtherApp`] if they are those of another account or app. Nothing is stored.
    /// - [`TokenError::WrongLevel`] if the account names a user and the manager is not user-level, or the other way round.
    /// - [`TokenError::UnknownAccount`] if HubSpot did not say whose they are.
    /// - [`TokenError::Unsaved`] or [`TokenError::Superseded`] if they are not stored.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install_tokens_as(&self, account: Account, tokens: TokenSet) -> Result<Installed, TokenError> {
        let new = self.inner().shared.new_tokens(tokens, Some(account))?;
        let task = self.inner().shared.flights.start_task()?;
        self.inner().install_new(task, new)
    }

    /// Stores a refresh token from before this library was used, or from another program. It replaces what was stored for the account.
    ///
    /// Nothing is sent now. The first use of the account renews the tokens, within the rate of renewals. If HubSpot then says that they are
    /// those of another account, they are not used, and the caller receives [`TokenError::OtherAccount`]. On `v1`, HubSpot is asked whose
    /// they are.
    ///
    /// # Errors
    /// - [`TokenError::WrongLevel`] if the account names a user and the manager is not user-level, or the other way round.
    /// - [`TokenError::Unsaved`] or [`TokenError::Superseded`] if it is not stored.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn install_refresh_token(
        &self,
        account: Account,
        refresh_token: RefreshToken,
    ) -> Result<(), TokenError> {
        self.inner().shared.check_level(account)?;
        let task = self.inner().shared.flights.start_task()?;
        self.inner().install(task, account, TokenSet::from_refresh_token(refresh_token)).map(drop)
    }

    /// Returns the value of the header `Authorization` for a call to one of HubSpot's APIs. It is marked as sensitive.
    ///
    /// It nearly always comes from memory and at once. Otherwise it comes from the store or from a renewal. The old token is handed out as
    /// long as it is good, even if it cannot be renewed.
    ///
    /// # Errors
    /// - [`TokenError::NotInstalled`], [`TokenError::Gone`] or [`TokenError::NotRenewable`] if the account has to connect the app, for the
    ///   first time or again. What another process does for the account shows within a second.
    /// - [`TokenError::Call`], [`TokenError::BackingOff`], [`TokenError::Store`] or [`TokenError::Unsaved`] if the token is no longer good
    ///   and cannot be renewed now. [`TokenError::next_step`] says what to do.
    /// - [`TokenError::OtherApp`], [`TokenError::OtherAccount`], [`TokenError::MassRefusal`] or [`TokenError::WrongLevel`] if the app, the
    ///   manager or what stands between them and HubSpot is configured wrongly.
    /// - [`TokenError::Interrupted`] if the renewal ended without a result.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown), if no token in memory is good.
    pub fn bearer(&self, account: Account) -> Result<HeaderValue, TokenError> {
        match self.inner().shared.cache.read(account, self.inner().shared.settings.clock.coarse_now()) {
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
        match self.inner().shared.cache.lend(account, self.inner().shared.settings.clock.coarse_now(), show) {
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
        match self.inner().shared.after_401(account, rejected, self.inner().now()) {
            Ok(bearer) => Ok(bearer),
            Err(caller) => self.inner().bearer(caller),
        }
    }

    /// Renews the account's tokens even if they need no renewal, and returns the new bearer. It never returns the old one.
    ///
    /// A grant that is gone is tried once more, as by [`recheck`](Self::recheck). A back-off is observed only if HubSpot asked for it.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer), even while the old token is good.
    pub fn refresh_now(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner().bearer(Caller::new(account, Demand::Newer))
    }

    /// Does the same as [`refresh_now`](Self::refresh_now), and observes no back-off at all.
    ///
    /// **Warning**: HubSpot asked for that wait. Calls before its end are refused, they count against the limits of the app, and they may
    /// make the wait longer. Use this only if you know that the limit was lifted.
    ///
    /// # Errors
    /// Those of [`refresh_now`](Self::refresh_now).
    pub fn refresh_now_despite_retry_after(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner().bearer(Caller::new(account, Demand::NewerDespiteRetryAfter))
    }

    /// Tries the stored tokens of an account whose grant is gone once more. If HubSpot accepts them, the account is live again. If it
    /// refuses them, the account stays as it was.
    ///
    /// This is for an operator, after a wrong client secret or a failure of HubSpot's has marked accounts that did not leave. For an account
    /// that is live, this is [`bearer`](Self::bearer). A back-off is observed only if HubSpot asked for it.
    ///
    /// # Errors
    /// Those of [`bearer`](Self::bearer).
    pub fn recheck(&self, account: Account) -> Result<HeaderValue, TokenError> {
        self.inner().bearer(Caller::new(account, Demand::Recheck))
    }

    /// Deletes the account's tokens and revokes its refresh token.
    ///
    /// Use it if the account is to be connected no more. The app stays installed in the account: [`uninstall`](Self::uninstall) takes it out.
    /// Tenants that share the account are disconnected too: [`forget`](Self::forget) spares them.
    ///
    /// As soon as this begins, the manager no longer hands out the tokens. Other processes hand them out until they have to renew them.
    /// HubSpot accepts the access token until it expires.
    ///
    /// # Errors
    /// - [`TokenError::Store`] if the store fails. The account may still be connected.
    /// - [`TokenError::Call`] if the tokens are deleted but the refresh token could not be revoked. The next disconnect revokes it.
    /// - [`TokenError::Superseded`] if the account was installed meanwhile.
    /// - [`TokenError::OtherApp`] if the grant is another app's. Nothing is changed or revoked.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn disconnect(&self, account: Account) -> Result<(), TokenError> {
        let inner = self.inner();
        inner.shared.check_level(account)?;
        let task = inner.shared.flights.start_task()?;
        inner.shared.cache.evict(account);
        let mut run = Disconnect::new(inner.shared.app.clone(), random());
        let mut result = inner.drive(account, None, &mut run);
        if let Some(token) = inner.shared.discard_install(account, &result) {
            result = result.and(inner.client.revoke(&token).map_err(TokenError::Call));
        }
        inner.shared.finish_disconnect(task, account, &run, result)
    }

    /// Forgets the account's tokens and revokes nothing: the grant stays as it is at HubSpot.
    ///
    /// Use it if several tenants of the app share one HubSpot account and one of them leaves: a revocation would break the others. It also
    /// drops a refresh token that an earlier disconnect could not revoke. [`disconnect`](Self::disconnect) ends the grant too, and
    /// [`uninstall`](Self::uninstall) takes the app out of the account. The event is `disconnected`.
    ///
    /// # Errors
    /// Those of [`disconnect`](Self::disconnect), without [`TokenError::Call`].
    pub fn forget(&self, account: Account) -> Result<(), TokenError> {
        let inner = self.inner();
        inner.shared.check_level(account)?;
        let task = inner.shared.flights.start_task()?;
        inner.shared.cache.evict(account);
        let mut run = Disconnect::new(inner.shared.app.clone(), random()).without_revocation();
        let result = inner.drive(account, None, &mut run);
        inner.shared.finish_forget(task, account, &run, result)
    }

    /// Returns all accounts that are installed, in order.
    ///
    /// Accounts whose grant is gone or whose record cannot be read are among them. Disconnected accounts are not. This reads every record.
    /// With very many accounts, read the store's own [pages](crate::TokenStore::page), of which only one is in memory at a time.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        let (mut pages, mut accounts) = (AllPages::new(), BTreeSet::new());
        while let Some(cursor) = pages.cursor() {
            let page = self.inner().page(cursor, PAGE_SIZE).map_err(TokenError::Store)?;
            accounts.extend(
                pages.read(page).iter().filter(|entry| is_installed(entry)).map(|entry| entry.account),
            );
        }
        Ok(accounts.into_iter().collect())
    }

    /// Returns what the account's record says, or `None` if the store has no record of it. It is read from the store now, renews nothing and
    /// asks HubSpot nothing.
    ///
    /// # Errors
    /// - [`TokenError::WrongLevel`] if the account names a user and the manager is not user-level, or the other way round.
    /// - [`TokenError::Store`] if the record cannot be read.
    pub fn status(&self, account: Account) -> Result<Option<AccountStatus>, TokenError> {
        let inner = self.inner();
        inner.shared.check_level(account)?;
        let loaded = inner.load(account).map_err(TokenError::Store)?;
        Ok(inner.shared.status(account, loaded.as_ref(), inner.now()))
    }

    /// Returns what the records of a page of the store say, about `limit` at a time. The first page has no cursor, and each further page
    /// begins at [`StatusPage::next`] of the one before.
    ///
    /// It renews nothing and asks HubSpot nothing. The error of a record that cannot be read is in its entry. Only one page is in memory at a
    /// time.
    ///
    /// # Errors
    /// - [`TokenError::Store`] if the store cannot be read, or did not make the cursor.
    pub fn statuses(&self, cursor: Option<&Cursor>, limit: usize) -> Result<StatusPage, TokenError> {
        let inner = self.inner();
        let page = inner.page(cursor, limit).map_err(TokenError::Store)?;
        Ok(StatusPage::new(page, &inner.shared.settings.policy, inner.now()))
    }

    /// Returns how the manager is, for a readiness probe: whether the store takes writes, and how many accounts are not well as far as this
    /// process knows. It works after a shutdown, too.
    ///
    /// The store is asked by its `check`. A store that hangs holds its caller.
    pub fn health(&self) -> Health {
        let inner = self.inner();
        inner.shared.health(inner.check(), inner.now())
    }

    /// Shuts the manager down, for all its clones, within 25 seconds. Returns the tokens that could not be saved.
    ///
    /// This is [`shutdown_within`](Self::shutdown_within) with the limit that suits Kubernetes, which kills a process 30 seconds after it has
    /// asked it to end.
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        self.shutdown_within(SHUTDOWN_TIMEOUT)
    }

    /// Shuts the manager down, for all its clones, within `max`. Returns the tokens that are not known to be saved: those whose save failed,
    /// and those whose save is still under way when the time is over. They may exist nowhere else. The guide [`operate`][operate] says what
    /// to do with them.
    ///
    /// A renewal that has not sent its refresh ends at once, with [`TokenError::ShutDown`] for its callers if there is no token that they can
    /// have. This waits for everything else that is under way, and makes a last attempt to save tokens that are not saved yet. From then on,
    /// tokens in memory are handed out as long as they are good. Everything else fails with [`TokenError::ShutDown`].
    ///
    /// A call to the store that does not return cannot be given up. The thread that makes it is left behind, and may save the tokens later.
    ///
    /// [operate]: https://docs.rs/hs-oauth-async/latest/hs_oauth_async/guide/operate/index.html
    #[must_use = "tokens that could not be saved exist nowhere else"]
    pub fn shutdown_within(&self, max: Duration) -> Vec<(Account, TokenSet)> {
        let inner = self.inner();
        inner.shared.flights.shut_down();
        inner.finish_all(max);
        inner.shared.flights.unsaved_tokens()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // No caller is left, so what has not been sent need not be.
        self.inner.shared.flights.close();
        self.inner.finish_all(SHUTDOWN_TIMEOUT);
    }
}

impl Inner {
    /// Installs new tokens, after HubSpot was asked whose they are if they do not say so.
    fn install_new(
        self: &Arc<Self>,
        task: TaskGuard<Threads>,
        new: NewTokens,
    ) -> Result<Installed, TokenError> {
        let introspected = new.to_introspect(self.now()).map(|token| self.client.introspect(token));
        let (account, tokens) = new.identify(&self.shared.app, introspected)?;
        self.install(task, account, tokens)
    }

    /// Installs new tokens that must name their account themselves.
    fn install_named(
        self: &Arc<Self>,
        task: TaskGuard<Threads>,
        new: NewTokens,
    ) -> Result<Installed, TokenError> {
        let (account, tokens) = new.identify(&self.shared.app, None)?;
        self.install(task, account, tokens)
    }

    fn install(
        self: &Arc<Self>,
        task: TaskGuard<Threads>,
        account: Account,
        tokens: TokenSet,
    ) -> Result<Installed, TokenError> {
        let mut install = self.shared.begin_install(task, account, tokens, self.now(), random());
        let result = self.drive(account, None, &mut install.run);
        self.shared.finish_install(install, result, self.now(), || self.start_retries())
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().shared.fmt(f)
    }
}
