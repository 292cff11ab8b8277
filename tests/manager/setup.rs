//! One interface for both managers, a store that fails or waits when a test wants it to, and an emulator behind them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hs_oauth_async::{Event, Health, StatusPage};
use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{AccountStatus, Record, RenewalPolicy, Stored, Timing, TokenError};
use hs_oauth_core::{
    Account, ApiVersion, App, AuthorizationCode, Authorize, ClientSecret, Credential, ExchangeCode,
    RefreshToken, StoreError, StoreErrorKind, Timestamp, TokenSet,
};
use hs_oauth_emulator::{Fault, Server, Settings, Target};
use hs_oauth_store::{Cursor, Page, Swapped, TokenStore};

use super::relay::Relay;
use crate::both::Client;
use crate::engine::new_store;
use crate::wait::{PATIENCE, in_parallel, wait_until};

pub(crate) const HUB: Account = Account::hub(62_515);

pub(crate) struct Setup {
    pub(crate) hubspot: Server,
    /// Everything that the managers and `client` send goes through it.
    pub(crate) relay: Relay,
    pub(crate) store: Arc<Store>,
    pub(crate) manager: Manager,
    pub(crate) app: App,
    pub(crate) client: Client,
    index: usize,
    policy: RenewalPolicy,
    events: Receiver<String>,
}

/// A manager on one of the two transports.
#[derive(Clone)]
pub(crate) enum Manager {
    Async(Arc<tokio::runtime::Runtime>, hs_oauth_async::TokenManager),
    Blocking(hs_oauth_blocking::TokenManager),
}

/// Runs `scenario` with each manager at the same time, each against an emulator of its own.
pub(crate) fn both(scenario: impl Fn(Setup) + Sync) {
    both_with(Settings::new([3; 32]), long_times(), scenario);
}

pub(crate) fn both_with(settings: Settings, policy: RenewalPolicy, scenario: impl Fn(Setup) + Sync) {
    in_parallel([0, 1], |index| scenario(Setup::new(index, settings.clone(), ApiVersion::LATEST, policy)));
}

/// Returns the default policy with more time for requests, enough for a slow machine.
pub(crate) fn long_times() -> RenewalPolicy {
    let secs = Duration::from_secs;
    let timing = Timing {
        clock_margin: secs(10),
        request: secs(45),
        save: secs(30),
        lease: secs(90),
        safety: secs(60),
    };
    RenewalPolicy::with_timing(timing).unwrap()
}

/// Returns a policy with so short a lease that a test can wait for its end, and with enough time for requests and saves on a slow
/// machine.
pub(crate) fn short_lease() -> RenewalPolicy {
    let (margin, secs) = (Duration::from_millis(100), Duration::from_secs);
    let timing =
        Timing { clock_margin: margin, request: secs(7), save: secs(4), lease: secs(12), safety: margin };
    RenewalPolicy::with_timing(timing).unwrap()
}

impl Setup {
    pub(crate) fn new(index: usize, settings: Settings, version: ApiVersion, policy: RenewalPolicy) -> Self {
        let hubspot = Server::start("127.0.0.1:0", settings).unwrap();
        let settings = hubspot.settings();
        let relay = Relay::start(hubspot.address());
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
            .with_redirect_uri(&settings.redirect_uris[0])
            .with_api_base(relay.url())
            .with_app_base(hubspot.url())
            .with_version(version)
            .build()
            .unwrap();
        let store = Arc::new(Store::default());
        let client = Client::both(&app).into_iter().nth(index).unwrap().with_timeout(PATIENCE);
        let (sender, events) = channel();
        let on_event = move |event: &Event<'_>| _ = sender.send(event.name().to_owned());
        let manager = Manager::new(index, &app, Arc::clone(&store), policy, on_event);
        Self { hubspot, relay, store, manager, app, client, index, policy, events }
    }

    /// Returns a manager as another process would have it: over the same store, with nothing in memory.
    pub(crate) fn other_process(&self) -> Manager {
        Manager::new(self.index, &self.app, Arc::clone(&self.store), self.policy, |_| {})
    }

