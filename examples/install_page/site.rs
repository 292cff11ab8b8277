//! What every request can use.

use hs_oauth_async::{Client, Credential, FileStore, RequestVerifier, SpawnBlocking, TokenManager};
use hs_oauth_examples::BoxError;

use crate::log::log;
use crate::people::People;
use crate::session::Sessions;
use crate::setup::Setup;
use crate::webhook::News;

pub(crate) struct Site {
    pub(crate) manager: TokenManager,
    pub(crate) verifier: RequestVerifier,
    pub(crate) public_url: String,
    pub(crate) callback_path: String,
    pub(crate) sessions: Sessions,
    pub(crate) people: People,
    pub(crate) news: News,
}

impl Site {
    pub(crate) fn new(setup: &Setup) -> Result<Self, BoxError> {
        let Credential::Secret(secret) = setup.app.credential() else {
            return Err("the app has no client secret, with which HubSpot signs webhooks".into());
        };
        let public_url = setup.public_url()?;
        let store = SpawnBlocking::new(FileStore::open(setup.folder().join("tokens"))?);
        let manager = TokenManager::builder(Client::new(setup.app.clone())?, store)
            .on_event(|event| log(format_args!("{event:?}"))) // shows no secret
            .build();
        Ok(Self {
            manager,
            verifier: RequestVerifier::new(secret.clone()),
            sessions: Sessions::new(public_url.starts_with("https:")),
            public_url,
            callback_path: setup.callback_path().to_owned(),
            people: People::open(setup.folder().join("people.json"))?,
            news: News::default(),
        })
    }
}
