//! Installs that begin on HubSpot's Marketplace.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use hs_oauth_async::{
    Account, Introspection, MarketplaceSignIn, ReturnUrl, UnconfirmedInstall, UnconfirmedTokens,
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::layout::{document, form};
use crate::problem::Problem;
use crate::session::{SafeForm, SignedIn, Visitor};
use crate::site::Site;

/// An account that came with a code that may be somebody else's. It waits for the person to say that it is theirs.
#[derive(Clone)]
pub(crate) struct Unconfirmed {
    account: Account,
    website: Option<String>,
    user: Option<String>,
    tokens: UnconfirmedTokens,
    return_url: Option<ReturnUrl>,
}

/// The first leg of an install with sign-in. After it, HubSpot sends the browser to the callback once more.
pub(crate) fn authorize(
    site: &Site,
    visitor: &Visitor,
    sign_in: &MarketplaceSignIn,
    query: &str,
) -> Result<Redirect, Problem> {
    let app = site.manager.client().app();
    let mut session = visitor.session();
    if session.person.is_none() {
        session.next_page = Some(format!("{}?{query}", site.callback_path));
        return Ok(Redirect::to("/"));
    }
    let now = SystemTime::now().into();
    let begun = sign_in.begin(app, now)?;
    session.pending.insert(now, begun.pending);
    Ok(Redirect::to(&begun.url))
}

/// An install without sign-in: asks HubSpot whose the code is, and then the person whether they are that.
///
/// The code is exchanged at once, since it is good for a short time. Its tokens stay in the session until the person confirms.
pub(crate) async fn ask(
    site: &Site,
    visitor: &Visitor,
    install: &UnconfirmedInstall,
) -> Result<Redirect, Problem> {
    let client = site.manager.client();
    let tokens = client.call(&install.exchange(SystemTime::now().into())?).await?;
    let Introspection::AccessToken(info) = client.call(&tokens.introspect()).await? else {
        return Err(Problem::internal(&"HubSpot does not know the token that it has just issued"));
    };
    let unconfirmed = Unconfirmed {
        account: Account::hub(info.hub_id),
        website: info.hub_domain,
        user: info.user,
        tokens,
        return_url: install.return_url().cloned(),
    };
    let mut session = visitor.session();
    session.unconfirmed = Some(unconfirmed);
    session.next_page = Some("/confirm".to_owned());
    Ok(Redirect::to(if session.person.is_some() { "/confirm" } else { "/" }))
}

/// The page on which the person says whether the account is theirs.
pub(crate) async fn page(
    Extension(visitor): Extension<Visitor>,
    SignedIn(person): SignedIn,
) -> Result<Markup, Problem> {
    let unconfirmed = visitor.session().unconfirmed.clone().ok_or_else(Problem::nothing_left)?;
    let content = html! {
        p { "An install of this app was started on HubSpot’s Marketplace. Connect the account only if it was you." }
        dl {
            dt { "Website" } dd { (unconfirmed.website.as_deref().unwrap_or("not known")) }
            dt { "Hub ID" } dd { (unconfirmed.account) }
            dt { "Installed by" } dd { (unconfirmed.user.as_deref().unwrap_or("not known")) }
            dt { "Signed in here as" } dd { (person) }
        }
        (form(&visitor, "/confirm", &html! {
            // The account that is on the page. The session may have got another one in another tab.
            input type="hidden" name="account" value=(unconfirmed.account);
            div.buttons {
                button name="answer" value="mine" { "Yes, connect this account" }
                button.second name="answer" value="not-mine" { "No, this was not me" }
            }
        }))
    };
    Ok(document("Is this your account?", &content))
}

#[derive(Deserialize)]
pub(crate) struct Confirmation {
    account: Account,
    answer: Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Mine,
    NotMine,
}

pub(crate) async fn confirm(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    SignedIn(person): SignedIn,
    SafeForm(form): SafeForm<Confirmation>,
) -> Result<Redirect, Problem> {
    let waiting = visitor.session().unconfirmed.take_if(|unconfirmed| unconfirmed.account == form.account);
    let unconfirmed = waiting.ok_or_else(Problem::nothing_left)?;
    match form.answer {
        Answer::Mine => connect(&site, &visitor, &person, unconfirmed).await,
        Answer::NotMine => {
            // If somebody has connected this account, HubSpot may have issued the very token that they use.
            if let (false, Some(revoke)) =
                (site.people.is_connected(form.account), unconfirmed.tokens.revoke())
            {
                site.manager.client().call(&revoke).await?;
            }
            Ok(Redirect::to("/"))
        }
    }
}

async fn connect(
    site: &Site,
    visitor: &Visitor,
    person: &str,
    unconfirmed: Unconfirmed,
) -> Result<Redirect, Problem> {
    let tokens = unconfirmed.tokens.clone().tokens_confirmed_by_signed_in_person();
    match site.manager.install_tokens_as(unconfirmed.account, tokens).await {
        Ok(_) => {}
        Err(error) => {
            // The person can confirm again.
            visitor.session().unconfirmed = Some(unconfirmed);
            return Err(error.into());
        }
    }
    site.people.add(person, unconfirmed.account)?;
    match unconfirmed.return_url {
        Some(return_url) => Ok(Redirect::to(&return_url)),
        None => Ok(Redirect::to(&format!("/accounts/{}", unconfirmed.account))),
    }
}
