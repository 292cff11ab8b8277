//! The emulator's own redirect URI, `/callback`. It stands for an app's where nothing listens yet: it shows the code, and the command that
//! exchanges it.

use http::{Method, Request, Response, StatusCode};

use crate::apps::RegisteredApp;
use crate::html::{document, escaped, push};
use crate::own_address::own_url;
use crate::responses;
use crate::settings::Settings;
use crate::state::State;

/// Returns the response to a request to it.
pub(crate) fn respond(state: &mut State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => responses::page(StatusCode::OK, page(state, request)),
        ref method => responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, OPTIONS"),
    }
}

fn page(state: &State, request: &Request<Vec<u8>>) -> String {
    let query = request.uri().query().unwrap_or("");
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|pair| pair.0 == name).map(|pair| pair.1.into_owned())
    };
    let mut html = "<h1>This is what the app gets</h1>\
        <p>The browser is back at the redirect URI. Here that is a page of the emulator, which stands for your app.</p><dl>"
        .to_owned();
    for name in ["code", "state", "error", "error_description"] {
        if let Some(value) = value(name) {
            push(&mut html, format_args!("<dt>{name}</dt><dd><code>{}</code></dd>", escaped(&value)));
        }
    }
    html.push_str("</dl>");
    let code = value("code");
    let issued = code.as_deref().and_then(|code| Some((code, state.grants.consent_of_code(code)?)));
    let app = issued.and_then(|(_, consent)| state.settings.app(&consent.client_id));
    match (issued, app, own_url(request)) {
        (Some((code, consent)), Some(app), Some(url)) => {
            push(
                &mut html,
                format_args!(
                    "<section><h2>Exchange the code</h2><p>It is valid once, for {} seconds.</p><pre><code>{}</code></pre>{}</section>",
                    state.settings.code_lifetime,
                    escaped(&command(&url, app, code, &consent.redirect_uri)),
                    match is_default_secret(app) {
                        true => "",
                        false => {
                            "<p class=\"quiet\">Set CLIENT_SECRET to the secret of the app before. It is in the line that was \
                             printed at the start.</p>"
                        }
                    },
                ),
            );
        }
        _ if code.is_some() => {
            html.push_str("<p>The emulator did not issue this code, or it has forgotten it.</p>");
        }
        _ => {}
    }
    html.push_str("<div class=\"buttons\"><a class=\"button\" href=\"/\">To the dashboard</a></div>");
    document("Callback", &html)
}

/// Returns whether everybody knows the secret of an app.
fn is_default_secret(app: RegisteredApp<'_>) -> bool {
    app.client_secret == Settings::new([0; 32]).client_secret
}

/// Returns the command that exchanges a code. It has no secret but the default one, which everybody knows.
fn command(url: &str, app: RegisteredApp<'_>, code: &str, redirect_uri: &str) -> String {
    let secret = match is_default_secret(app) {
        true => quoted(&format!("client_secret={}", app.client_secret)),
        false => "\"client_secret=$CLIENT_SECRET\"".to_owned(),
    };
    format!(
        "curl -s {url}/oauth/2026-09/token -d grant_type=authorization_code \\\n  --data-urlencode {} \\\n  --data-urlencode {secret} \\\n  \
         --data-urlencode {} \\\n  -d {}",
        quoted(&format!("client_id={}", app.client_id)),
        quoted(&format!("redirect_uri={redirect_uri}")),
        quoted(&format!("code={code}")),
    )
}

