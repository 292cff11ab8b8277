//! The pages: plain HTML with one style sheet and no script. Everything shown is escaped.

use std::borrow::Cow;
use std::fmt::Write;

use hs_oauth_core::Scopes;

use crate::authorize::Asked;
use crate::scope_words::words;
use crate::settings::Settings;

pub(crate) const STYLE: &str = include_str!("style.css");

/// The page on which a person consents. `hubs` are the accounts to choose from, number and domain; `ticket` stands for
/// what was asked, which the form does not repeat.
pub(crate) fn consent_page(
    settings: &Settings,
    asked: &Asked,
    hubs: &[(i64, &str)],
    path: &str,
    ticket: &str,
) -> String {
    let app = escaped(&settings.app_name);
    let mut html = format!(
        "<h1>Connect {app} to your account?</h1>\
         <p class=\"quiet\">Client id <code>{}</code></p>\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"ticket\" value=\"{}\">",
        escaped(&settings.client_id),
        escaped(path),
        escaped(ticket),
    );
    push_account(&mut html, settings, hubs);
    push_scopes(&mut html, &app, &asked.scopes, &asked.optional_scopes);
    push(
        &mut html,
        format_args!(
            "<section><h2>Afterwards</h2><p>Your browser goes to <strong>{}</strong>. You can take the app out of the \
             account again at any time.</p></section>\
             <div class=\"buttons\"><button name=\"decision\" value=\"connect\">Connect</button>\
             <button class=\"second\" name=\"decision\" value=\"cancel\">Cancel</button></div></form>",
            escaped(host(&asked.back.redirect_uri)),
        ),
    );
    document(&format!("Connect {app}"), &html)
}

fn push_account(html: &mut String, settings: &Settings, hubs: &[(i64, &str)]) {
    let user = escaped(&settings.user.email);
    if let [(hub_id, domain)] = hubs {
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
    html.push_str("<fieldset><legend>Choose the account</legend><ul>");
    for (index, (hub_id, domain)) in hubs.iter().enumerate() {
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
        push(html, format_args!("<li>{}<code>{}</code></li>", escaped(&words(name)), escaped(name)));
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
                escaped(&words(scope.as_str())),
            ),
        );
    }
    html.push_str("</ul></fieldset>");
}

/// A page that says why there is nothing to consent to. Nothing on it leads to the app.
pub(crate) fn error_page(message: &str) -> String {
    let html = format!(
        "<h1>The app cannot be connected this way</h1><p>{}</p>\
         <p class=\"quiet\">Nothing was granted this time. To connect the app, go back to it and start again; if you \
         develop it, check the address it sends the browser to.</p>",
        escaped(message),
    );
    document("Error", &html)
}

/// The page at `/`.
pub(crate) fn home_page(settings: &Settings, versions: &[&str]) -> String {
    let mut html = "<h1>HubSpot OAuth emulator</h1>\
        <p>It answers as HubSpot's documents say, for one app and the accounts you make up. Nothing here is real.</p>\
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
        "<li>An API that needs a token<code>/account-info/v3/details</code></li>\
         <li><a href=\"/_emulator/\">Control: faults, clock, accounts, rotation, removed versions, journal</a></li></ul></section>",
    );
    if let Some(uri) = settings.redirect_uris.first() {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", uri)
            .append_pair("scope", "oauth crm.objects.contacts.read")
            .append_pair("optional_scope", "crm.objects.deals.read")
            .append_pair("state", "from-the-front-page")
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

fn document(title: &str, inside: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><main><p class=\"note\">HubSpot OAuth emulator, for developers. No real account is touched.</p>\
         <div class=\"inside\">{inside}</div></main></body></html>"
    )
}

/// Where a browser lands, port and all.
fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = html.write_fmt(text);
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char => safe.push(char),
        }
    }
    Cow::Owned(safe)
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
    fn the_front_page_claims_no_more_than_is_known() {
        let page = home_page(&Settings::new([0; 32]), &["v3"]);
        assert!(page.contains("as HubSpot's documents say"), "{page}");
    }

    #[test]
    fn what_is_shown_is_escaped() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        assert!(!error_page("<script>").contains("<script>"));
    }
}
