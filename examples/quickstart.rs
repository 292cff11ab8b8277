//! The whole life of an account's tokens against an emulator in this process, async: install, use, introspect, renew,
//! disconnect, and the refusal that follows.

use hs_oauth_async::{App, Authorize, Client, ClientSecret, MemoryStore, TokenManager, reqwest};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{describe, say};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    say(format_args!("An emulator of HubSpot listens on {}.\n", hubspot.url()));

    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    let manager = TokenManager::builder(Client::new(app.clone())?, MemoryStore::new())
        .on_event(|event| say(format_args!("   event          {}", event.name())))
        .build();

    say("1. Install: the browser goes to the consent page, a person presses Connect.");
    let authorization = Authorize::new("oauth crm.objects.contacts.read".parse()?).begin(&app)?;
    say(format_args!("   consent page   {:?}", authorization.url));
    let callback = hubspot.connect(&authorization.url)?;
    let query = callback.split_once('?').map_or("", |(_, query)| query);
    let code = authorization.pending.accept(query)?;
    say(format_args!("   callback       accepted, its state is ours; code {}", code.code().masked()));
    let account = manager.install(code).await?;
    say(format_args!("   account        {account}"));

    say("\n2. Use: an API of HubSpot's is called with the account's bearer.");
    let details = format!("{}/account-info/v3/details", hubspot.url());
    let answer = manager.send(account, reqwest::Client::new().get(details)).await?;
    say(format_args!("   answer         {}", answer.status()));

    say("\n3. Introspect: what does HubSpot know of the access token?");
    describe(&manager.client().introspect(manager.access_token(account).await?).await?);

    say("\n4. Renew: an API says 401 to a hundred tasks at once.");
    hubspot.emulator(|emulator| emulator.clear_journal());
    let rejected = manager.bearer(account).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (manager, rejected) = (manager.clone(), rejected.clone());
        tasks.spawn(async move { manager.bearer_after_401(account, &rejected).await });
    }
    let bearers = tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let is_new = bearers.iter().filter(|bearer| **bearer != rejected).count();
    let requests = hubspot.emulator(|emulator| emulator.journal().len());
    say(format_args!("   new bearers    {is_new}"));
    say(format_args!("   token requests {requests}"));

    say("\n5. Disconnect: forgotten here, revoked at HubSpot.");
    manager.disconnect(account).await?;

    say("\n6. Ask once more: there is no token, and the error knows what to do.");
    match manager.bearer(account).await {
        Err(error) => {
            say(format_args!("   error          {error}"));
            say(format_args!("   next step      {}: {}", error.next_step().name(), error.next_step()));
        }
        Ok(_) => return Err("the account was disconnected: there should be no bearer".into()),
    }
    match manager.shutdown().await.len() {
        0 => Ok(()),
        unsaved => Err(format!("the tokens of {unsaved} accounts could not be saved").into()),
    }
}
