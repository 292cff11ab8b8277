//! The HTML of the consent page and of its error page. Everything shown is escaped.

use hs_oauth_core::{Scope, Scopes};

use super::authorization_request::AuthorizationRequest;
use super::offer::{MAX_OFFERED, Offer};
use super::scope_descriptions::{describe, object, sensitivity};
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
        "<h1>Connect <bdi>{app}</bdi> to your account?</h1>\
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
            "<section><h2>Afterwards</h2><p>Your browser goes to <strong>{0}</strong>. You can take the app out of the \
             account again at any time.</p></section>\
             <div class=\"buttons in-view\"><button name=\"decision\" value=\"connect\"{1}>Connect</button>\
             <button class=\"second\" name=\"decision\" value=\"cancel\">Cancel</button></div>{OTHER_OUTCOMES}</form>",
            escaped(host(&authorization.redirect_target.redirect_uri)),
            if offer.hubs.is_empty() { " disabled" } else { "" },
        ),
    );
    document(&format!("Connect {app}"), &html)
}

/// What else can come of a consent, and what the app has to cope with. Each is a decision of the form. It comes after Connect, which is what
/// the Enter key presses: the first button of the form.
const OTHER_OUTCOMES: &str = "<details><summary>Test another outcome</summary>\
    <p class=\"quiet\">HubSpot has no such buttons. Each sends your browser back to the app at once.</p><ul class=\"outcomes\">\
    <li><button class=\"second\" name=\"decision\" value=\"deny\">Deny</button> The app gets <code>error=access_denied</code></li>\
    <li><button class=\"second\" name=\"decision\" value=\"expired_code\">Expired code</button> \
    The exchange fails with <code>EXPIRED_AUTH_CODE</code></li>\
    <li><button class=\"second\" name=\"decision\" value=\"wrong_state\">Wrong state</button> \
    The app must not exchange the code</li>\
    <li><button class=\"second\" name=\"decision\" value=\"fewer_scopes\">Fewer scopes</button> \
    The account grants only the first scope</li></ul></details>";

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
                "<section><h2>Account</h2><dl><dt>Website</dt><dd><bdi>{}</bdi></dd><dt>Hub id</dt><dd>{hub_id}</dd>\
                 <dt>Signed in as</dt><dd><bdi>{user}</bdi></dd></dl>\
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

            (MAX_OFFERED, filter) if !filter.is_empty() => {
                push(html, format_args!("The first {MAX_OFFERED} that match.</p>"))
            }
            (shown, _) => push(html, format_args!("{shown} of {} accounts.</p>", offer.hub_count)),
        }
    }
    html.push_str("<ul>");
    for (hub_id, domain) in &offer.hubs {
        let checked = if offer.preselected == Some(*hub_id) { " checked" } else { "" };
        push(
            html,
            format_args!(
                "<li><label><input type=\"radio\" name=\"hub_id\" value=\"{hub_id}\"{checked} required>\
                 <span><bdi>{}</bdi><br><span class=\"quiet\">Hub id {hub_id}</span></span></label></li>",
                escaped(domain),
            ),
        );
    }
    push(html, format_args!("</ul><p class=\"quiet\">Signed in as <bdi>{user}</bdi></p></fieldset>"));
}

fn push_scopes(html: &mut String, app: &str, scopes: &Scopes, optional_scopes: &Scopes) {
    push(html, format_args!("<section><h2><bdi>{app}</bdi> will be able to</h2>"));
    for (object, scopes) in by_object(scopes) {
        push(html, format_args!("<h3>{}</h3><ul>", escaped(&object)));
        for scope in scopes {
            html.push_str("<li>");
            push_scope(html, scope);
            html.push_str("</li>");
        }
        html.push_str("</ul>");
    }
    html.push_str("</section>");
    if optional_scopes.is_empty() {
        return;
    }
    html.push_str(
        "<fieldset><legend>You decide whether it may also</legend>\
         <p class=\"quiet\">HubSpot decides this by subscription; here you choose.</p>",
    );
    for (object, scopes) in by_object(optional_scopes) {
        push(html, format_args!("<h3>{}</h3><ul>", escaped(&object)));
        for scope in scopes {
            push(
                html,
                format_args!(
                    "<li><label><input type=\"checkbox\" name=\"optional_scope\" value=\"{}\" checked><span>",
                    escaped(scope),
                ),
            );
            push_scope(html, scope);
            html.push_str("</span></label></li>");
        }
        html.push_str("</ul>");
    }
    html.push_str("</fieldset>");
}

/// Returns the scopes that are about the same object together, in the order in which the objects first come.
fn by_object(scopes: &Scopes) -> Vec<(String, Vec<&str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for scope in scopes.iter().map(Scope::as_str) {
        let object = object(scope);
        match groups.iter_mut().find(|(other, _)| *other == object) {
            Some((_, scopes)) => scopes.push(scope),
            None => groups.push((object, vec![scope])),
        }
    }
    groups
}

fn push_scope(html: &mut String, scope: &str) {
    html.push_str(&escaped(&describe(scope)));
    if let Some(mark) = sensitivity(scope) {
        push(html, format_args!(" <strong class=\"mark\">{mark}</strong>"));
    }
    push(html, format_args!("<code>{}</code>", escaped(scope)));
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
    fn scopes_of_an_object_are_shown_together_and_sensitive_ones_are_marked() {
        let scopes = "oauth crm.objects.contacts.read tickets crm.objects.contacts.highly_sensitive.read.v2"
            .parse()
            .unwrap();
        let mut html = String::new();
        push_scopes(&mut html, "App", &scopes, &"crm.objects.deals.sensitive.read".parse().unwrap());
        let objects: Vec<_> =
            html.split("<h3>").skip(1).map(|part| part.split('<').next().unwrap()).collect();
        assert_eq!(objects, ["Account", "Contacts", "Tickets", "Deals"]);
        let mark = "See highly sensitive data of contacts <strong class=\"mark\">Highly sensitive</strong>\
            <code>crm.objects.contacts.highly_sensitive.read.v2</code>";
        assert!(html.contains(mark), "{html}");
        assert!(html.contains("<strong class=\"mark\">Sensitive</strong>"), "{html}");
        assert!(html.contains("HubSpot decides this by subscription; here you choose."), "{html}");
    }

    #[test]
    fn what_is_shown_is_escaped() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        assert!(!error_page("<script>").contains("<script>"));
    }
}