    pub(crate) fn code(&self) -> AuthorizationCode {
        self.code_of(HUB)
    }

    /// Returns the code of a consent in this account, which HubSpot has from now on if it had not before.
    pub(crate) fn code_of(&self, account: Account) -> AuthorizationCode {
        self.hubspot.emulator(|emulator| emulator.add_hub(account.hub_id, "example.com"));
        let authorize = Authorize::new("oauth".parse().unwrap()).with_hub_id(account.hub_id);
        let authorization = authorize.begin(&self.app, now()).unwrap();
        let callback = self.hubspot.connect(&authorization.url).unwrap();
        authorization.pending.accept(now(), callback.split_once('?').unwrap().1).unwrap()
    }

    /// Installs tokens whose access token ends after so many seconds. With 300 it is in the part of its life in which it is renewed
    /// ahead of time. With 0 it has ended.
    pub(crate) fn install_ending_in(&self, seconds: u64) -> TokenSet {
        let tokens = self.tokens_ending_in(HUB, seconds);
        self.manager.install_tokens_as(HUB, tokens.clone()).unwrap();
        self.expect_event("installed");
        tokens
    }

    /// Returns new tokens of this account, whose access token ends after so many seconds.
    pub(crate) fn tokens_ending_in(&self, account: Account, seconds: u64) -> TokenSet {
        let mut tokens = self.client.call(&ExchangeCode::new(self.code_of(account))).unwrap();
        tokens.expires_at = now().plus(Duration::from_secs(seconds));
        tokens
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.hubspot.emulator(|emulator| emulator.inject(fault));
    }

    /// Returns how many requests of this kind HubSpot has received.
    pub(crate) fn sent(&self, target: Target) -> usize {
        self.hubspot
            .emulator(|emulator| emulator.journal().filter(|entry| entry.operation == Some(target)).count())
    }

    #[track_caller]
    pub(crate) fn wait_for_sent(&self, target: Target, count: usize) {
        wait_until(|| self.sent(target) >= count);
    }

    #[track_caller]
    pub(crate) fn expect_event(&self, name: &str) {
        assert_eq!(self.events.recv_timeout(PATIENCE).as_deref(), Ok(name));
    }

    /// Waits for an event. The manager may have tried and failed a few times before it.
    #[track_caller]
    pub(crate) fn expect_event_after_failures(&self, name: &str) {
        let mut events = std::iter::from_fn(|| self.events.recv_timeout(PATIENCE).ok());
        assert_eq!(events.find(|event| event != "failed").as_deref(), Some(name));
    }

    /// Returns the events so far. The async manager may give a caller the result before it reports the event.
    pub(crate) fn events(&self) -> Vec<String> {
        wait_until(|| format!("{:?}", self.manager).contains("flights: 0"));
        self.events.try_iter().collect()
    }

    /// Returns the next events, as many as these. A flight emits its events after it has ended.
    pub(crate) fn next_events(&self, number: usize) -> Vec<String> {
        (0..number).map(|_| self.events.recv_timeout(PATIENCE).unwrap()).collect()
    }

    /// Returns 0 for the async transport, 1 for the blocking one.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    #[track_caller]
    pub(crate) fn expect_no_event(&self) {
        assert!(self.events.try_recv().is_err());
    }

    /// Makes HubSpot's next response to a code one that does not name the account, as on `v1`.
    pub(crate) fn omit_account_in_next_response(&self) {
        let tokens = self.client.call(&ExchangeCode::new(self.code())).unwrap();
        let response = serde_json::json!({
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "token_type": "bearer",
            "expires_in": 1800,
        });
        self.fault(
            Fault::raw_body(response.to_string(), "application/json").with_target(Target::ExchangeCode),
        );
    }

    pub(crate) fn details_url(&self) -> String {
        format!("{}/account-info/v3/details", self.hubspot.url())
    }

