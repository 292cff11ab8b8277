//! The HTML of the dashboard. Everything shown is escaped.

use std::time::Duration;

use hs_oauth_core::{Scopes, Timestamp};
use http::Request;

use super::actions::FAULTS;
use super::journal_list::push_list;
use super::time_left::in_words;
use crate::apps::RegisteredApp;
use crate::consent::offer::Offer;
use crate::faults::Target;
use crate::grants::GrantView;
use crate::html::{dashboard_document, escaped, push};
use crate::own_address::own_callback;
use crate::settings::Rotation;
use crate::state::{SERVED_VERSIONS, State};

/// The number of grants of an account that the page shows, newest first.
const MAX_GRANTS: usize = 5;

/// Returns the whole page.
pub(super) fn dashboard(
    state: &State,
    now: Timestamp,
    offer: &Offer<'_>,
    request: &Request<Vec<u8>>,
) -> String {
    let mut html = "<h1>HubSpot OAuth emulator</h1>\
        <p>It responds as HubSpot's documents say, for your apps and the accounts here. Nothing here is real.</p>\
        <div class=\"columns\"><div>"
        .to_owned();
    push_apps(&mut html, state, request);
    push_accounts(&mut html, state, now, offer);
    html.push_str("</div><div>");
    push_clock(&mut html, state, now);
    push_rules(&mut html, state);
    push_faults(&mut html, state);
    html.push_str("</div></div>");
    html.push_str(
        "<section id=\"requests\"><h2>Requests <span id=\"live\" class=\"quiet\" role=\"status\"></span></h2>\
         <noscript><p class=\"quiet\">Load the page again to see newer ones.</p></noscript>",
    );
    push_list(&mut html, state.journal.iter().rev());
    html.push_str(
        "<form method=\"post\" action=\"/\" class=\"buttons small\">\
         <button class=\"second\" name=\"action\" value=\"clear_journal\">Clear the list</button></form></section>",
    );
    push_addresses(&mut html);
    dashboard_document("HubSpot OAuth emulator", &html)
}

fn push_apps(html: &mut String, state: &State, request: &Request<Vec<u8>>) {
    let callback = own_callback(request);
    for app in state.settings.apps() {
        push(
            html,
            format_args!(
                "<section><h2><bdi>{}</bdi></h2><dl><dt>Client id</dt><dd><code>{}</code></dd>",
                escaped(app.name),
                escaped(app.client_id),
            ),
        );
        for uri in app.redirect_uris {
            push(
                html,
                format_args!(
                    "<dt>Redirect URI</dt><dd><code>{}</code> <a href=\"{}\">Connect through it</a></dd>",
                    escaped(uri),
                    escaped(&authorize_path(app, uri)),
                ),
            );
        }
        html.push_str("</dl>");
        if let Some(callback) = &callback {
            push(
                html,
                format_args!(
                    "<div class=\"buttons small\"><a class=\"button\" href=\"{}\">See the consent page</a></div>\
                     <p class=\"quiet\">It ends on a page of the emulator, which shows the code and how to exchange it.</p>",
                    escaped(&authorize_path(app, callback)),
                ),
            );
        }
        html.push_str("</section>");
    }
}

