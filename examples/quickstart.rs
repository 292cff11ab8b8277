//! The whole life of a grant against an emulator in this process, async: install, introspect, refresh, revoke, and the refusal
//! that follows.

use hs_oauth_async::{App, Authorize, Client, ClientSecret, Error};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{describe, say};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    say(format_args!("An emulator of HubSpot listens on {}.\n", hubspot.url()));

    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .api_base(hubspot.url())
        .app_base(hubspot.url())
        .build()?;

    say("1. Install: the browser goes to the consent page, a person presses Connect.");
    let authorization = Authorize::scopes("oauth crm.objects.contacts.read".parse()?).begin(&app)?;
    say(format_args!("   consent page   {:?}", authorization.url));
    let callback = hubspot.connect(&authorization.url)?;
    let query = callback.split_once('?').map_or("", |(_, query)| query);
    let code = authorization.pending.accept(query)?;
    say(format_args!("   callback       accepted, its state is ours; code {}", code.code().masked()));

    let client = Client::new(app)?;
    let tokens = client.exchange_code(code).await?;
    describe(&tokens);

    say("\n2. Introspect: what does HubSpot know of the access token?");
    describe(&client.introspect(tokens.access_token.clone()).await?);

    say("\n3. Refresh: a new access token, long before the old one ends.");
    let refresh_token = tokens.refresh_token.ok_or("no refresh token")?;
    let tokens = client.refresh(&refresh_token).await?;
    describe(&tokens);

    say("\n4. Revoke: the grant ends.");
    let refresh_token = tokens.refresh_token.unwrap_or(refresh_token);
    client.revoke(&refresh_token).await?;
    describe(&client.introspect(refresh_token.clone()).await?);

    say("\n5. Refresh again: HubSpot refuses, and the error knows what to do.");
    match client.refresh(&refresh_token).await {
        Err(Error::Api(error)) => {
            say(format_args!("   error          {error}"));
            say(format_args!("   next step      {}: {}", error.next_step().name(), error.next_step()));
            Ok(())
        }
        other => Err(format!("the revoked token should have been refused: {other:?}").into()),
    }
}
