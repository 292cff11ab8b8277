//! The consent page at work: shown for a checked request, answered once, from the page itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hs_oauth_core::{Scopes, Timestamp};
use http::header::{HOST, ORIGIN};
use http::{Method, Request, StatusCode};

use crate::answers::{self, Answer};
use crate::authorize::{Asked, Back, Refusal, Variant};
use crate::codes::Consent;
use crate::emulator::Emulator;
use crate::pages;

/// How long a page may lie open.
const TICKET_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The most pages that may lie open.
const MOST_TICKETS: usize = 1000;

/// The requests whose pages lie open. Whoever shows a ticket answers for the one request it was made for, once.
#[derive(Default)]
pub(crate) struct Tickets {
    open: BTreeMap<String, (Timestamp, Asked)>,
    by_age: VecDeque<String>,
}

impl Tickets {
    fn issue(&mut self, now: Timestamp, ticket: String, asked: Asked) {
        if self.by_age.len() >= MOST_TICKETS {
            let oldest = self.by_age.pop_front();
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        self.by_age.push_back(ticket.clone());
        self.open.insert(ticket, (now.plus(TICKET_LIFETIME), asked));
    }

    fn take(&mut self, now: Timestamp, ticket: &str) -> Option<Asked> {
        let (expires_at, asked) = self.open.remove(ticket)?;
        self.by_age.retain(|other| other != ticket);
        (now < expires_at).then_some(asked)
    }
}

/// The answer to a request to one of the pages.
pub(crate) fn answer(
    emulator: &mut Emulator,
    now: Timestamp,
    variant: Variant,
    request: &Request<Vec<u8>>,
) -> Answer {
    match *request.method() {
        Method::GET => show(emulator, now, variant, request),
        Method::POST => decide(emulator, now, request),
        ref method => answers::wrong_method(&mut emulator.minter, method, "GET, POST, OPTIONS"),
    }
}

fn show(emulator: &mut Emulator, now: Timestamp, variant: Variant, request: &Request<Vec<u8>>) -> Answer {
    let query = request.uri().query().unwrap_or("");
    let asked = match Asked::read(&emulator.settings, variant, query) {
        Ok(asked) => asked,
        Err(Refusal::Page(message)) => return error(StatusCode::BAD_REQUEST, &message),
        Err(Refusal::Redirect { back, error, description }) => {
            return refuse(StatusCode::FOUND, &back, error, description);
        }
    };
    let hubs = offered(emulator, asked.hub_id);
    let Some((first, _)) = hubs.first() else {
        return error(StatusCode::BAD_REQUEST, "There is no such account.");
    };
    if emulator.settings.auto_approve {
        let preferred = emulator.settings.hub_id;
        let hub_id = if hubs.iter().any(|(id, _)| *id == preferred) { preferred } else { *first };
        let all = asked.scopes.iter().chain(&asked.optional_scopes).cloned().collect();
        return connect(emulator, now, StatusCode::FOUND, asked, hub_id, all);
    }
    let ticket = emulator.minter.ticket();
    let hubs: Vec<_> = hubs.iter().map(|(id, domain)| (*id, domain.as_str())).collect();
    let html = pages::consent_page(&emulator.settings, &asked, &hubs, request.uri().path(), &ticket);
    emulator.tickets.issue(now, ticket, asked);
    answers::page(StatusCode::OK, html)
}

fn decide(emulator: &mut Emulator, now: Timestamp, request: &Request<Vec<u8>>) -> Answer {
    if is_cross_site(request) {
        return error(StatusCode::FORBIDDEN, "This answer did not come from the consent page.");
    }
    if !answers::has_body_of(request, "application/x-www-form-urlencoded") {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The answer is not a form.");
    }
    let form: Vec<_> = form_urlencoded::parse(request.body()).collect();
    let field = |name| form.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1);
    let Some(asked) = field("ticket").and_then(|ticket| emulator.tickets.take(now, ticket)) else {
        return error(
            StatusCode::BAD_REQUEST,
            "This page was answered already, or it lay open for too long.",
        );
    };
    match field("decision") {
        Some("connect") => {}
        Some("cancel") => {
            return refuse(StatusCode::SEE_OTHER, &asked.back, "access_denied", "the user said no");
        }
        _ => {
            return error(StatusCode::BAD_REQUEST, "The answer is neither Connect nor Cancel.");
        }
    }
    let hubs = offered(emulator, asked.hub_id);
    let chosen = match (field("hub_id"), hubs.as_slice()) {
        (None, [(only, _)]) => Some(*only),
        (hub_id, hubs) => (hubs.iter().map(|(id, _)| *id)).find(|id| hub_id == Some(id.to_string().as_str())),
    };
    let Some(hub_id) = chosen else {
        return error(StatusCode::BAD_REQUEST, "There is no such account.");
    };
    let ticked = |name: &str| (form.iter()).any(|pair| pair.0 == "optional_scope" && pair.1 == name);
    let optional = asked.optional_scopes.iter().filter(|scope| ticked(scope.as_str()));
    let granted = asked.scopes.iter().chain(optional).cloned().collect();
    connect(emulator, now, StatusCode::SEE_OTHER, asked, hub_id, granted)
}

