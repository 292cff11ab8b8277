//! The HTML of the consent page and of its error page. Everything shown is escaped.

use hs_oauth_core::Scopes;

use super::authorization_request::AuthorizationRequest;
use super::offer::{MAX_OFFERED, Offer};
use super::scope_descriptions::describe;
use crate::html::{document, escaped, push};
use crate::settings::Settings;

/// Returns the page on which the user consents. Its forms do not repeat the authorization request: `ticket` stands for it.
pub(crate) fn consent_page(
    settings: &Settings,
    authorization: &AuthorizationRequest,
    offer: &Offer<'_>,
    path: &str,
    ticket: &str,
) -> String {
    let name = settings.app(&authorization.client_id).map_or("", |app| app.name);
    let app = escaped(name);
    let mut html = format!(
        "<h1>Connect {app} to your account?</h1>\
         <p class=\"quiet\">Client id <code>{}</code></p>\
         {}<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"ticket\" value=\"{}\">",
        escaped(&authorization.client_id),
        if offer.needs_filter() { filter_form(path, ticket) } else { String::new() },
        escaped(path),
        escaped(ticket),
    );
    push_account(&mut html, settings, offer);
    push_scopes(&mut html, &app, &authorization.scopes, &authorization.optional_scopes);
    push(
        &mut html,
        format_args!(
            "<section><h2>Afterwards</h2><p>Your browser goes to <strong>{}</strong>. You can take the app out of the \
             account again at any time.</p></section>\
             <div class=\"buttons\"><button name=\"decision\" value=\"connect\"{}>Connect</button>\
             <button class=\"second\" name=\"decision\" value=\"cancel\">Cancel</button></div></form>",
            escaped(host(&authorization.redirect_target.redirect_uri)),
            if offer.hubs.is_empty() { " disabled" } else { "" },
        ),
    );
    document(&format!("Connect {app}"), &html)
}

/// Returns the form that looks for an account. Its field and its button are among the accounts, within the other form.
fn filter_form(path: &str, ticket: &str) -> String {
    format!(
        "<form id=\"filter\" action=\"{}\"><input type=\"hidden\" name=\"ticket\" value=\"{}\"></form>",
        escaped(path),
        escaped(ticket),
    )
}

pub(crate) fn push_account(html: &mut String, settings: &Settings, offer: &Offer<'_>) {
    let user = escaped(&settings.user.email);
    if let ([(hub_id, domain)], false) = (offer.hubs.as_slice(), offer.needs_filter()) {
        return push(
            html,
            format_args!(
                "<section><h2>Account</h2><dl><dt>Website</dt><dd>{}</dd><dt>Hub id</dt><dd>{hub_id}</dd>\
                 <dt>Signed in as</dt><dd>{user}</dd></dl>\
                 <input type=\"hidden\" name=\"hub_id\" value=\"{hub_id}\"></section>",
                escaped(domain),
            ),
        );
    }
    html.push_str("<fieldset><legend>Choose the account</legend>");
    if offer.needs_filter() {
        push(
            html,
            format_args!(
                "<p class=\"filter\"><input type=\"search\" form=\"filter\" name=\"account\" value=\"{}\" \
                 placeholder=\"Website or hub id\" aria-label=\"Website or hub id\">\
                 <button class=\"second\" form=\"filter\">Find</button></p><p class=\"quiet\">",
                escaped(offer.filter),
            ),
        );
        match (offer.hubs.len(), offer.filter) {
            (0, _) => html.push_str("No account matches.</p>"),
            (shown, "") => push(html, format_args!("The first {shown} of {} accounts.</p>", offer.hub_count)),
            (MAX_OFFERED, _) => push(html, format_args!("The first {MAX_OFFERED} that match.</p>")),
            (shown, _) => push(html, format_args!("{shown} of {} accounts.</p>", offer.hub_count)),
        }
    }
    html.push_str("<ul>");
    for (index, (hub_id, domain)) in offer.hubs.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        push(
            html,
            format_args!(
                "<li><label><input type=\"radio\" name=\"hub_id\" value=\"{hub_id}\"{checked} required>\
                 <span>{}<br><span class=\"quiet\">Hub id {hub_id}</span></span></label></li>",
                escaped(domain),
            ),
        );
    }
    push(html, format_args!("</ul><p class=\"quiet\">Signed in as {user}</p></fieldset>"));
}

fn push_scopes(html: &mut String, app: &str, scopes: &Scopes, optional_scopes: &Scopes) {
    push(html, format_args!("<section><h2>{app} will be able to</h2><ul>"));
    for scope in scopes {
        let name = scope.as_str();
        push(html, format_args!("<li>{}<code>{}</code></li>", escaped(&describe(name)), escaped(name)));
    }
    html.push_str("</ul></section>");
    if optional_scopes.is_empty() {
        return;
    }
    html.push_str("<fieldset><legend>You decide whether it may also</legend><ul>");
    for scope in optional_scopes {
        let name = escaped(scope.as_str());
        push(
            html,
            format_args!(
                "<li><label><input type=\"checkbox\" name=\"optional_scope\" value=\"{name}\" checked>\
                 <span>{}<code>{name}</code></span></label></li>",
                escaped(&describe(scope.as_str())),
            ),
        );
    }
    html.push_str("</ul></fieldset>");
}

/// Returns a page that says why the app cannot be connected. It has no link to the app, whose redirect URI may be
/// wrong.
pub(crate) fn error_page(message: &str) -> String {
    let html = format!(
        "<h1>The app cannot be connected this way</h1><p>{}</p>\
         <p class=\"quiet\">Nothing was granted this time. To connect the app, go back to it and start again; if you \
         develop it, check the address it sends the browser to.</p>",
        escaped(message),
    );
    document("Error", &html)
}

/// Returns the host and port that a browser connects to for this URI.
fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_shown_is_the_one_the_browser_goes_to() {
        assert_eq!(host("https://app.example/cb?x=//evil"), "app.example");
        assert_eq!(host("http://localhost:3000/cb"), "localhost:3000");
        assert_eq!(host("https://hubspot.com@evil.example/"), "evil.example");
        assert_eq!(host("https://app.example?x"), "app.example");
    }

    #[test]
    fn what_is_shown_is_escaped() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        assert!(!error_page("<script>").contains("<script>"));
    }
}
