//! The end of a connection: disconnect, uninstall, and an account that has left by itself.

use hs_oauth_emulator::Target;

use crate::browser::{BoxError, Browser};
use crate::service::Service;

#[tokio::test]
async fn a_disconnect_asks_first_and_then_revokes_and_forgets() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    browser.press("Disconnect…").await?;
    browser.see("Disconnect account 62515?").await?;
    browser.check_page("disconnect").await?;
    browser.press("Keep it connected").await?;
    browser.see("Account 62515").await?;
    assert!(!service.has_called(Target::Revoke));

    browser.press("Disconnect…").await?;
    browser.press("Disconnect account 62515").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    assert!(service.has_called(Target::Revoke));
    Ok(())
}

/// Several people of one service can share one account of HubSpot's.
#[tokio::test]
async fn a_disconnect_takes_nothing_from_others_with_the_same_account() -> Result<(), BoxError> {
    let service = Service::start()?;
    let (ada, bob) = (Browser::start().await?, Browser::start().await?);
    ada.connect(&service, "Ada").await?;
    bob.connect(&service, "Bob").await?;
    bob.press("Disconnect…").await?;
    bob.see("Disconnect account 62515?").await?;
    bob.press("Disconnect account 62515").await?;
    bob.see("Your HubSpot accounts").await?;
    assert!(!service.has_called(Target::Revoke));
    ada.check_still_connected().await
}

#[tokio::test]
async fn an_uninstall_asks_first_and_then_takes_the_app_out_of_the_account() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    browser.press("Uninstall…").await?;
    browser.see("Uninstall the app from account 62515?").await?;
    browser.check_page("uninstall").await?;
    browser.press("Uninstall the app from account 62515").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    assert!(service.has_called(Target::Uninstall));
    Ok(())
}

#[tokio::test]
async fn an_account_that_has_taken_the_app_out_can_connect_again() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    service.hubspot.emulator(|emulator| emulator.uninstall(62515));
    browser.reload().await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("HubSpot no longer lets the app into this account."));
    browser.check_page("account-gone").await?;
    browser.press("Connect again").await?;
    browser.press("Connect").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}