/// The accounts a person may choose from.
fn offered(emulator: &Emulator, hub_id: Option<i64>) -> Vec<(i64, String)> {
    (emulator.accounts.hubs())
        .filter(|(id, hub, _)| !hub.deleted && hub_id.is_none_or(|hub_id| hub_id == *id))
        .map(|(id, hub, _)| (id, hub.domain.clone()))
        .collect()
}

fn connect(
    emulator: &mut Emulator,
    now: Timestamp,
    status: StatusCode,
    asked: Asked,
    hub_id: i64,
    scopes: Scopes,
) -> Answer {
    let consent =
        Consent { hub_id, scopes, redirect_uri: asked.back.redirect_uri.clone(), challenge: asked.challenge };
    let code = emulator.accounts.codes.issue(&mut emulator.minter, now, consent);
    back_to(status, &asked.back, &[("code", code.expose())])
}

fn refuse(status: StatusCode, back: &Back, error: &str, description: &str) -> Answer {
    back_to(status, back, &[("error", error), ("error_description", description)])
}

fn back_to(status: StatusCode, back: &Back, parameters: &[(&str, &str)]) -> Answer {
    answers::redirect(status, back.with(parameters))
        .unwrap_or_else(|| error(StatusCode::BAD_REQUEST, "The registered redirect URI is not a URI."))
}

fn error(status: StatusCode, message: &str) -> Answer {
    answers::page(status, pages::error_page(message))
}

