//! The home page, `GET /`. It shows the app and the addresses that the emulator serves.

use http::{Method, Request, Response, StatusCode};

use crate::html::{document, escaped, push};
use crate::responses;
use crate::settings::Settings;
use crate::state::{SERVED_VERSIONS, State};

/// Returns the response to a request to `/`.
pub(crate) fn respond(state: &mut State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => responses::page(StatusCode::OK, home_page(&state.settings, &SERVED_VERSIONS)),
        ref method => responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, OPTIONS"),
    }
}

fn home_page(settings: &Settings, versions: &[&str]) -> String {
    let mut html = "<h1>HubSpot OAuth emulator</h1>\
        <p>It responds as HubSpot's documents say, for one app and the accounts you add. Nothing here is real.</p>\
        <section><h2>The app</h2><dl><dt>Client id</dt><dd><code>"
        .to_owned();
    push(&mut html, format_args!("{}</code></dd><dt>Redirect URIs</dt>", escaped(&settings.client_id)));
    for uri in &settings.redirect_uris {
        push(&mut html, format_args!("<dd><code>{}</code></dd>", escaped(uri)));
    }
    html.push_str("</dl><p class=\"quiet\">The client secret is in the line that was printed at the start.</p></section>");
    html.push_str("<section><h2>Addresses</h2><ul><li>Consent page<code>/oauth/authorize</code></li>");
    for version in versions {
        let more = match *version {
            "v1" => {
                "<code>/oauth/v1/access-tokens/{token}</code><code>/oauth/v1/refresh-tokens/{token}</code>"
                    .to_owned()
            }
            _ => format!(
                "<code>/oauth/{version}/token/introspect</code><code>/oauth/{version}/token/revoke</code>"
            ),
        };
        push(&mut html, format_args!("<li>Version {version}<code>/oauth/{version}/token</code>{more}</li>"));
    }
    html.push_str(
        "<li>APIs that need a token<code>/account-info/{version}/details</code>\
         <code>/appinstalls/{version}/external-install</code></li>\
         <li><a href=\"/marketplace\">Marketplace: install the app as from there</a></li>\
         <li><a href=\"/_emulator/\">Control: faults, clock, accounts, rotation, removed versions, journal</a></li></ul></section>",
    );
    if let Some(uri) = settings.redirect_uris.first() {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", uri)
            .append_pair("scope", "oauth crm.objects.contacts.read")
            .append_pair("optional_scope", "crm.objects.deals.read")
            .append_pair("state", "from-the-home-page")
            .finish();
        push(
            &mut html,
            format_args!(
                "<div class=\"buttons\"><a class=\"button\" href=\"/oauth/authorize?{}\">See the consent page</a></div>",
                escaped(&query)
            ),
        );
    }
    document("HubSpot OAuth emulator", &html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_page_claims_no_more_than_is_known() {
        let page = home_page(&Settings::new([0; 32]), &["v3"]);
        assert!(page.contains("as HubSpot's documents say"), "{page}");
    }
}
