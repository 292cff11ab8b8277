//! Connect: to HubSpot's consent page, and back.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Redirect;
use hs_oauth_async::{Account, AuthorizationCode, Authorize, CallbackLeg};
use serde::Deserialize;

use crate::marketplace;
use crate::problem::Problem;
use crate::session::{SafeForm, SignedIn, Visitor};
use crate::site::Site;

/// The scopes that the app is registered with as required.
pub(crate) const REQUIRED_SCOPES: &str = "oauth crm.objects.contacts.read";
/// The scopes that the app is registered with as optional. HubSpot leaves out those that an account cannot grant.
pub(crate) const OPTIONAL_SCOPES: &str = "crm.objects.companies.read";

#[derive(Deserialize)]
pub(crate) struct Connect {
    /// The account to connect again. Without one, the person chooses on HubSpot's page.
    account: Option<Account>,
}

/// Sends the browser to the consent page.
pub(crate) async fn connect(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    _: SignedIn,
    SafeForm(form): SafeForm<Connect>,
) -> Result<Redirect, Problem> {
    let now = SystemTime::now().into();
    let mut authorize =
        Authorize::new(REQUIRED_SCOPES.parse()?).with_optional_scopes(OPTIONAL_SCOPES.parse()?);
    if let Some(account) = form.account {
        authorize = authorize.with_hub_id(account.hub_id);
    }
    let begun = authorize.begin(site.manager.client().app(), now)?;
    visitor.session().pending.insert(now, begun.pending);
    Ok(Redirect::to(&begun.url))
}

/// Takes the browser back from HubSpot: from the consent page, or from the Marketplace.
pub(crate) async fn callback(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Redirect, Problem> {
    let (now, query) = (SystemTime::now().into(), query.unwrap_or_default());
    match CallbackLeg::read(site.manager.client().app(), now, &query)? {
        CallbackLeg::Authorized => {
            // The session forgets the authorization first. So a page that is loaded again sends no code twice.
            let code = visitor.session().pending.accept(now, &query)?;
            let account = install(&site, &visitor, code).await?;
            Ok(Redirect::to(&format!("/accounts/{account}")))
        }
        CallbackLeg::SignIn(sign_in) => marketplace::authorize(&site, &visitor, &sign_in, &query),
        CallbackLeg::Finalize(finalize) => {
            let code = finalize.accept(now, &mut visitor.session().pending)?;
            install(&site, &visitor, code).await?;
            Ok(Redirect::to(finalize.return_url()))
        }
        CallbackLeg::Unconfirmed(install) => marketplace::ask(&site, &visitor, &install).await,
        _ => Err(Problem::not_found()),
    }
}

async fn install(site: &Site, visitor: &Visitor, code: AuthorizationCode) -> Result<Account, Problem> {
    let person = visitor.session().person.clone().ok_or_else(Problem::expired_form)?;
    let installed = site.manager.install(code).await?;
    site.people.add(&person, installed.account)?;
    Ok(installed.account)
}
