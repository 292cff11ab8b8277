//! The keyboard alone.

use thirtyfour::prelude::*;

use crate::browser::{BoxError, Browser};
use crate::service::Service;

/// WCAG 2.1.1.
#[tokio::test]
async fn the_keyboard_alone_connects_and_disconnects() -> Result<(), BoxError> {
    let (service, browser) = (Service::start()?, Browser::start().await?);
    browser.open(&service.url).await?;
    browser.see("Sign in").await?;
    browser.tab_to("name").await?;
    browser.keys("Ada").await?;
    browser.keys(Key::Enter + "").await?;
    browser.see("Your HubSpot accounts").await?;
    browser.tab_to("Connect an account").await?;
    browser.keys(Key::Enter + "").await?;
    browser.see("Connect Example app to your account?").await?;
    browser.tab_to("Connect").await?;
    browser.keys(Key::Enter + "").await?;
    browser.see("Account 62515").await?;
    browser.tab_to("Disconnect…").await?;
    browser.keys(Key::Enter + "").await?;
    browser.see("Disconnect account 62515?").await?;
    browser.tab_to("Disconnect account 62515").await?;
    browser.keys(Key::Space + "").await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    Ok(())
}

impl Browser {
    /// Presses the tab key until this element has the focus.
    async fn tab_to(&self, name: &str) -> Result<(), BoxError> {
        for _ in 0..20 {
            self.keys(Key::Tab + "").await?;
            if self.focused().await? == name {
                return Ok(());
            }
        }
        Err(format!("the tab key does not lead to {name}").into())
    }
}
