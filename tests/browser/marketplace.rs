//! Installs that begin on the Marketplace, and links that only look like one.

use hs_oauth_emulator::Target;

use crate::browser::{BoxError, Browser};
use crate::service::Service;

impl Browser {
    /// Starts an install on the Marketplace.
    async fn install_from_marketplace(&self, service: &Service, button: &str) -> Result<(), BoxError> {
        self.open(&format!("{}/marketplace", service.hubspot.url())).await?;
        self.press(button).await
    }
}

#[tokio::test]
async fn an_install_with_sign_in_begins_on_the_marketplace_and_ends_there() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.install_from_marketplace(&service, "Install with partner sign-in").await?;
    browser.see("Sign in").await?;
    browser.enter("name", "Ada").await?;
    browser.press("Sign in").await?;
    browser.see("The app did all it had to").await?;

    browser.open(&service.url).await?;
    browser.press("Account 62515").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));

    // Who is signed in already is not asked again.
    browser.install_from_marketplace(&service, "Install with partner sign-in").await?;
    browser.see("The app did all it had to").await
}

#[tokio::test]
async fn an_install_without_sign_in_is_confirmed_by_the_person_who_is_shown_the_account()
-> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    browser.install_from_marketplace(&service, "Install").await?;
    browser.see("Is this your account?").await?;
    let text = browser.text().await?;
    for shown in ["demo.example.com", "62515", "installer@example.com", "Ada"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    browser.check_page("confirm").await?;
    browser.press("Yes, connect this account").await?;
    browser.see("The app did all it had to").await?;
    browser.check_page("hubspot-marketplace-end").await?;
    browser.press("To the Marketplace page").await?;
    browser.see("Install Example app from the Marketplace").await?;
    browser.check_page("hubspot-marketplace").await?;
    browser.open(&service.url).await?;
    browser.press("Account 62515").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}

#[tokio::test]
async fn a_person_who_is_not_signed_in_signs_in_before_they_confirm() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.install_from_marketplace(&service, "Install").await?;
    browser.see("Sign in").await?;
    browser.enter("name", "Ada").await?;
    browser.press("Sign in").await?;
    browser.see("Is this your account?").await?;
    browser.press("Yes, connect this account").await?;
    browser.see("The app did all it had to").await
}

/// RFC 6749 §10.12: whoever follows a planted link would join an attacker's account to their own session.
#[tokio::test]
async fn an_account_that_is_not_the_persons_is_not_connected_and_its_tokens_are_revoked()
-> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    browser.install_from_marketplace(&service, "Install").await?;
    browser.see("Is this your account?").await?;
    browser.press("No, this was not me").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    assert!(service.has_called(Target::Revoke));
    browser.back().await?;
    browser.reload().await?;
    browser.see("Nothing left to do here").await
}

/// HubSpot may issue one refresh token to an account, however often it installs the app.
#[tokio::test]
async fn a_refused_install_takes_nothing_from_whoever_has_connected_the_account() -> Result<(), BoxError> {
    let service = Service::start()?;
    let (ada, bob) = (Browser::start().await?, Browser::start().await?);
    ada.connect(&service, "Ada").await?;
    bob.sign_in(&service, "Bob").await?;
    bob.install_from_marketplace(&service, "Install").await?;
    bob.press("No, this was not me").await?;
    bob.see("Your HubSpot accounts").await?;
    assert!(!service.has_called(Target::Revoke));
    ada.check_still_connected().await
}

/// The page asks about one account. Another one that came meanwhile, in another tab, is not what the person confirms.
#[tokio::test]
async fn a_code_that_comes_while_the_page_is_open_is_not_confirmed_with_it() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    service.hubspot.emulator(|emulator| emulator.add_hub(7, "seven.example.com"));
    browser.sign_in(&service, "Ada").await?;
    browser.install_from_marketplace(&service, "Install").await?;
    browser.see("Is this your account?").await?;
    assert!(browser.text().await?.contains("demo.example.com"), "the account that is preselected");
    let marketplace = format!("{}/marketplace", service.hubspot.url());
    browser.in_background(&marketplace, "[value='7']", "Install").await?;
    browser.press("Yes, connect this account").await?;
    browser.see("Nothing left to do here").await?;
    browser.open(&service.url).await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    Ok(())
}

/// HubSpot's "Install from the Marketplace": only HubSpot's own hosts, and here the emulator's.
#[tokio::test]
async fn a_forged_return_url_is_named_and_leads_nowhere() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.sign_in(&service, "Ada").await?;
    for query in [
        "step=authorize&returnUrl=https%3A%2F%2Fevil.example%2F%3Ca%3E",
        "step=authorize&returnUrl=https%3A%2F%2Fapp.hubspot.com.evil.example%2F",
        "step=authorize&returnUrl=https%3A%2F%2Fapp.hubspot.com%40evil.example%2F",
        "step=finalize&code=0123456789&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&returnUrl=https%3A%2F%2Fevil.example%2F",
        "code=0123456789&returnUrl=https%3A%2F%2Fevil.example%2F",
        "code=0123456789&returnUrl=javascript%3Aalert(1)%2F%2Fevil.example",
    ] {
        browser.open(&format!("{}/oauth/callback?{query}", service.url)).await?;
        browser.see("This link is not from HubSpot").await?;
        assert!(browser.text().await?.contains("evil.example"), "{query}");
        assert!(browser.url().await?.starts_with(&service.url), "{query}");
    }
    browser.check_page("forged-return-url").await?;
    assert!(!service.has_called(Target::ExchangeCode));
    Ok(())
}
