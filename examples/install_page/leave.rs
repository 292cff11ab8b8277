//! The end of a connection, each way with a page that asks first.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use hs_oauth_async::Account;
use maud::{Markup, html};

use crate::account::OwnAccount;
use crate::layout::{document, form};
use crate::problem::Problem;
use crate::session::{NoFields, SafeForm, Visitor};
use crate::site::Site;

pub(crate) async fn disconnect_page(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    OwnAccount { person, account }: OwnAccount,
) -> Markup {
    let text = match site.people.is_shared(&person, account) {
        true => {
            "The account leaves your list. It stays connected for the other people here who have connected it."
        }
        false => {
            "This service forgets the account’s tokens and revokes them. The app stays installed in HubSpot."
        }
    };
    question(&visitor, account, "Disconnect", "disconnect", text)
}

pub(crate) async fn disconnect(
    State(site): State<Arc<Site>>,
    OwnAccount { person, account }: OwnAccount,
    SafeForm(_): SafeForm<NoFields>,
) -> Result<Redirect, Problem> {
    if !site.people.is_shared(&person, account) {
        site.manager.disconnect(account).await?;
    }
    site.people.remove(&person, account)?;
    Ok(Redirect::to("/"))
}

pub(crate) async fn uninstall_page(
    Extension(visitor): Extension<Visitor>,
    OwnAccount { account, .. }: OwnAccount,
) -> Markup {
    let text = "This takes the app out of the HubSpot account, for everybody who has connected it. HubSpot tells the account’s admins by email.";
    question(&visitor, account, "Uninstall the app from", "uninstall", text)
}

pub(crate) async fn uninstall(
    State(site): State<Arc<Site>>,
    OwnAccount { account, .. }: OwnAccount,
    SafeForm(_): SafeForm<NoFields>,
) -> Result<Redirect, Problem> {
    site.manager.uninstall(account).await?;
    site.people.remove_from_all(account)?;
    Ok(Redirect::to("/"))
}

fn question(visitor: &Visitor, account: Account, what: &str, path: &str, text: &str) -> Markup {
    let content = html! {
        p { (text) }
        (form(visitor, &format!("/accounts/{account}/{path}"), &html! {
            div.buttons {
                button.danger { (what) " account " (account) }
                a.button.second href={ "/accounts/" (account) } { "Keep it connected" }
            }
        }))
    };
    document(&format!("{what} account {account}?"), &content)
}