    /// Returns whether an API accepts the bearer.
    pub(crate) fn accepts(&self, bearer: HeaderValue) -> bool {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let response = agent.get(self.details_url()).header("authorization", bearer).call().unwrap();
        response.status() == 200
    }
}

impl Manager {
    pub(crate) fn new(
        index: usize,
        app: &App,
        store: Arc<Store>,
        policy: RenewalPolicy,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::with_budget(index, app, store, policy, None, on_event)
    }

    pub(crate) fn with_budget(
        index: usize,
        app: &App,
        store: Arc<Store>,
        policy: RenewalPolicy,
        per_second: Option<NonZeroU32>,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        if index == 0 {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let client = hs_oauth_async::Client::new(app.clone()).unwrap().with_timeout(PATIENCE);
            let mut manager =
                hs_oauth_async::TokenManager::builder(client, hs_oauth_async::SpawnBlocking::new(store));
            if let Some(per_second) = per_second {
                manager = manager.with_renewals_per_second(per_second);
            }
            Self::Async(Arc::new(runtime.unwrap()), manager.with_policy(policy).on_event(on_event).build())
        } else {
            let client = hs_oauth_blocking::Client::new(app.clone()).with_timeout(PATIENCE);
            let mut manager = hs_oauth_blocking::TokenManager::builder(client, store);
            if let Some(per_second) = per_second {
                manager = manager.with_renewals_per_second(per_second);
            }
            Self::Blocking(manager.with_policy(policy).on_event(on_event).build())
        }
    }

    /// Returns a manager over this client.
    pub(crate) fn over(client: &Client, store: Arc<Store>) -> Self {
        match client.clone() {
            Client::Async(runtime, client) => {
                let store = hs_oauth_async::SpawnBlocking::new(store);
                Self::Async(runtime, hs_oauth_async::TokenManager::new(client, store))
            }
            Client::Blocking(client) => Self::Blocking(hs_oauth_blocking::TokenManager::new(client, store)),
        }
    }

