//! The start page: sign in, then connect an account or look at one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use crate::layout::{document, form};
use crate::session::Visitor;
use crate::site::Site;

pub(crate) async fn page(State(site): State<Arc<Site>>, Extension(visitor): Extension<Visitor>) -> Markup {
    let person = visitor.session().person.clone();
    match person {
        None => sign_in(&visitor),
        Some(person) => accounts(&site, &visitor, &person),
    }
}

fn sign_in(visitor: &Visitor) -> Markup {
    let content = html! {
        p { "Sign in to connect your HubSpot account." }
        (form(visitor, "/sign-in", &html! {
            label for="name" { "Your name" }
            input #name name="name" autocomplete="username" maxlength="100" required;
            button { "Sign in" }
        }))
        p.quiet { "In this example anybody can sign in as anybody." }
    };
    document("Sign in", &content)
}

fn accounts(site: &Site, visitor: &Visitor, person: &str) -> Markup {
    let accounts = site.people.accounts(person);
    let content = html! {
        p { "You are signed in as " strong { (person) } "." }
        @if accounts.is_empty() {
            p { "No HubSpot account is connected yet." }
        } @else {
            ul {
                @for account in &accounts {
                    li { a href={ "/accounts/" (account) } { "Account " (account) } }
                }
            }
        }
        div.buttons {
            (form(visitor, "/connect", &html! { button { "Connect an account" } }))
            (form(visitor, "/sign-out", &html! { button.second { "Sign out" } }))
        }
    };
    document("Your HubSpot accounts", &content)
}
