//! Connect: sign in, HubSpot's page, and what the service shows afterwards.

use hs_oauth_emulator::Target;

use crate::browser::{BoxError, Browser};
use crate::service::{Process, Service};

impl Browser {
    pub(crate) async fn sign_in(&self, service: &Service, name: &str) -> Result<(), BoxError> {
        self.open(&service.url).await?;
        self.see("Sign in").await?;
        self.enter("name", name).await?;
        self.press("Sign in").await?;
        self.see("Your HubSpot accounts").await
    }

    /// Signs in and connects the account that exists at the start.
    pub(crate) async fn connect(&self, service: &Service, name: &str) -> Result<(), BoxError> {
        self.sign_in(service, name).await?;
        self.press("Connect an account").await?;
        self.see("Connect Example app to your account?").await?;
        self.press("Connect").await?;
        self.see("Account 62515").await
    }

    /// Loads the page of an account once more, and checks that the account is still connected.
    pub(crate) async fn check_still_connected(&self) -> Result<(), BoxError> {
        self.reload().await?;
        assert!(self.text().await?.contains("Connected. HubSpot responded just now."));
        Ok(())
    }
}

#[tokio::test]
async fn a_person_connects_an_account_and_sees_what_hubspot_says_of_it() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.open(&service.url).await?;
    browser.see("Sign in").await?;
    browser.check_page("sign-in").await?;
    browser.sign_in(&service, "Ada").await?;
    browser.check_page("no-accounts").await?;
    browser.press("Connect an account").await?;
    browser.see("Connect Example app to your account?").await?;
    browser.check_page("hubspot-consent").await?;
    browser.press("Connect").await?;

    browser.see("Account 62515").await?;
    let text = browser.text().await?;
    for shown in
        ["Connected. HubSpot responded just now.", "demo.example.com", "installer@example.com", "US/Eastern"]
    {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let granted = ["oauth", "crm.objects.contacts.read", "crm.objects.companies.read"];
    assert_eq!(browser.texts("#granted li").await?, granted);
    assert_eq!(browser.texts("#missing li").await?, [""; 0]);
    assert_eq!(
        browser.url().await?,
        format!("{}/accounts/62515", service.url),
        "neither code nor state is left"
    );
    browser.check_page("account").await?;

    browser.press("Install page").await?;
    browser.see("Your HubSpot accounts").await?;
    assert_eq!(browser.texts("main li").await?, ["Account 62515"]);
    browser.check_page("accounts").await
}

/// RFC 6749 §4.1.2.1.
#[tokio::test]
async fn a_person_who_refuses_is_told_that_nothing_has_changed() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    browser.press("Connect an account").await?;
    browser.press("Cancel").await?;
    browser.see("Not connected").await?;
    browser.check_page("refused").await?;
    assert!(!service.has_called(Target::ExchangeCode));
    browser.press("Go to the start page").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    Ok(())
}

/// RFC 6749 §4.1.2: a code used twice may cost all tokens issued for it.
#[tokio::test]
async fn the_callback_loaded_again_sends_no_code_twice_and_is_no_error() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    browser.press("Connect an account").await?;
    browser.see("Connect Example app to your account?").await?;
    let callback = service.hubspot.connect(&browser.url().await?)?;
    browser.open(&callback).await?;
    browser.see("Account 62515").await?;
    service.hubspot.emulator(|emulator| emulator.clear_journal());

    browser.open(&callback).await?;
    browser.see("Nothing left to do here").await?;
    browser.check_page("nothing-left").await?;
    browser.reload().await?;
    browser.see("Nothing left to do here").await?;
    assert!(!service.has_called(Target::ExchangeCode));
    browser.back().await?;
    browser.see("Account 62515").await?;
    browser.check_still_connected().await
}

/// RFC 6749 §10.12: without the session that began it, nobody knows whose authorization it is.
#[tokio::test]
async fn an_expired_session_connects_nothing_and_says_what_to_do() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    browser.press("Connect an account").await?;
    browser.see("Connect Example app to your account?").await?;
    browser.forget_cookies().await?;
    browser.press("Connect").await?;
    browser.see("Nothing left to do here").await?;
    assert!(!service.has_called(Target::ExchangeCode));

    browser.sign_in(&service, "Ada").await?;
    browser.forget_cookies().await?;
    browser.press("Connect an account").await?;
    browser.see("Sign in").await?;
    browser.enter("name", "Ada").await?;
    browser.forget_cookies().await?;
    browser.press("Sign in").await?;
    browser.see("This form has expired").await?;
    browser.check_page("form-expired").await
}

#[tokio::test]
async fn several_tabs_connect_one_after_the_other() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    service.hubspot.emulator(|emulator| emulator.add_hub(7, "seven.example.com"));
    browser.sign_in(&service, "Ada").await?;
    let mut callbacks = Vec::new();
    for hub_id in [7, 62515] {
        browser.open(&service.url).await?;
        browser.press("Connect an account").await?;
        browser.see("Connect Example app to your account?").await?;
        let url = browser.url().await?.replace("/oauth/authorize", &format!("/oauth/{hub_id}/authorize"));
        callbacks.push((hub_id, service.hubspot.connect(&url)?));
    }
    for (hub_id, callback) in callbacks {
        browser.open(&callback).await?;
        browser.see(&format!("Account {hub_id}")).await?;
    }
    browser.open(&service.url).await?;
    assert_eq!(browser.texts("main li").await?, ["Account 7", "Account 62515"]);
    Ok(())
}

#[tokio::test]
async fn an_account_is_shown_to_those_who_connected_it_only() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    let account = browser.url().await?;
    browser.open(&service.url).await?;
    browser.press("Sign out").await?;
    browser.see("Sign in").await?;
    browser.open(&account).await?;
    browser.see("Sign in").await?;
    browser.enter("name", "Bob").await?;
    browser.press("Sign in").await?;
    browser.see("Not found").await?;
    browser.check_page("not-found").await
}

#[tokio::test]
async fn what_people_and_accounts_call_themselves_is_text_and_never_markup() -> Result<(), BoxError> {
    let markup = "<b id=\"planted\">x</b>&amp;'\"";
    let service = Service::start_with(|settings| settings.hub_domain = markup.to_owned())?;
    let browser = Browser::start().await?;
    browser.sign_in(&service, markup).await?;
    assert!(browser.text().await?.contains(markup));
    browser.press("Connect an account").await?;
    browser.press("Connect").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains(markup));
    assert_eq!(browser.texts("#planted").await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn no_page_needs_a_script() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.disable_scripts().await?;
    browser.connect(&service, "Ada").await?;
    browser.press("Disconnect…").await?;
    browser.press("Disconnect account 62515").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    Ok(())
}

#[tokio::test]
async fn the_example_alone_brings_an_emulator_and_prints_a_url_to_open() -> Result<(), BoxError> {
    let (process, browser) = (Process::start_alone()?, Browser::start().await?);
    browser.open(&process.wait_for_line("Open ")?).await?;
    browser.see("Sign in").await?;
    browser.enter("name", "Ada").await?;
    browser.press("Sign in").await?;
    browser.press("Connect an account").await?;
    browser.press("Connect").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}