/// Returns the path of the consent page, for the app's registered scopes.
fn authorize_path(app: RegisteredApp<'_>, redirect_uri: &str) -> String {
    let (scope, optional_scope) = match app.scopes {
        Some(scopes) => (scopes.required().to_string(), scopes.optional().to_string()),
        None => ("oauth crm.objects.contacts.read".to_owned(), "crm.objects.deals.read".to_owned()),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", app.client_id).append_pair("redirect_uri", redirect_uri);
    query.append_pair("scope", &scope);
    if !optional_scope.is_empty() {
        query.append_pair("optional_scope", &optional_scope);
    }
    format!("/oauth/authorize?{}", query.append_pair("state", "from-the-dashboard").finish())
}

fn push_accounts(html: &mut String, state: &State, now: Timestamp, offer: &Offer<'_>) {
    html.push_str("<section id=\"accounts\"><h2>Accounts</h2>");
    if offer.needs_filter() {
        push(
            html,
            format_args!(
                "<form class=\"filter\" action=\"/#accounts\"><input type=\"search\" name=\"account\" value=\"{}\" \
                 placeholder=\"Website or hub id\" aria-label=\"Website or hub id\">\
                 <button class=\"second\">Find</button></form><p class=\"quiet\">{} of {} accounts</p>",
                escaped(offer.filter),
                offer.hubs.len(),
                offer.hub_count,
            ),
        );
    }
    html.push_str("<div id=\"accounts-list\">");
    for (hub_id, domain) in &offer.hubs {
        push(
            html,
            format_args!(
                "<div class=\"account\"><h3><bdi>{}</bdi> <span class=\"quiet\">Hub id {hub_id}</span></h3>",
                escaped(domain),
            ),
        );
        if let Some(hub) = state.grants.hub(*hub_id).filter(|hub| !hub.lacks.is_empty()) {
            html.push_str("<p class=\"quiet\">Cannot grant");
            push_names(html, &hub.lacks);
            html.push_str("</p>");
        }
        let mut grants = state.grants.newest_grants_of(*hub_id);
        let mut is_installed = false;
        for grant in grants.by_ref().take(MAX_GRANTS) {
            is_installed = true;
            push_grant(html, state, now, *hub_id, &grant);
        }
        match grants.count() {
            0 if !is_installed => html.push_str("<p class=\"quiet\">No app is installed here.</p>"),
            0 => {}
            more => push(html, format_args!("<p class=\"quiet\">And {more} older grants</p>")),
        }
        html.push_str("</div>");
    }
    if offer.hubs.is_empty() {
        html.push_str("<p>No account matches.</p>");
    }
    html.push_str("</div></section>");
}

fn push_grant(html: &mut String, state: &State, now: Timestamp, hub_id: i64, grant: &GrantView<'_>) {
    let name =
        state.settings.app(grant.client_id).map_or("An app that is not registered any more", |app| app.name);
    push(
        html,
        format_args!(
            "<dl class=\"grant\"><dt>App</dt><dd><bdi>{}</bdi></dd><dt>Scopes</dt><dd>",
            escaped(name)
        ),
    );
    push_names(html, grant.scopes);
    html.push_str("</dd><dt>Access token</dt><dd>");
    match grant.expires_at {
        Some(expires_at) if expires_at > now => {
            let left = Duration::from_secs(expires_at.since(now).as_secs());
            push(html, format_args!("<time data-left=\"{}\">{}</time> left", left.as_secs(), in_words(left)));
        }
        Some(_) => html.push_str("expired"),
        None => html.push_str("none"),
    }
    if grant.access_tokens > 1 {
        push(html, format_args!(", {} older ones known", grant.access_tokens - 1));
    }
    html.push_str("</dd><dt>Refresh token</dt><dd>");
    match grant.refresh_token {
        Some(token) => push(html, format_args!("<code>#{}</code>", state.token_generator.fingerprint(token))),
        None => html.push_str("revoked"),
    }
    push(
        html,
        format_args!(
            "</dd></dl><form method=\"post\" action=\"/\" class=\"buttons small\">\
             <input type=\"hidden\" name=\"hub_id\" value=\"{hub_id}\">\
             <input type=\"hidden\" name=\"client_id\" value=\"{}\">\
             <button class=\"second\" name=\"action\" value=\"uninstall\" \
             aria-label=\"Uninstall {} from account {hub_id}\">Uninstall</button></form>",
            escaped(grant.client_id),
            escaped(name),
        ),
    );
}

fn push_names(html: &mut String, scopes: &Scopes) {
    for scope in scopes {
        push(html, format_args!(" <code>{}</code>", escaped(scope.as_str())));
    }
}

fn push_clock(html: &mut String, state: &State, now: Timestamp) {
    push(
        html,
        format_args!(
            "<section id=\"clock\"><h2>Clock</h2><p id=\"clock-now\"><time datetime=\"{0}\">{0}</time>\
             <span class=\"quiet\"> {1} ahead</span></p><form method=\"post\" action=\"/\" class=\"buttons small\">\
             <input type=\"hidden\" name=\"action\" value=\"advance\">",
            Timestamp::from_secs(now.as_millis() / 1000),
            in_words(state.clock_advance),
        ),
    );
    for (seconds, words) in [(60, "+1 min"), (1800, "+30 min"), (86_400, "+1 day")] {
        push(
            html,
            format_args!("<button class=\"second\" name=\"seconds\" value=\"{seconds}\">{words}</button>"),
        );
    }
    html.push_str("</form></section>");
}

fn push_rules(html: &mut String, state: &State) {
    let rotation = match state.rotation {
        Rotation::Keep => "A refresh returns the same refresh token, as HubSpot does today.",
        Rotation::Rotate => "A refresh replaces the refresh token.",
        Rotation::Strict => "A refresh replaces the refresh token, and using an old one ends the grant.",
    };
    push(
        html,
        format_args!(
            "<section id=\"rules\"><h2>Rotation and versions</h2><div id=\"rules-now\"><p>{rotation}</p>"
        ),
    );
    html.push_str("<form method=\"post\" action=\"/\" class=\"buttons small\"><input type=\"hidden\" name=\"action\" value=\"rotation\">");
    for (rotation, name, words) in [
        (Rotation::Keep, "keep", "Keep"),
        (Rotation::Rotate, "rotate", "Rotate"),
        (Rotation::Strict, "strict", "Strict"),
    ] {
        let pressed = state.rotation == rotation;
        push(
            html,
            format_args!(
                "<button class=\"second\" name=\"rotation\" value=\"{name}\" aria-pressed=\"{pressed}\">{words}</button>"
            ),
        );
    }
    html.push_str("</form><form method=\"post\" action=\"/\" class=\"buttons small\">");
    match state.removed_versions.as_slice() {
        [] => html.push_str(
            "<input type=\"hidden\" name=\"version\" value=\"v1\">\
             <button class=\"second\" name=\"action\" value=\"sunset\">Remove v1</button>",
        ),
        removed => push(
            html,
            format_args!(
                "<button class=\"second\" name=\"action\" value=\"bring_back\">Bring {} back</button>",
                removed.join(", "),
            ),
        ),
    }
    html.push_str("</form></div></section>");
}

fn push_faults(html: &mut String, state: &State) {
    html.push_str("<section id=\"faults\"><h2>Faults</h2><div id=\"faults-list\">");
    let mut faults = state.faults.iter().peekable();
    match faults.peek() {
        None => html.push_str("<p class=\"quiet\">No fault waits.</p>"),
        Some(_) => {
            html.push_str("<ul>");
            for fault in faults {
                let json = serde_json::to_string(fault).unwrap_or_default();
                push(html, format_args!("<li><code>{}</code></li>", escaped(&json)));
            }
            html.push_str(
                "</ul><form method=\"post\" action=\"/\" class=\"buttons small\">\
                 <button class=\"second\" name=\"action\" value=\"clear_faults\">Take them back</button></form>",
            );
        }
    }
    html.push_str(
        "</div><form method=\"post\" action=\"/\"><input type=\"hidden\" name=\"action\" value=\"fault\">\
         <p class=\"fields\"><label>Next requests <input type=\"number\" name=\"count\" value=\"1\" min=\"1\" max=\"1000\"></label>\
         <label>of <select name=\"operation\"><option value=\"\">the token API</option>",
    );
    for target in [
        Target::ExchangeCode,
        Target::Refresh,
        Target::ClientCredentials,
        Target::Introspect,
        Target::Revoke,
        Target::AccountInfo,
        Target::Uninstall,
        Target::Crm,
    ] {
        let name = serde_json::to_value(target).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        push(html, format_args!("<option value=\"{name}\">{}</option>", name.replace('_', " ")));
    }
    html.push_str("</select></label></p><div class=\"buttons small\">");
    for (fault, words) in FAULTS {
        push(
            html,
            format_args!("<button class=\"second\" name=\"fault\" value=\"{fault}\">{words}</button>"),
        );
    }
    html.push_str("</div></form></section>");
}

fn push_addresses(html: &mut String) {
    html.push_str(
        "<details><summary>Addresses</summary><ul><li>Consent page<code>/oauth/authorize</code></li>",
    );
    for version in SERVED_VERSIONS {
        let more = match version {
            "v1" => {
                "<code>/oauth/v1/access-tokens/{token}</code><code>/oauth/v1/refresh-tokens/{token}</code>"
                    .to_owned()
            }
            _ => format!(
                "<code>/oauth/{version}/token/introspect</code><code>/oauth/{version}/token/revoke</code>"
            ),
        };
        push(html, format_args!("<li>Version {version}<code>/oauth/{version}/token</code>{more}</li>"));
    }
    html.push_str(
        "<li>APIs that need a token<code>/crm/…</code><code>/account-info/{version}/details</code>\
         <code>/appinstalls/{version}/external-install</code></li>\
         </ul></details><section><h2>More</h2><ul>\
         <li><a href=\"/marketplace\">Marketplace: install the app as from there</a></li>\
         <li><a href=\"/_emulator/\">Control: all of this and more as JSON</a></li></ul>\
         <p class=\"quiet\">The client secret is in the line that was printed at the start.</p></section>",
    );
}