/// Whether a browser says that another site made it send this. The page's own policy makes its `Origin` `null`.
fn is_cross_site(request: &Request<Vec<u8>>) -> bool {
    let header = |name| request.headers().get(name).map(|value| value.as_bytes());
    let site = header(http::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = header(ORIGIN).filter(|origin| *origin != b"null") else {
        return false;
    };
    let host = header(HOST).or(request.uri().authority().map(|host| host.as_str().as_bytes()));
    let named = [b"http://".as_slice(), b"https://"];
    !named.iter().any(|scheme| host.is_some_and(|host| origin.strip_prefix(*scheme) == Some(host)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac_sha256::Hash;
    use http::{Request, Response};

    use crate::testing::{Bench, CALLBACK, assert_refusal};

    const PATH: &str = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback";

    fn html(answer: &Response<Vec<u8>>) -> String {
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        assert!(!answer.headers().contains_key("location"));
        String::from_utf8(answer.body().clone()).unwrap()
    }

    fn location(answer: &Response<Vec<u8>>) -> &str {
        answer.headers()["location"].to_str().unwrap()
    }

    fn ticket(bench: &mut Bench, path: &str) -> String {
        let page = html(&bench.get(path));
        let (_, rest) = page.split_once("name=\"ticket\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    fn scopes(bench: &mut Bench, more: &str, form: &str) -> String {
        let ticket = ticket(bench, &format!("{PATH}{more}&state=s"));
        let answer = bench.post("/oauth/authorize", &format!("ticket={ticket}&{form}"));
        assert_eq!(answer.status(), 303);
        let (_, code) = location(&answer).split_once("?code=").unwrap();
        let code = code.strip_suffix("&state=s").unwrap();
        let form = format!(
            "grant_type=authorization_code&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
             &client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&code={code}\
             &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback"
        );
        let tokens = crate::testing::json(&bench.post("/oauth/2026-09/token", &form));
        format!("{} {}", tokens["hub_id"], tokens["scopes"])
    }

    #[test]
    fn the_page_says_who_asks_for_what_and_where_the_browser_goes() {
        let mut bench = Bench::with(|settings| settings.app_name = "Tom & <b>Jerry</b>".to_owned());
        let page = html(&bench.get(&format!(
            "{PATH}&scope=oauth%20crm.objects.contacts.read%20%3Cscript%3E&optional_scope=tickets"
        )));
        for shown in [
            "<html lang=\"en\">",
            "<title>Connect Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;</title>",
            "<h1>Connect Tom &amp; &lt;b&gt;Jerry&lt;/b&gt; to your account?</h1>",
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "62515",
            "demo.example.com",
            "installer@example.com",
            "See contacts<code>crm.objects.contacts.read</code>",
            "<code>&lt;script&gt;</code>",
            "name=\"optional_scope\" value=\"tickets\" checked",
            "<strong>localhost:3000</strong>",
            ">Connect</button>",
            ">Cancel</button>",
            "No real account is touched.",
        ] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }

    /// CSP Level 3: the one style sheet is allowed by its hash; scripts, frames and bases are not.
    #[test]
    fn every_page_forbids_scripts_frames_and_caches() {
        let mut bench = Bench::new();
        for path in [&format!("{PATH}&scope=oauth"), "/oauth/authorize", "/"] {
            let answer = bench.get(path);
            let policy = answer.headers()["content-security-policy"].to_str().unwrap();
            let page = html(&answer);
            let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
            let hash = STANDARD.encode(Hash::hash(style.as_bytes()));
            assert_eq!(
                policy,
                format!(
                    "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
                )
            );
            for (name, value) in [
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(answer.headers()[name], value);
            }
        }
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn connecting_grants_the_scopes_and_the_ticked_optional_ones() {
        let mut bench = Bench::new();
        let asked = "&scope=oauth&optional_scope=a%20b";
        for (ticks, granted) in [
            ("", r#"62515 ["oauth"]"#),
            ("&optional_scope=b", r#"62515 ["oauth","b"]"#),
            ("&optional_scope=a&optional_scope=b&optional_scope=c", r#"62515 ["oauth","a","b"]"#),
        ] {
            assert_eq!(scopes(&mut bench, asked, &format!("decision=connect{ticks}")), granted);
        }
    }

    #[test]
    fn of_several_accounts_one_is_chosen() {
        let mut bench = Bench::new();
        bench.emulator.add_hub(7, "seven.example");
        let page = html(&bench.get(&format!("{PATH}&scope=oauth")));
        assert!(page.contains("type=\"radio\" name=\"hub_id\" value=\"7\""), "{page}");
        assert_eq!(scopes(&mut bench, "&scope=oauth", "decision=connect&hub_id=7"), r#"7 ["oauth"]"#);

        for form in ["decision=connect", "decision=connect&hub_id=8", "decision=connect&hub_id=x"] {
            let ticket = ticket(&mut bench, &format!("{PATH}&scope=oauth"));
            let answer = bench.post("/oauth/authorize", &format!("ticket={ticket}&{form}"));
            assert_eq!(answer.status(), 400, "{form}");
            html(&answer);
        }
    }

    /// HubSpot's authorization page: `/oauth/{hub_id}/authorize`.
    #[test]
    fn the_account_in_the_path_is_the_only_one_offered() {
        let mut bench = Bench::new();
        bench.emulator.add_hub(7, "seven.example");
        bench.emulator.uninstall(7);
        let path =
            |hub_id: &str| format!("{}&scope=oauth", PATH.replace("/oauth/", &format!("/oauth/{hub_id}/")));
        let page = html(&bench.get(&path("7")));
        assert!(page.contains("seven.example") && !page.contains("demo.example.com"));
        assert!(page.contains("action=\"/oauth/7/authorize\""));
        bench.emulator.delete_hub(7);
        for gone in ["7", "8"] {
            let answer = bench.get(&path(gone));
            assert_eq!(answer.status(), 400);
            assert!(html(&answer).contains("no such account"));
        }
        bench.emulator.delete_hub(62515);
        assert_eq!(bench.get(&format!("{PATH}&scope=oauth")).status(), 400);
    }

    /// RFC 6749 §4.1.2.1.
    #[test]
    fn cancelling_tells_the_app_so() {
        let mut bench = Bench::new();
        let ticket = ticket(&mut bench, &format!("{PATH}&scope=oauth&state=a%20b"));
        let answer = bench.post("/oauth/authorize", &format!("ticket={ticket}&decision=cancel"));
        assert_eq!(
            location(&answer),
            format!("{CALLBACK}?error=access_denied&error_description=the%20user%20said%20no&state=a%20b")
        );
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }

    #[test]
    fn a_ticket_is_good_once_and_not_for_ever() {
        let mut bench = Bench::new();
        let form = |ticket: &str| format!("ticket={ticket}&decision=connect");
        let used = form(&ticket(&mut bench, &format!("{PATH}&scope=oauth")));
        assert_eq!(bench.post("/oauth/authorize", &used).status(), 303);
        let old = form(&ticket(&mut bench, &format!("{PATH}&scope=oauth")));
        bench.wait(30 * 60);
        for form in [used.as_str(), &old, "ticket=guessed&decision=connect", "decision=connect", ""] {
            let answer = bench.post("/oauth/authorize", form);
            assert_eq!(answer.status(), 400);
            // The first answer did connect the app.
            let page = html(&answer);
            assert!(
                !page.contains("Nothing was granted.") && !page.contains("cannot be connected<"),
                "{page}"
            );
        }
    }

    /// RFC 6749 §10.12: another site must not press Connect.
    #[test]
    fn a_post_from_another_site_is_refused_and_spends_nothing() {
        let mut bench = Bench::new();
        let ticket = ticket(&mut bench, &format!("{PATH}&scope=oauth"));
        let mut post = |headers: &[(&str, &str)]| {
            let mut request = Request::post("/oauth/authorize")
                .header("host", "127.0.0.1:4380")
                .header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let body = format!("ticket={ticket}&decision=connect").into_bytes();
            bench.send(request.body(body).unwrap()).status().as_u16()
        };
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://127.0.0.1:4380.evil.example")],
        ] {
            assert_eq!(post(headers), 403, "{headers:?}");
        }
        assert_eq!(post(&[("content-type", "text/plain")]), 303, "the first content type counts");
    }

    #[test]
    fn a_post_from_the_page_itself_is_accepted() {
        for headers in [
            &[("origin", "null"), ("sec-fetch-site", "same-origin")][..],
            &[("origin", "http://127.0.0.1:4380")],
            &[("origin", "https://127.0.0.1:4380")],
            &[],
        ] {
            let mut bench = Bench::new();
            let ticket = ticket(&mut bench, &format!("{PATH}&scope=oauth"));
            let mut request = Request::post("/oauth/authorize")
                .header("host", "127.0.0.1:4380")
                .header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let body = format!("ticket={ticket}&decision=connect").into_bytes();
            assert_eq!(bench.send(request.body(body).unwrap()).status(), 303, "{headers:?}");
        }
    }

    #[test]
    fn auto_approval_grants_all_at_once_unless_the_request_is_wrong() {
        let mut bench = Bench::with(|settings| settings.auto_approve = true);
        bench.emulator.add_hub(7, "seven.example");
        let answer = bench.get(&format!("{PATH}&scope=oauth&optional_scope=a&state=s"));
        assert_eq!(answer.status(), 302);
        assert!(location(&answer).starts_with(&format!("{CALLBACK}?code=")));
        let answer = bench.get(&format!("{PATH}&state=s"));
        assert_eq!(
            location(&answer),
            format!("{CALLBACK}?error=invalid_scope&error_description=scope%20is%20missing&state=s")
        );
        html(&bench.get("/oauth/authorize?client_id=nobody"));
    }

    #[test]
    fn the_page_takes_a_form_and_no_other_method() {
        let mut bench = Bench::new();
        let put = bench.send(Request::put("/oauth/authorize").body(Vec::new()).unwrap());
        assert_eq!(
            (put.status().as_u16(), &put.headers()["allow"]),
            (405, &"GET, POST, OPTIONS".parse().unwrap())
        );
        assert_refusal(&put);
        let post = bench.send(Request::post("/oauth/authorize").body(Vec::new()).unwrap());
        assert_eq!(post.status(), 415);
    }

    /// RFC 9110 §9.2.1: HEAD is safe.
    #[test]
    fn head_mints_no_code_and_opens_no_page() {
        for auto_approve in [true, false] {
            let mut bench = Bench::with(|settings| settings.auto_approve = auto_approve);
            let answer = bench.send(Request::head(format!("{PATH}&scope=oauth")).body(Vec::new()).unwrap());
            assert_eq!(answer.status(), 405);
            assert_eq!(answer.headers()["allow"], "GET, POST, OPTIONS");
            assert!(answer.body().is_empty() && !answer.headers().contains_key("location"));
            assert_eq!((bench.emulator.accounts.codes.known(), bench.emulator.tickets.open.len()), (0, 0));
        }
    }

    #[test]
    fn open_pages_are_bounded() {
        let mut bench = Bench::new();
        let first = ticket(&mut bench, &format!("{PATH}&scope=oauth"));
        for _ in 0..super::MOST_TICKETS {
            ticket(&mut bench, &format!("{PATH}&scope=oauth"));
        }
        let answer = bench.post("/oauth/authorize", &format!("ticket={first}&decision=connect"));
        assert_eq!(answer.status(), 400);
        assert_eq!(bench.emulator.tickets.open.len(), super::MOST_TICKETS);
        assert_eq!(bench.emulator.tickets.by_age.len(), super::MOST_TICKETS);
    }
}
