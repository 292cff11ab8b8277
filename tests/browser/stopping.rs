//! The end of the process, and its next start.

use crate::browser::{BoxError, Browser};
use crate::service::Service;

#[tokio::test]
async fn a_service_that_is_stopped_ends_cleanly_and_knows_its_accounts_afterwards() -> Result<(), BoxError> {
    let (mut service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    assert_eq!(service.stop()?.code(), Some(0), "a browser is still there");
    service.start_again()?;
    browser.sign_in(&service, "Ada").await?;
    browser.press("Account 62515").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}