    pub(crate) fn install(&self, code: AuthorizationCode) -> Result<Account, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.install(code)),
            Self::Blocking(manager) => manager.install(code),
        }
        .map(|installed| installed.account)
    }

    pub(crate) fn install_tokens(&self, tokens: TokenSet) -> Result<Account, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.install_tokens(tokens)),
            Self::Blocking(manager) => manager.install_tokens(tokens),
        }
        .map(|installed| installed.account)
    }

    pub(crate) fn install_tokens_as(
        &self,
        account: Account,
        tokens: TokenSet,
    ) -> Result<Account, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.install_tokens_as(account, tokens)),
            Self::Blocking(manager) => manager.install_tokens_as(account, tokens),
        }
        .map(|installed| installed.account)
    }

    pub(crate) fn install_refresh_token(
        &self,
        account: Account,
        token: RefreshToken,
    ) -> Result<(), TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.install_refresh_token(account, token)),
            Self::Blocking(manager) => manager.install_refresh_token(account, token),
        }
    }

    pub(crate) fn bearer(&self) -> Result<HeaderValue, TokenError> {
        self.bearer_of(HUB)
    }

    pub(crate) fn bearer_of(&self, account: Account) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.bearer(account)),
            Self::Blocking(manager) => manager.bearer(account),
        }
    }

    /// Returns the bearer that the manager's `with_bearer` shows.
    pub(crate) fn with_bearer(&self) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.with_bearer(HUB, HeaderValue::clone)),
            Self::Blocking(manager) => manager.with_bearer(HUB, HeaderValue::clone),
        }
    }

    pub(crate) fn bearer_after_401(&self, rejected: &HeaderValue) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.bearer_after_401(HUB, rejected)),
            Self::Blocking(manager) => manager.bearer_after_401(HUB, rejected),
        }
    }

    pub(crate) fn refresh_now(&self) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.refresh_now(HUB)),
            Self::Blocking(manager) => manager.refresh_now(HUB),
        }
    }

    pub(crate) fn refresh_now_despite_retry_after(&self) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.refresh_now_despite_retry_after(HUB)),
            Self::Blocking(manager) => manager.refresh_now_despite_retry_after(HUB),
        }
    }

    pub(crate) fn recheck(&self, account: Account) -> Result<HeaderValue, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.recheck(account)),
            Self::Blocking(manager) => manager.recheck(account),
        }
    }

    pub(crate) fn disconnect(&self) -> Result<(), TokenError> {
        self.disconnect_account(HUB)
    }

    pub(crate) fn disconnect_account(&self, account: Account) -> Result<(), TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.disconnect(account)),
            Self::Blocking(manager) => manager.disconnect(account),
        }
    }

    pub(crate) fn accounts(&self) -> Result<Vec<Account>, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.accounts()),
            Self::Blocking(manager) => manager.accounts(),
        }
    }

    pub(crate) fn status(&self, account: Account) -> Result<Option<AccountStatus>, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.status(account)),
            Self::Blocking(manager) => manager.status(account),
        }
    }

    pub(crate) fn statuses(&self, cursor: Option<&Cursor>, limit: usize) -> Result<StatusPage, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.statuses(cursor, limit)),
            Self::Blocking(manager) => manager.statuses(cursor, limit),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.health()),
            Self::Blocking(manager) => manager.health(),
        }
    }

    pub(crate) fn set_credential(&self, credential: impl Into<Credential>) {
        match self {
            Self::Async(_, manager) => manager.set_credential(credential),
            Self::Blocking(manager) => manager.set_credential(credential),
        }
    }

    pub(crate) fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.shutdown()),
            Self::Blocking(manager) => manager.shutdown(),
        }
    }

    pub(crate) fn shutdown_within(&self, max: Duration) -> Vec<(Account, TokenSet)> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.shutdown_within(max)),
            Self::Blocking(manager) => manager.shutdown_within(max),
        }
    }

    /// Returns the token error of a GET with a bearer, which must have one.
    pub(crate) fn get_error(&self, url: &str) -> TokenError {
        match self {
            Self::Async(runtime, manager) => {
                let request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
                match runtime.block_on(manager.send(HUB, request)) {
                    Err(hs_oauth_async::SendError::Token(error)) => error,
                    other => panic!("{other:?}"),
                }
            }
            Self::Blocking(manager) => match manager.send(HUB, http::Request::get(url).body(()).unwrap()) {
                Err(hs_oauth_blocking::SendError::Token(error)) => error,
                other => panic!("{other:?}"),
            },
        }
    }

    /// Returns the status of a GET with a bearer, or `None` if the manager does not send a bearer to this URL.
    pub(crate) fn get(&self, url: &str) -> Option<u16> {
        match self {
            Self::Async(runtime, manager) => {
                let request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
                match runtime.block_on(manager.send(HUB, request)) {
                    Ok(response) => Some(response.status().as_u16()),
                    Err(hs_oauth_async::SendError::Insecure) => None,
                    Err(error) => panic!("{error:?}"),
                }
            }
            Self::Blocking(manager) => match manager.send(HUB, http::Request::get(url).body(()).unwrap()) {
                Ok(response) => Some(response.status().as_u16()),
                Err(hs_oauth_blocking::SendError::Insecure) => None,
                Err(error) => panic!("{error:?}"),
            },
        }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Async(_, manager) => manager.fmt(f),
            Self::Blocking(manager) => manager.fmt(f),
        }
    }
}

/// A store with a function of the test that runs before each operation. It can fail, panic or wait.
pub(crate) struct Store {
    records: Mutex<Arc<dyn TokenStore>>,
    fault: Mutex<Option<Arc<StoreFault>>>,
}

type StoreFault = dyn Fn(Account, Operation) -> Result<(), StoreError> + Send + Sync;

/// The kind of a store operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Load,
    /// A write of tokens that are not stored yet.
    Save,
    /// Any other write.
    Swap,
    Page,
}

impl Default for Store {
    fn default() -> Self {
        Self { records: Mutex::new(new_store()), fault: Mutex::default() }
    }
}

