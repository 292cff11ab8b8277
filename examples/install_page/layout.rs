//! What all pages share. `html!` escapes everything that is put into it.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use maud::{DOCTYPE, Markup, html};

use crate::session::Visitor;

pub(crate) fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Install page" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { a href="/" { "Install page" } }
                main {
                    h1 { (title) }
                    (content)
                }
                footer { p { "An example of hs-oauth, not a product of HubSpot’s." } }
            }
        }
    }
}

/// Returns a form that is sent with POST, with the token of the session.
pub(crate) fn form(visitor: &Visitor, action: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="csrf_token" value=(visitor.csrf_token());
            (content)
        }
    }
}

pub(crate) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

/// Returns the policy of all pages: no script, and forms that lead to this service and from it to HubSpot only.
pub(crate) fn content_security_policy(hubspot: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {hubspot} https://*.hubspot.com; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
}
