//! The whole life of an account's tokens, blocking, against an emulator in this process: install, use, introspect, renew,
//! disconnect, and the error that follows.

use std::thread;
use std::time::SystemTime;

use hs_oauth_blocking::http::Request;
use hs_oauth_blocking::{App, Authorize, Client, ClientSecret, MemoryStore, Scopes, TokenManager};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{describe, print_line};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    print_line(format_args!("An emulator of HubSpot listens on {}.\n", hubspot.url()));

    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    let manager = TokenManager::builder(Client::new(app.clone()), MemoryStore::new())
        .on_event(|event| print_line(format_args!("   event          {}", event.name())))
        .build();

    print_line("1. Install: the browser opens the consent page, and the user presses Connect.");
    let authorize = Authorize::new(Scopes::from_names(["oauth", "crm.objects.contacts.read"])?);
    let authorization = authorize.begin(&app, SystemTime::now().into())?;
    print_line(format_args!("   consent page   {:?}", authorization.url));
    let callback = hubspot.connect(&authorization.url)?;
    let query = callback.split_once('?').map_or("", |(_, query)| query);
    let code = authorization.pending.accept(SystemTime::now().into(), query)?;
    print_line(format_args!(
        "   callback       accepted, its state is the one we sent; code {}",
        code.code().masked()
    ));
    let account = manager.install(code)?.account;
    print_line(format_args!("   account        {account}"));

    print_line("\n2. Use: call an API of HubSpot with the account's bearer.");
    let details = format!("{}/account-info/v3/details", hubspot.url());
    let response = manager.send(account, Request::get(details).body(())?)?;
    print_line(format_args!("   response       {}", response.status()));

    print_line("\n3. Introspect: ask HubSpot what it knows about the access token.");
    describe(&manager.client().introspect(manager.access_token(account)?)?);

    print_line("\n4. Renew: an API returns 401 to a hundred threads at once.");
    hubspot.emulator(|emulator| emulator.clear_journal());
    let rejected = manager.bearer(account)?;
    let bearers = thread::scope(|scope| {
        let renew = || manager.bearer_after_401(account, &rejected);
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(renew)).collect();
        let results = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked"));
        results.collect::<Result<Vec<_>, _>>()
    })?;
    let bearers = bearers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let new_bearers = bearers.iter().filter(|bearer| **bearer != rejected).count();
    let requests = hubspot.emulator(|emulator| emulator.journal().len());
    print_line(format_args!("   new bearers    {new_bearers}"));
    print_line(format_args!("   token requests {requests}"));

    print_line("\n5. Disconnect: forget the tokens here, and revoke the refresh token at HubSpot.");
    manager.disconnect(account)?;

    print_line("\n6. Ask for a bearer again: there is none, and the error says what to do.");
    match manager.bearer(account) {
        Err(error) => {
            print_line(format_args!("   error          {error}"));
            print_line(format_args!("   next step      {}: {}", error.next_step().name(), error.next_step()));
        }
        Ok(_) => return Err("the account was disconnected: there should be no bearer".into()),
    }
    match manager.shutdown().len() {
        0 => Ok(()),
        unsaved => Err(format!("the tokens of {unsaved} accounts could not be saved").into()),
    }
}