impl Store {
    pub(crate) fn set_fault(
        &self,
        fault: impl Fn(Operation) -> Result<(), StoreError> + Send + Sync + 'static,
    ) {
        self.before_each(move |_, operation| fault(operation));
    }

    /// Sets a fault that depends on the account too. A list has no account, so it counts as one of [`HUB`].
    pub(crate) fn before_each(
        &self,
        fault: impl Fn(Account, Operation) -> Result<(), StoreError> + Send + Sync + 'static,
    ) {
        *self.fault.lock().unwrap() = Some(Arc::new(fault));
    }

    pub(crate) fn clear_fault(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Makes every operation fail that would save new tokens.
    pub(crate) fn save_nothing(&self) {
        let down = || StoreError::new(StoreErrorKind::Unavailable);
        self.set_fault(move |operation| if operation == Operation::Save { Err(down()) } else { Ok(()) });
    }

    /// Stops an operation until the pause is dropped. `index` counts the operations from now on, from 0.
    pub(crate) fn pause_at(&self, index: usize) -> Pause {
        let (reach, reached) = sync_channel(1);
        let (end, ended) = channel();
        let (ended, count) = (Mutex::new(ended), AtomicUsize::new(0));
        self.set_fault(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) == index {
                reach.send(()).unwrap();
                // An error: the pause was dropped.
                let _ = ended.lock().unwrap().recv();
            }
            Ok(())
        });
        Pause { reached, _end: end }
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored_of(HUB)
    }

    pub(crate) fn stored_of(&self, account: Account) -> Stored {
        self.records().load(account).unwrap().unwrap()
    }

    /// Replaces everything by this one record, as if a copy of the store from long ago had been restored. Its version is low where
    /// the store counts.
    pub(crate) fn restore(&self, record: &Record) {
        let records = new_store();
        assert!(matches!(records.swap(HUB, None, record), Ok(Swapped::Stored(_))));
        *self.records.lock().unwrap() = records;
    }

    fn records(&self) -> Arc<dyn TokenStore> {
        Arc::clone(&self.records.lock().unwrap())
    }

    pub(crate) fn tokens(&self) -> TokenSet {
        self.stored().record.tokens.unwrap()
    }

    /// Changes the stored record.
    pub(crate) fn rewrite(&self, change: impl FnOnce(&mut Record)) {
        let Stored { version, mut record } = self.stored();
        change(&mut record);
        assert!(matches!(self.records().swap(HUB, Some(version), &record), Ok(Swapped::Stored(_))));
    }

    /// Makes the stored access token end now.
    pub(crate) fn expire(&self) {
        self.rewrite(|record| record.tokens.as_mut().unwrap().expires_at = now());
    }

    fn before(&self, account: Account, operation: Operation) -> Result<(), StoreError> {
        let fault = self.fault.lock().unwrap().clone();
        fault.map_or(Ok(()), |fault| fault(account, operation))
    }
}

impl TokenStore for Store {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.before(account, Operation::Load)?;
        self.records().load(account)
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let is_save = |stored: &Stored| record.tokens.is_some() && record.tokens != stored.record.tokens;
        let operation = match self.records().load(account)?.as_ref().is_some_and(is_save) {
            true => Operation::Save,
            false => Operation::Swap,
        };
        self.before(account, operation)?;
        self.records().swap(account, expected, record)
    }

    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.before(HUB, Operation::Page)?;
        self.records().page(cursor, limit)
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.records().remove(account, expected)
    }
}

/// A pause of a store operation. It ends when this value is dropped.
pub(crate) struct Pause {
    reached: Receiver<()>,
    _end: Sender<()>,
}

impl Pause {
    /// Returns whether the operation has begun. Returns true only once.
    pub(crate) fn is_reached(&self) -> bool {
        self.reached.try_recv().is_ok()
    }
}

pub(crate) fn bearer_of(tokens: &TokenSet) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {}", tokens.access_token.expose())).unwrap()
}

pub(crate) fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
