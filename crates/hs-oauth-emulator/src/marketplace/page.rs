//! The HTML of the Marketplace page and of the page that says what the app did. Everything shown is escaped.

use hs_oauth_core::Scope;

use super::installs::{MarketplaceInstall, MarketplaceInstalls};
use super::{MarketplaceScopes, install_urls};
use crate::apps::RegisteredApp;
use crate::consent::offer::Offer;
use crate::consent::page::push_account;
use crate::html::{document, escaped, push};
use crate::settings::Settings;

/// The number of installs that the page shows.
const MAX_SHOWN: usize = 10;

/// Returns the page that starts installs and lists the newest ones.
pub(super) fn marketplace_page(
    settings: &Settings,
    app: RegisteredApp<'_>,
    offer: &Offer<'_>,
    scopes: &MarketplaceScopes,
    installs: &MarketplaceInstalls,
) -> String {
    let name = escaped(app.name);
    let client_id =
        format!("<input type=\"hidden\" name=\"client_id\" value=\"{}\">", escaped(app.client_id));
    let mut html = format!(
        "<h1>Install <bdi>{name}</bdi> from the Marketplace</h1>\
         <p>Here the emulator plays HubSpot's Marketplace. It sends your browser to the app, and watches what the app does until the \
         browser is back.</p>{}<form method=\"post\" action=\"/marketplace\">{client_id}",
        match offer.needs_filter() {
            true => format!("<form id=\"filter\" action=\"/marketplace\">{client_id}</form>"),
            false => String::new(),
        },
    );
    push_account(&mut html, settings, offer);
    let has_install_url = push_install_urls(&mut html, settings, app);
    push_scopes(&mut html, app, scopes);
    let disabled = if offer.hubs.is_empty() || !has_install_url { " disabled" } else { "" };
    push(
        &mut html,
        format_args!(
            "<div class=\"buttons\"><button name=\"partner_sign_in\" value=\"no\"{disabled}>Install</button>\
             <button name=\"partner_sign_in\" value=\"yes\"{disabled}>Install with partner sign-in</button></div></form>"
        ),
    );
    let mut newest = installs.newest_first().take(MAX_SHOWN).peekable();
    if newest.peek().is_some() {
        html.push_str("<section><h2>The newest installs</h2>");
        newest.for_each(|install| push_install(&mut html, install));
        html.push_str("</section>");
    }
    let others = settings.apps().filter(|other| other.client_id != app.client_id);
    let others: Vec<_> = others.map(|app| (app.name, query(app.client_id))).collect();
    if !others.is_empty() {
        html.push_str("<section><h2>Other apps</h2><ul>");
        for (name, query) in others {
            push(
                &mut html,
                format_args!("<li><a href=\"/marketplace?{query}\"><bdi>{}</bdi></a></li>", escaped(name)),
            );
        }
        html.push_str("</ul></section>");
    }
    document(&format!("Install {name}"), &html)
}

/// Returns the query that chooses an app.
fn query(client_id: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("client_id", client_id).finish()
}

/// Appends the choice of the install URL. Returns whether there is one.
fn push_install_urls(html: &mut String, settings: &Settings, app: RegisteredApp<'_>) -> bool {
    let mut urls = install_urls(settings, app).peekable();
    let Some(first) = urls.next() else {
        html.push_str("<p>The app has registered no redirect URI that could be its install URL.</p>");
        return false;
    };
    if urls.peek().is_none() {
        push(
            html,
            format_args!(
                "<section><h2>Install URL</h2><p><code>{0}</code></p>\
                 <input type=\"hidden\" name=\"redirect_uri\" value=\"{0}\"></section>",
                escaped(first),
            ),
        );
        return true;
    }
    html.push_str("<fieldset><legend>Choose the install URL</legend><ul>");
    for (index, url) in [first].into_iter().chain(urls).enumerate() {
        push(
            html,
            format_args!(
                "<li><label><input type=\"radio\" name=\"redirect_uri\" value=\"{0}\"{1} required>\
                 <code>{0}</code></label></li>",
                escaped(url),
                if index == 0 { " checked" } else { "" },
            ),
        );
    }
    html.push_str("</ul></fieldset>");
    true
}

fn push_scopes(html: &mut String, app: RegisteredApp<'_>, scopes: &MarketplaceScopes) {
    html.push_str("<section><h2>Scopes</h2><p>");
    html.push_str(match app.scopes {
        Some(_) => "The required scopes of the app, and those optional ones that the account can grant.",
        None => "The app has registered no scopes (<code>--required-scopes</code>), so it gets <code>oauth</code> alone.",
    });
    html.push_str("</p><ul>");
    for name in scopes.required.iter().chain(&scopes.optional).map(Scope::as_str) {
        push(html, format_args!("<li><code>{}</code></li>", escaped(name)));
    }
    html.push_str("</ul></section>");
}

/// Returns the page that the browser sees when the app has sent it back.
pub(super) fn verdict_page(install: &MarketplaceInstall) -> String {
    let title = match install.is_complete() {
        true => "The app did all it had to",
        false => "The app did not do all it had to",
    };
    let mut html = format!("<h1>{title}</h1>");
    push_install(&mut html, install);
    html.push_str(
        "<div class=\"buttons\"><a class=\"button\" href=\"/marketplace\">To the Marketplace page</a></div>",
    );
    document(title, &html)
}

/// Appends what the app has done of what it has to do for an install, and what it did wrong.
fn push_install(html: &mut String, install: &MarketplaceInstall) {
    push(
        html,
        format_args!(
            "<p><strong>{} partner sign-in, in the account {}</strong></p><ul>",
            if install.partner_sign_in { "With" } else { "Without" },
            install.hub_id,
        ),
    );
    let brought_state = (install.partner_sign_in, install.state.is_some(), "brought a state to returnUrl");
    for (counts, is_done, what) in [
        brought_state,
        (true, install.exchanged_code, "exchanged the code"),
        (true, install.came_back, "sent the browser to returnUrl"),
    ] {
        if counts {
            push(html, format_args!("<li>{}: {what}</li>", if is_done { "Done" } else { "Not yet" }));
        }
    }
    html.push_str("</ul>");
    if let Some(problem) = install.problem() {
        push(html, format_args!("<p><strong>Wrong:</strong> {}.</p>", escaped(problem)));
    }
}

/// Returns a page that says why nothing happened.
pub(super) fn error_page(message: &str) -> String {
    let html = format!(
        "<h1>This does not work</h1><p>{}</p>\
         <div class=\"buttons\"><a class=\"button\" href=\"/marketplace\">To the Marketplace page</a></div>",
        escaped(message),
    );
    document("Error", &html)
}
