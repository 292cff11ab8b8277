//! The emulator's own pages: its dashboard, its consent page, and the page at which an install ends where no app listens.

use hs_oauth_core::ClientSecret;
use hs_oauth_emulator::{AppSettings, Fault, Server, Settings, Target};
use serde_json::{Value, json};

use crate::browser::{BoxError, Browser};
use crate::service::registered;

fn emulator(change: impl FnOnce(&mut Settings)) -> Result<Server, BoxError> {
    let mut settings = Settings::random()?;
    settings.strict_redirects = true;
    change(&mut settings);
    Ok(Server::start("127.0.0.1:0", settings)?)
}

impl Browser {
    async fn see_consent_page(&self, hubspot: &Server) -> Result<(), BoxError> {
        self.open(hubspot.url()).await?;
        self.see("HubSpot OAuth emulator").await?;
        self.press("See the consent page").await?;
        self.see("Connect Example app to your account?").await
    }

    /// Returns how many pixels of an element are above or below what the person sees.
    async fn pixels_out_of_view(&self, css: &str) -> Result<f64, BoxError> {
        let script = "const box = document.querySelector(arguments[0]).getBoundingClientRect();
            arguments[1](Math.max(0, -box.top, box.bottom - innerHeight))";
        self.script(script, vec![json!(css)]).await?.as_f64().ok_or_else(|| "no element".into())
    }
}

/// RFC 6749 §4.1.3, with the command that the page shows.
#[tokio::test]
async fn an_install_ends_on_a_page_that_shows_the_code_and_the_command_that_exchanges_it()
-> Result<(), BoxError> {
    let (hubspot, browser) = (emulator(|_| {})?, Browser::start().await?);
    browser.see_consent_page(&hubspot).await?;
    browser.press("Connect").await?;
    browser.see("This is what the app gets").await?;
    browser.check_page("emulator-callback").await?;
    let command = browser.texts("pre code").await?.concat();
    let output = std::process::Command::new("sh").arg("-c").arg(&command).output()?;
    let tokens: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(tokens["hub_id"], 62515, "{command}");
    browser.press("To the dashboard").await?;
    browser.see("HubSpot OAuth emulator").await?;
    let text = browser.text().await?;
    assert!(text.contains("29 min 5") && text.contains("exchange code"), "{text}");
    browser.check_page_with_script("emulator-dashboard").await
}

#[tokio::test]
async fn the_dashboard_shows_requests_as_they_come_and_what_they_change() -> Result<(), BoxError> {
    let (hubspot, browser) = (emulator(|_| {})?, Browser::start().await?);
    browser.open(hubspot.url()).await?;
    browser.wait_for_text("Live").await?;
    browser.wait_for_text("No request has come in yet.").await?;
    // Something that only this document has: it must not be loaded again.
    browser.script("window.untouched = true; arguments[0]()", vec![]).await?;
    reqwest::get(format!("{}/oauth/v1/access-tokens/nobodys", hubspot.url())).await?;
    browser.wait_for_text("Invalid or expired token").await?;
    assert_eq!(browser.texts("#journal li strong").await?, ["401"]);
    assert!(!browser.text().await?.contains("No request has come in yet."));

    hubspot.emulator(|emulator| emulator.inject(Fault::status(503).with_target(Target::Refresh)));
    reqwest::get(format!("{}/crm/v3/objects/contacts", hubspot.url())).await?;
    browser.wait_for_text(":503}").await?;
    browser.wait_for_text("INVALID_AUTHENTICATION").await?;
    assert_eq!(browser.texts("#journal li strong").await?, ["401", "401"]);
    assert_eq!(browser.script("arguments[0](window.untouched)", vec![]).await?, true);
    Ok(())
}

