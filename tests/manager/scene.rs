//! One face for both managers, a store that can be told to fail, and an emulator behind them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Record, RenewalPolicy, Stored, Timing, TokenError};
use hs_oauth_core::{
    Account, ApiVersion, App, AuthorizationCode, Authorize, ClientSecret, Event, ExchangeCode, RefreshToken,
    StoreError, Timestamp, TokenSet,
};
use hs_oauth_emulator::{Fault, Server, Settings, Target};
use hs_oauth_store::{MemoryStore, Swapped, TokenStore};

use crate::both::Client;

pub(crate) const HUB: Account = Account::hub(62_515);

pub(crate) struct Scene {
    pub(crate) hubspot: Server,
    pub(crate) store: Arc<Store>,
    pub(crate) manager: Manager,
    pub(crate) app: App,
    pub(crate) client: Client,
    index: usize,
    policy: RenewalPolicy,
    events: Receiver<String>,
}

/// The same manager over either transport.
#[derive(Clone)]
pub(crate) enum Manager {
    Async(Arc<tokio::runtime::Runtime>, hs_oauth_async::TokenManager),
    Blocking(hs_oauth_blocking::TokenManager),
}

/// Runs `scenario` with each manager, each time against an emulator of its own.
pub(crate) fn both(scenario: impl Fn(Scene)) {
    both_with(Settings::new([3; 32]), RenewalPolicy::new(), scenario);
}

pub(crate) fn both_with(settings: Settings, policy: RenewalPolicy, scenario: impl Fn(Scene)) {
    for index in 0..2 {
        scenario(Scene::new(index, settings.clone(), ApiVersion::LATEST, policy));
    }
}

/// Times so short that a test can wait for the end of a lease.
pub(crate) fn hasty() -> RenewalPolicy {
    let millis = Duration::from_millis;
    let timing = Timing {
        clock_margin: millis(100),
        request: millis(1500),
        save: millis(1000),
        lease: millis(3500),
        safety: millis(100),
    };
    RenewalPolicy::with_timing(timing).unwrap()
}

impl Scene {
    pub(crate) fn new(index: usize, settings: Settings, version: ApiVersion, policy: RenewalPolicy) -> Self {
        let hubspot = Server::start("127.0.0.1:0", settings).unwrap();
        let settings = hubspot.settings();
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
            .with_redirect_uri(&settings.redirect_uris[0])
            .with_api_base(hubspot.url())
            .with_app_base(hubspot.url())
            .version(version)
            .build()
            .unwrap();
        let store = Arc::new(Store::default());
        let client = Client::both(&app).into_iter().nth(index).unwrap();
        let (tell, events) = channel();
        let on_event = move |event: &Event<'_>| _ = tell.send(event.name().to_owned());
        let manager = Manager::new(index, &app, Arc::clone(&store), policy, on_event);
        Self { hubspot, store, manager, app, client, index, policy, events }
    }

    /// Another process: a manager with nothing in memory, over the same store.
    pub(crate) fn another(&self) -> Manager {
        Manager::new(self.index, &self.app, Arc::clone(&self.store), self.policy, |_| {})
    }

    pub(crate) fn code(&self) -> AuthorizationCode {
        let authorization = Authorize::new("oauth".parse().unwrap()).begin(&self.app).unwrap();
        let callback = self.hubspot.connect(&authorization.url).unwrap();
        authorization.pending.accept(callback.split_once('?').unwrap().1).unwrap()
    }

    /// Installs tokens whose access token ends so many seconds from now: 300 put it into the time in which it is renewed
    /// ahead, 0 behind its end.
    pub(crate) fn install_ending_in(&self, seconds: u64) -> TokenSet {
        let mut tokens = self.client.call(&ExchangeCode::new(self.code())).unwrap();
        tokens.expires_at = now().plus(Duration::from_secs(seconds));
        self.manager.install_tokens(HUB, tokens.clone()).unwrap();
        self.expect_event("saved");
        tokens
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.hubspot.emulator(|emulator| emulator.inject(fault));
    }

    /// How many requests of that kind HubSpot has had.
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

