//! The page of a connected account: what HubSpot says of it at this moment, and how to end the connection.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hs_oauth_async::{
    AccessTokenInfo, Account, AccountDetails, AccountType, Introspection, NextStep, Scopes, TokenError,
};
use maud::{Markup, html};

use crate::install::OPTIONAL_SCOPES;
use crate::layout::{document, form};
use crate::log::log;
use crate::problem::Problem;
use crate::session::{SignedIn, Visitor};
use crate::site::Site;
use crate::webhook::Event;

/// The account that the path names, of the person who has signed in. Any other one is not found.
pub(crate) struct OwnAccount {
    pub(crate) person: String,
    pub(crate) account: Account,
}

impl FromRequestParts<Arc<Site>> for OwnAccount {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, site).await;
        let SignedIn(person) = signed_in.map_err(IntoResponse::into_response)?;
        let path = Path::from_request_parts(parts, site).await;
        let Path(account) = path.map_err(IntoResponse::into_response)?;
        match site.people.accounts(&person).contains(&account) {
            true => Ok(Self { person, account }),
            false => Err(Problem::not_found().into_response()),
        }
    }
}

pub(crate) async fn page(
    State(site): State<Arc<Site>>,
    Extension(visitor): Extension<Visitor>,
    OwnAccount { account, .. }: OwnAccount,
) -> Result<Markup, Problem> {
    let content = html! {
        @match ask_hubspot(&site, account).await {
            Ok((details, info)) => (connected(&visitor, &details, &info)?),
            Err(error) => (not_connected(&visitor, account, &error)),
        }
        (news(&site.news.of(account)))
        div.buttons {
            a.button.second href={ "/accounts/" (account) "/disconnect" } { "Disconnect…" }
            a.button.second href={ "/accounts/" (account) "/uninstall" } { "Uninstall…" }
        }
    };
    Ok(document(&format!("Account {account}"), &content))
}

/// Calls an API of HubSpot with the account's token, which is renewed if it has to be, and asks about the token.
async fn ask_hubspot(
    site: &Site,
    account: Account,
) -> Result<(AccountDetails, Box<AccessTokenInfo>), TokenError> {
    let details = site.manager.account_details(account).await?;
    let token = site.manager.access_token(account).await?;
    match site.manager.client().introspect(token).await? {
        Introspection::AccessToken(info) => Ok((details, info)),
        _ => Err(TokenError::Gone { unsettled: false, refusal: None }),
    }
}

fn connected(visitor: &Visitor, details: &AccountDetails, info: &AccessTokenInfo) -> Result<Markup, Problem> {
    let missing = OPTIONAL_SCOPES.parse::<Scopes>()?.without(&info.scopes);
    let unknown = "not known";
    Ok(html! {
        p role="status" { "Connected. HubSpot responded just now." }
        dl {
            dt { "Website" } dd { (info.hub_domain.as_deref().unwrap_or(unknown)) }
            dt { "Installed by" } dd { (info.user.as_deref().unwrap_or(unknown)) }
            dt { "Kind of account" } dd { (details.account_type.as_ref().map_or(unknown, kind)) }
            dt { "Time zone" } dd { (details.time_zone.as_deref().unwrap_or(unknown)) }
            dt { "Currency" } dd { (details.company_currency.as_deref().unwrap_or(unknown)) }
        }
        h2 { "What the app may do" }
        ul #granted { @for scope in &info.scopes { li { code { (scope) } } } }
        @if !missing.is_empty() {
            h2 { "What was not granted" }
            ul #missing { @for scope in &missing { li { code { (scope) } } } }
            p { "These are optional. What needs them does not work for this account." }
            (connect_again(visitor, Account::hub(info.hub_id), "Ask again"))
        }
    })
}

fn kind(account_type: &AccountType) -> &str {
    match account_type {
        AccountType::Standard => "standard",
        AccountType::Sandbox => "sandbox",
        AccountType::DeveloperTest => "for a developer’s tests",
        AccountType::AppDeveloper => "of an app developer",
        AccountType::Other(name) => name,
        _ => "not known",
    }
}

fn not_connected(visitor: &Visitor, account: Account, error: &TokenError) -> Markup {
    log(format_args!("account {account}: {error}"));
    html! {
        @match error.next_step() {
            NextStep::Reauthorize | NextStep::RestartAuthorization => {
                p role="status" { "Not connected. HubSpot no longer lets the app into this account." }
                (connect_again(visitor, account, "Connect again"))
            }
            NextStep::RetryAfter(_) => {
                p role="status" { "HubSpot does not respond at the moment. The connection is kept. Please try again in a minute." }
            }
            NextStep::FixConfiguration | NextStep::ReportBug => {
                p role="status" { "Something is wrong on our side. The connection is kept." }
            }
        }
    }
}

fn connect_again(visitor: &Visitor, account: Account, text: &str) -> Markup {
    form(
        visitor,
        "/connect",
        &html! {
            input type="hidden" name="account" value=(account);
            button { (text) }
        },
    )
}

fn news(events: &[Event]) -> Markup {
    html! {
        h2 { "News from HubSpot" }
        @if events.is_empty() {
            p.quiet { "No webhook has come for this account yet." }
        } @else {
            ul #news {
                @for event in events {
                    li { code { (event.subscription_type) } @if let Some(id) = event.object_id { " of object " (id) } }
                }
            }
        }
    }
}
