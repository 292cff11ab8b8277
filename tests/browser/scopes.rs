//! Scopes that HubSpot does not grant.

use hs_oauth_core::Scopes;

use crate::browser::{BoxError, Browser};
use crate::service::{Service, registered};

/// HubSpot never calls back: the person sees a page of HubSpot's.
#[tokio::test]
async fn hubspot_itself_shows_scopes_that_do_not_match_and_never_calls_back() -> Result<(), BoxError> {
    let other = registered("crm.objects.contacts.read crm.objects.deals.read", "crm.objects.companies.read")?;
    let service = Service::start_with(|settings| settings.registered_scopes = Some(other))?;
    let browser = Browser::start().await?;
    browser.sign_in(&service, "Ada").await?;
    browser.press("Connect an account").await?;
    browser.wait_for_text("crm.objects.deals.read").await?;
    assert!(browser.url().await?.starts_with(service.hubspot.url()));
    browser.check_page("hubspot-scope-mismatch").await?;

    browser.open(&service.url).await?;
    browser.see("Your HubSpot accounts").await?;
    assert!(browser.text().await?.contains("No HubSpot account is connected yet."));
    Ok(())
}

#[tokio::test]
async fn an_optional_scope_that_the_account_lacks_is_shown_and_can_be_asked_for_again() -> Result<(), BoxError>
{
    let (service, browser) = (Service::start()?, Browser::start().await?);
    let set_lacking =
        |scopes: Scopes| service.hubspot.emulator(|emulator| emulator.set_lacking_scopes(62515, scopes));
    set_lacking("crm.objects.companies.read".parse()?);
    browser.connect(&service, "Ada").await?;
    assert_eq!(browser.texts("#granted li").await?, ["oauth", "crm.objects.contacts.read"]);
    assert_eq!(browser.texts("#missing li").await?, ["crm.objects.companies.read"]);
    browser.check_page("account-with-missing-scope").await?;

    set_lacking(Scopes::NONE);
    browser.press("Ask again").await?;
    browser.press("Connect").await?;
    browser.see("Account 62515").await?;
    assert_eq!(browser.texts("#missing li").await?, [""; 0]);
    Ok(())
}