    pub(crate) fn next_event(&self) -> String {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// 0 for async, 1 for blocking.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    #[track_caller]
    pub(crate) fn expect_no_event(&self) {
        assert!(self.events.try_recv().is_err());
    }

    /// Makes HubSpot's next answer to a code one that does not say whose the tokens are, as on `v1`.
    pub(crate) fn do_not_say_whose(&self) {
        let tokens = self.client.call(&ExchangeCode::new(self.code())).unwrap();
        let answer = serde_json::json!({
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "token_type": "bearer",
            "expires_in": 1800,
        });
        self.fault(Fault::raw_body(answer.to_string(), "application/json").on(Target::ExchangeCode));
    }

    pub(crate) fn details(&self) -> String {
        format!("{}/account-info/v3/details", self.hubspot.url())
    }

    /// Whether an API takes the bearer.
    pub(crate) fn works(&self, bearer: HeaderValue) -> bool {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = agent.get(self.details()).header("authorization", bearer).call().unwrap();
        answer.status() == 200
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
            let client = hs_oauth_async::Client::new(app.clone()).unwrap();
            let mut manager =
                hs_oauth_async::TokenManager::builder(client, hs_oauth_async::SpawnBlocking::new(store));
            if let Some(per_second) = per_second {
                manager = manager.with_renewals_per_second(per_second);
            }
            Self::Async(Arc::new(runtime.unwrap()), manager.policy(policy).on_event(on_event).build())
        } else {
            let client = hs_oauth_blocking::Client::new(app.clone());
            let mut manager = hs_oauth_blocking::TokenManager::builder(client, store);
            if let Some(per_second) = per_second {
                manager = manager.with_renewals_per_second(per_second);
            }
            Self::Blocking(manager.policy(policy).on_event(on_event).build())
        }
    }

    /// A manager over this very client.
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
    }

    pub(crate) fn install_tokens(&self, account: Account, tokens: TokenSet) -> Result<(), TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.install_tokens(account, tokens)),
            Self::Blocking(manager) => manager.install_tokens(account, tokens),
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

    /// What the manager shows of the bearer.
    pub(crate) fn lent(&self) -> Result<HeaderValue, TokenError> {
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

    pub(crate) fn shutdown(&self) -> Vec<(Account, TokenSet)> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.shutdown()),
            Self::Blocking(manager) => manager.shutdown(),
        }
    }

    /// The status of a GET; none if it was not sent since it would not be safe.
    pub(crate) fn get(&self, url: &str) -> Option<u16> {
        match self {
            Self::Async(runtime, manager) => {
                let request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
                match runtime.block_on(manager.send(HUB, request)) {
                    Ok(answer) => Some(answer.status().as_u16()),
                    Err(hs_oauth_async::SendError::Insecure) => None,
                    Err(error) => panic!("{error:?}"),
                }
            }
            Self::Blocking(manager) => match manager.send(HUB, http::Request::get(url).body(()).unwrap()) {
                Ok(answer) => Some(answer.status().as_u16()),
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

/// A memory store that asks, before each operation, what is to go wrong.
#[derive(Default)]
pub(crate) struct Store {
    records: MemoryStore,
    mishap: Mutex<Option<Arc<Mishap>>>,
}

type Mishap = dyn Fn(Work) -> Result<(), StoreError> + Send + Sync;

/// What the store is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Load,
    /// A write of other tokens than are stored.
    Save,
    /// Any other write.
    Swap,
    List,
}

impl Store {
    pub(crate) fn mishap(&self, mishap: impl Fn(Work) -> Result<(), StoreError> + Send + Sync + 'static) {
        *self.mishap.lock().unwrap() = Some(Arc::new(mishap));
    }

    pub(crate) fn heal(&self) {
        *self.mishap.lock().unwrap() = None;
    }

    pub(crate) fn stored(&self) -> Stored {
        self.records.load(HUB).unwrap().unwrap()
    }

    pub(crate) fn tokens(&self) -> TokenSet {
        self.stored().record.tokens.unwrap()
    }

    /// Rewrites what is stored.
    pub(crate) fn rewrite(&self, change: impl FnOnce(&mut Record)) {
        let Stored { version, mut record } = self.stored();
        change(&mut record);
        assert!(matches!(self.records.swap(HUB, Some(version), &record), Ok(Swapped::Stored(_))));
    }

    /// Lets the stored access token end now.
    pub(crate) fn expire(&self) {
        self.rewrite(|record| record.tokens.as_mut().unwrap().expires_at = now());
    }

    fn may(&self, work: Work) -> Result<(), StoreError> {
        let mishap = self.mishap.lock().unwrap().clone();
        mishap.map_or(Ok(()), |mishap| mishap(work))
    }
}

impl TokenStore for Store {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.may(Work::Load)?;
        self.records.load(account)
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let is_save = |stored: &Stored| record.tokens.is_some() && record.tokens != stored.record.tokens;
        let work =
            if self.records.load(account)?.as_ref().is_some_and(is_save) { Work::Save } else { Work::Swap };
        self.may(work)?;
        self.records.swap(account, expected, record)
    }

    fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.may(Work::List)?;
        self.records.list()
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.records.remove(account, expected)
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

#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