/// Returns text as one word of a shell (POSIX, "Quoting").
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/=@%+,".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use http::{Request, Response};

    use super::*;
    use crate::own_address::own_callback;
    use crate::testing::{Harness, json};

    const HOST_NAME: &str = "localhost:4380";

    fn get(harness: &mut Harness, path: &str) -> Response<Vec<u8>> {
        harness.send(Request::get(path).header(HOST, HOST_NAME).body(Vec::new()).unwrap())
    }

    fn text(response: &Response<Vec<u8>>) -> String {
        let text = String::from_utf8(response.body().clone()).unwrap();
        text.replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"")
    }

    /// Follows the dashboard's link to the consent page, presses Connect there, and returns the page that the browser ends on.
    fn connect(harness: &mut Harness) -> (Response<Vec<u8>>, String) {
        let page = text(&get(harness, "/"));
        let (before, _) = page.split_once("\">See the consent page</a>").unwrap();
        let path = before.rsplit_once("href=\"").unwrap().1.to_owned();
        let page = text(&get(harness, &path));
        let ticket = page.split_once("name=\"ticket\" value=\"").unwrap().1.split_once('"').unwrap().0;
        let post = Request::post("/oauth/authorize")
            .header(HOST, HOST_NAME)
            .header("content-type", "application/x-www-form-urlencoded");
        let form = format!("ticket={ticket}&decision=connect&hub_id=62515");
        let response = harness.send(post.body(form.into_bytes()).unwrap());
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let path = location.strip_prefix("http://localhost:4380").unwrap();
        assert!(path.starts_with("/callback?code=") && path.ends_with("&state=from-the-dashboard"), "{path}");
        (get(harness, path), location)
    }

    #[test]
    fn the_dashboards_link_ends_on_a_page_with_the_code_and_a_command_that_exchanges_it() {
        for strict in [true, false] {
            let mut harness = Harness::configured(|settings| settings.strict_redirects = strict);
            let (page, location) = connect(&mut harness);
            let code = location.split_once("code=").unwrap().1.split_once('&').unwrap().0;
            let page = text(&page);
            assert!(page.contains(&format!("<dt>code</dt><dd><code>{code}</code></dd>")), "{page}");
            let command = page.split_once("<pre><code>").unwrap().1.split_once("</code>").unwrap().0;
            assert!(command.starts_with("curl -s http://localhost:4380/oauth/2026-09/token"), "{command}");
            // What curl would send.
            let mut form = form_urlencoded::Serializer::new(String::new());
            for word in command.split_whitespace().filter(|word| word.contains('=')) {
                let (name, value) = word.split_once('=').unwrap();
                form.append_pair(name, value);
            }
            let tokens = json(&harness.post("/oauth/2026-09/token", &form.finish()));
            assert_eq!(tokens["hub_id"], 62515, "{command} {tokens}");
        }
    }

    #[test]
    fn the_command_has_no_secret_but_the_default_one() {
        let mut harness =
            Harness::configured(|settings| settings.client_secret = "a secret of my own".to_owned());
        let page = text(&connect(&mut harness).0);
        assert!(page.contains("\"client_secret=$CLIENT_SECRET\"") && !page.contains("of my own"), "{page}");
    }

    #[test]
    fn a_refusal_and_an_unknown_code_are_shown_escaped_and_without_a_command() {
        let mut harness = Harness::new();
        for (query, shown) in [
            (
                "error=access_denied&error_description=%3Cb%3E",
                "<dt>error</dt><dd><code>access_denied</code></dd>",
            ),
            ("code=%3Cscript%3E", "did not issue this code"),
            ("", "This is what the app gets"),
        ] {
            let response = get(&mut harness, &format!("/callback?{query}"));
            let page = String::from_utf8(response.into_body()).unwrap();
            assert!(page.contains(shown), "{page}");
            assert!(!page.contains("<b>") && !page.contains("<script") && !page.contains("curl"), "{page}");
        }
        assert_eq!(harness.emulator.journal().len(), 0);
    }

    /// RFC 6749 §3.1.2.4: the page of another host is not this one.
    #[test]
    fn only_the_host_that_the_browser_uses_is_accepted() {
        let mut harness = Harness::new();
        let query = |uri: &str| {
            form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890")
                .append_pair("redirect_uri", uri)
                .append_pair("scope", "oauth")
                .finish()
        };
        for uri in [
            "http://evil.example/callback",
            "https://localhost:4380/callback",
            "http://localhost:4380/callback/",
            "http://localhost:4380/callback?x",
            "http://localhost/callback",
        ] {
            assert_eq!(get(&mut harness, &format!("/oauth/authorize?{}", query(uri))).status(), 400, "{uri}");
        }
        let path = format!("/oauth/authorize?{}", query("http://localhost:4380/callback"));
        assert_eq!(get(&mut harness, &path).status(), 200);
        assert_eq!(harness.get(&path).status(), 400, "a request that does not say for which host it is");
        let request = Request::get("/").header(HOST, "evil\"><b>").body(Vec::new()).unwrap();
        assert_eq!(own_callback(&request), None);
    }

    #[test]
    fn a_word_is_quoted_for_a_shell() {
        for (text, word) in [("a=b", "a=b"), ("a b", "'a b'"), ("$(x)", "'$(x)'"), ("it's", "'it'\\''s'")] {
            assert_eq!(quoted(text), word);
        }
    }
}