#[tokio::test]
async fn the_buttons_work_without_scripts_and_the_requests_are_a_list() -> Result<(), BoxError> {
    let (hubspot, browser) = (emulator(|_| {})?, Browser::start().await?);
    browser.disable_scripts().await?;
    reqwest::get(format!("{}/crm/v3/objects/contacts", hubspot.url())).await?;
    browser.open(hubspot.url()).await?;
    assert_eq!(browser.texts("#journal li strong").await?, ["401"]);
    browser.press("+30 min").await?;
    browser.wait_for_text("30 min 0 s ahead").await?;
    browser.press("Strict").await?;
    browser.wait_for_text("using an old one ends the grant").await?;
    browser.press("503").await?;
    browser.press("Take them back").await?;
    browser.wait_for_text("No fault waits.").await?;
    browser.press("Clear the list").await?;
    browser.wait_for_text("No request has come in yet.").await
}

#[tokio::test]
async fn an_uninstall_takes_the_grant_off_the_dashboard() -> Result<(), BoxError> {
    let (hubspot, browser) = (emulator(|_| {})?, Browser::start().await?);
    let settings = hubspot.settings();
    let app = hs_oauth_core::App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(&settings.redirect_uris[0])
        .build()?;
    let randomness = hs_oauth_core::Randomness::new([1; 32], [2; 32]);
    let now = std::time::SystemTime::now().into();
    let authorization = hs_oauth_core::Authorize::new("oauth".parse()?).begin_with(&app, now, randomness)?;
    let callback = hubspot.connect(&authorization.url)?;
    let code = authorization.pending.accept(now, callback.split_once('?').ok_or("no query")?.1)?;
    let exchange = hs_oauth_core::Endpoint::to_http(&hs_oauth_core::ExchangeCode::new(code), &app);
    hubspot.emulator(|emulator| emulator.handle(now, exchange));
    browser.open(hubspot.url()).await?;
    browser.press("Uninstall").await?;
    browser.wait_for_text("No app is installed here.").await
}

#[tokio::test]
async fn the_buttons_of_the_consent_page_are_in_view_wherever_one_scrolls() -> Result<(), BoxError> {
    let scopes = "crm.objects.contacts.read crm.objects.contacts.highly_sensitive.read.v2 crm.objects.deals.read \
        crm.objects.companies.read tickets automation forms files crm.lists.read content";
    let hubspot = emulator(|settings| {
        settings.registered_scopes = registered(scopes, "crm.objects.deals.sensitive.read").ok();
        settings.app_name = "Example app".to_owned();
        let mut other = AppSettings::new("other", "its secret");
        other.app_name = "\u{202e}x".repeat(60);
        settings.more_apps = vec![other];
    })?;
    for hub_id in 1..=20 {
        hubspot
            .emulator(|emulator| emulator.add_hub(hub_id, format!("{}-{hub_id}.example", "shop".repeat(20))));
    }
    let browser = Browser::start().await?;
    browser.see_consent_page(&hubspot).await?;
    browser.check_page("emulator-consent").await?;
    assert_eq!(browser.texts("input:checked[type=radio] + span .quiet").await?, ["Hub id 62515"]);
    let text = browser.text().await?;
    assert!(text.contains("HubSpot decides this by subscription; here you choose."), "{text}");
    assert_eq!(browser.texts(".mark").await?, ["Highly sensitive", "Sensitive"]);
    for width in [390, 1280] {
        browser.resize(width).await?;
        for part in ["0", "document.body.scrollHeight / 2", "document.body.scrollHeight"] {
            browser.script(&format!("scrollTo(0, {part}); arguments[0]()"), vec![]).await?;
            assert_eq!(browser.pixels_out_of_view(".in-view").await?, 0.0, "{width} {part}");
        }
    }
    browser.press("Test another outcome").await?;
    browser.check_page("emulator-consent-outcomes").await?;
    browser.press("Deny").await?;
    browser.see("This is what the app gets").await?;
    assert!(browser.text().await?.contains("access_denied"));
    Ok(())
}
