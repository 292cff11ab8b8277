//! The async and the blocking token manager together on one store, against the emulator.

use std::sync::Arc;
use std::time::SystemTime;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::{Account, App, Authorize, ClientSecret, ExchangeCode};
use hs_oauth_emulator::{Rotation, Server, Settings, Target};
use hs_oauth_store::{AsyncTokenStore, BlockOn};

const ACCOUNTS: i64 = 8;

/// How many processes there are of each kind, and how many callers each has.
pub(crate) const PROCESSES: usize = 2;
const CALLERS: usize = 8;

/// HubSpot's side, and accounts whose access tokens have ended.
pub(crate) struct Setup {
    hubspot: Server,
    app: App,
}

impl Setup {
    pub(crate) fn new(rotation: Rotation) -> Self {
        let mut settings = Settings::new([3; 32]);
        settings.rotation = rotation;
        let hubspot = Server::start("127.0.0.1:0", settings).unwrap();
        let settings = hubspot.settings();
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
            .with_redirect_uri(&settings.redirect_uris[0])
            .with_api_base(hubspot.url())
            .with_app_base(hubspot.url())
            .build()
            .unwrap();
        Self { hubspot, app }
    }

    fn accounts() -> impl Iterator<Item = Account> {
        (1..=ACCOUNTS).map(Account::hub)
    }

    /// Stores tokens for every account that have ended.
    pub(crate) async fn install(&self, store: Arc<dyn AsyncTokenStore>) {
        let client = hs_oauth_async::Client::new(self.app.clone()).unwrap();
        let manager = hs_oauth_async::TokenManager::new(client.clone(), store);
        for account in Self::accounts() {
            self.hubspot.emulator(|emulator| emulator.add_hub(account.hub_id, "example.com"));
            let authorize = Authorize::new("oauth".parse().unwrap()).with_hub_id(account.hub_id);
            let authorization = authorize.begin(&self.app, SystemTime::now().into()).unwrap();
            let callback = self.hubspot.connect(&authorization.url).unwrap();
            let query = callback.split_once('?').unwrap().1;
            let code = authorization.pending.accept(SystemTime::now().into(), query).unwrap();
            let mut tokens = client.call(&ExchangeCode::new(code)).await.unwrap();
            tokens.expires_at = SystemTime::now().into();
            manager.install_tokens_as(account, tokens).await.unwrap();
        }
    }

    /// Returns the environment variables that describe the app to the command line.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        let settings = self.hubspot.settings();
        [
            ("HUBSPOT_CLIENT_ID", settings.client_id.clone()),
            ("HUBSPOT_CLIENT_SECRET", settings.client_secret.clone()),
            ("HUBSPOT_REDIRECT_URI", settings.redirect_uris[0].clone()),
            ("HUBSPOT_API_BASE", self.hubspot.url().to_owned()),
            ("HUBSPOT_APP_BASE", self.hubspot.url().to_owned()),
        ]
    }

    pub(crate) fn refreshes(&self) -> usize {
        let is_refresh = |operation| operation == Some(Target::Refresh);
        self.hubspot
            .emulator(|emulator| emulator.journal().filter(|entry| is_refresh(entry.operation)).count())
    }
}

/// The bearers of all accounts, as one caller got them.
type Bearers = Vec<HeaderValue>;

async fn async_process(app: &App, store: Arc<dyn AsyncTokenStore>) -> Vec<Bearers> {
    let manager = hs_oauth_async::TokenManager::new(hs_oauth_async::Client::new(app.clone()).unwrap(), store);
    let callers = (0..CALLERS).map(|_| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let mut bearers = Bearers::new();
            for account in Setup::accounts() {
                bearers.push(manager.bearer(account).await.unwrap());
            }
            bearers
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut bearers = Vec::new();
    for caller in callers {
        bearers.push(caller.await.unwrap());
    }
    assert!(manager.shutdown().await.is_empty());
    bearers
}

fn blocking_process(app: &App, store: Arc<dyn AsyncTokenStore>) -> Vec<Bearers> {
    let client = hs_oauth_blocking::Client::new(app.clone());
    let manager = hs_oauth_blocking::TokenManager::new(client, BlockOn::new(store).unwrap());
    let bearers = std::thread::scope(|scope| {
        let call = || Setup::accounts().map(|account| manager.bearer(account).unwrap()).collect();
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(manager.shutdown().is_empty());
    bearers
}

/// Lets processes of both kinds ask for the bearers of all accounts at once.
pub(crate) async fn storm(setup: &Setup, stores: Vec<Arc<dyn AsyncTokenStore>>) {
    let mut processes = Vec::new();
    for (index, store) in stores.into_iter().enumerate() {
        let app = setup.app.clone();
        processes.push(match index % 2 {
            0 => tokio::spawn(async move { async_process(&app, store).await }),
            _ => tokio::task::spawn_blocking(move || blocking_process(&app, store)),
        });
    }
    let mut bearers = Vec::new();
    for process in processes {
        bearers.extend(process.await.unwrap());
    }
    assert_eq!(bearers.len(), 2 * PROCESSES * CALLERS);
    assert!(bearers.iter().all(|of_one| *of_one == bearers[0]), "everyone has the same tokens");
    for bearer in &bearers[0] {
        let token = bearer.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let token = hs_oauth_core::AccessToken::new(token).unwrap();
        let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
        let introspected = client.call(&hs_oauth_core::Introspect::new(token)).await.unwrap();
        assert!(introspected.is_active());
    }
    assert_eq!(setup.refreshes(), ACCOUNTS as usize, "one refresh for each account");
}
