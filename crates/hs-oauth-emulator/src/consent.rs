//! The consent page. It is shown for a valid authorization request, and its form can be submitted once, from the page
//! only.

pub(crate) mod authorization_request;
pub(crate) mod offer;
pub(crate) mod page;
pub(crate) mod redirect_target;
mod scope_descriptions;
pub(crate) mod tickets;

use std::time::Duration;

use authorization_request::{AuthorizationError, AuthorizationPath, AuthorizationRequest};
use hs_oauth_core::{Scope, Scopes, Timestamp};
use http::{Method, Request, Response, StatusCode};
use offer::Offer;
use redirect_target::RedirectTarget;

use crate::content_type::has_content_type;
use crate::cross_site::is_cross_site;
use crate::grants::Consent;
use crate::refusal::Refusal;
use crate::responses;
use crate::state::State;

/// Returns the response to a request to one of the authorization paths.
pub(crate) fn respond(
    state: &mut State,
    now: Timestamp,
    path: AuthorizationPath,
    request: &Request<Vec<u8>>,
) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => show_page(state, now, path, request),
        Method::POST => submit_decision(state, now, request),
        ref method => responses::method_not_allowed(&mut state.token_generator, method, "GET, POST, OPTIONS"),
    }
}

fn show_page(
    state: &mut State,
    now: Timestamp,
    path: AuthorizationPath,
    request: &Request<Vec<u8>>,
) -> Response<Vec<u8>> {
    let query = request.uri().query().unwrap_or("");
    if let Some((ticket, filter)) = filter_form(query) {
        let Some(authorization) = state.tickets.get(now, &ticket) else {
            return error_page(StatusCode::BAD_REQUEST, CLOSED);
        };
        let offer = Offer::new(&state.grants, state.settings.hub_id, authorization.hub_id, &filter);
        let html = page::consent_page(&state.settings, authorization, &offer, request.uri().path(), &ticket);
        return responses::page(StatusCode::OK, html);
    }
    let authorization = match AuthorizationRequest::from_request(&state.settings, path, request) {
        Ok(authorization) => authorization,
        Err(AuthorizationError::Page(message)) => return error_page(StatusCode::BAD_REQUEST, &message),
        Err(AuthorizationError::Scopes(mismatch)) => {
            return Refusal::ScopeMismatch(mismatch).to_response(state);
        }
        Err(AuthorizationError::Redirect { target, error, description }) => {
            return redirect_error(StatusCode::FOUND, &target, error, description);
        }
    };
    if let Err(refusal) = Refusal::check_user(state) {
        return refusal.to_response(state);
    }
    let offer = Offer::new(&state.grants, state.settings.hub_id, authorization.hub_id, "");
    let Some((first, _)) = offer.hubs.first() else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_ACCOUNT);
    };
    // Where there is only one account to choose from, it is known before the person presses Connect whether it can install the app.
    if let (1, Err(refusal)) = (offer.hub_count, Refusal::check(state, *first, &authorization.scopes)) {
        return refusal.to_response(state);
    }
    if state.settings.auto_approve {
        let preferred = state.settings.hub_id;
        let can_choose = authorization.hub_id.is_none() && state.grants.hub(preferred).is_some();
        let hub_id = if can_choose { preferred } else { *first };
        let optional = authorization.optional_scopes.clone();
        return issue_code(
            state,
            now,
            StatusCode::FOUND,
            authorization,
            hub_id,
            optional,
            Outcome::Connected,
        );
    }
    let ticket = state.token_generator.ticket();
    let html = page::consent_page(&state.settings, &authorization, &offer, request.uri().path(), &ticket);
    state.tickets.insert(now, ticket, authorization);
    responses::page(StatusCode::OK, html)
}

pub(crate) const NO_SUCH_ACCOUNT: &str = "There is no such account.";
const CLOSED: &str = "This page was submitted already, or it was open for too long.";

/// Returns the ticket and the filter of the form that looks for an account. The page that it is on is shown again.
fn filter_form(query: &str) -> Option<(String, String)> {
    let value = |name| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|pair| pair.0 == name).map(|pair| pair.1.into_owned())
    };
    let ticket = value("ticket").filter(|_| value("client_id").is_none())?;
    Some((ticket, value("account").unwrap_or_default()))
}

fn submit_decision(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    if is_cross_site(request) {
        return error_page(StatusCode::FORBIDDEN, "This form did not come from the consent page.");
    }
    if !has_content_type(request, "application/x-www-form-urlencoded") {
        return error_page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request is not a form.");
    }
    let form: Vec<_> = form_urlencoded::parse(request.body()).collect();
    let field = |name| form.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1);
    let Some(authorization) = field("ticket").and_then(|ticket| state.tickets.take(now, ticket)) else {
        return error_page(StatusCode::BAD_REQUEST, CLOSED);
    };
    let outcome = match field("decision") {
        Some("connect") => Outcome::Connected,
        Some("expired_code") => Outcome::ExpiredCode,
        Some("wrong_state") => Outcome::WrongState,
        Some("fewer_scopes") => Outcome::FewerScopes,
        Some("cancel" | "deny") => {
            let target = &authorization.redirect_target;
            return redirect_error(StatusCode::SEE_OTHER, target, "access_denied", "the user said no");
        }
        _ => {
            return error_page(StatusCode::BAD_REQUEST, "The form says neither Connect nor Cancel.");
        }
    };
    let Some(hub_id) = chosen_hub(state, authorization.hub_id, field("hub_id")) else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_ACCOUNT);
    };
    let is_checked =
        |scope: &&Scope| (form.iter()).any(|pair| pair.0 == "optional_scope" && pair.1 == scope.as_str());
    let optional = authorization.optional_scopes.iter().filter(is_checked).cloned().collect();
    issue_code(state, now, StatusCode::SEE_OTHER, authorization, hub_id, optional, outcome)
}

/// Returns the account that the form chooses. It need not name the account if there is only one to choose from: `only`, which
/// the path names, or the only one that exists.
pub(crate) fn chosen_hub(state: &State, only: Option<i64>, field: Option<&str>) -> Option<i64> {
    let mut hubs = state.grants.hubs().map(|(id, _)| id);
    let hub_id = match (only, field) {
        (Some(only), None) => only,
        (None, None) => hubs.next().filter(|_| hubs.next().is_none())?,
        (only, Some(text)) => {
            let is_allowed = |id: &i64| id.to_string() == text && only.is_none_or(|only| only == *id);
            text.parse().ok().filter(is_allowed)?
        }
    };
    state.grants.hub(hub_id).map(|_| hub_id)
}

/// What comes of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Connected,
    /// The code is expired already.
    ExpiredCode,
    /// The app gets another state than it sent.
    WrongState,
    /// Only the first scope is granted.
    FewerScopes,
}

/// Issues a code for what the user consented to, and redirects the browser to the app with it. Of the optional scopes, those that the
/// account cannot grant are left out.
fn issue_code(
    state: &mut State,
    now: Timestamp,
    status: StatusCode,
    authorization: AuthorizationRequest,
    hub_id: i64,
    optional_scopes: Scopes,
    outcome: Outcome,
) -> Response<Vec<u8>> {
    if let Err(refusal) = Refusal::check(state, hub_id, &authorization.scopes) {
        return refusal.to_response(state);
    }
    let AuthorizationRequest { client_id, redirect_target: mut target, code_challenge, mut scopes, .. } =
        authorization;
    scopes.extend(state.grants.split_by_account(hub_id, &optional_scopes).0);
    let mut issued_at = now;
    match outcome {
        Outcome::Connected => {}
        Outcome::ExpiredCode => {
            issued_at = now.minus(Duration::from_secs(state.settings.code_lifetime.into()))
        }
        Outcome::WrongState => target = target.with_wrong_state(),
        Outcome::FewerScopes => scopes = scopes.into_iter().take(1).collect(),
    }
    let consent =
        Consent { client_id, hub_id, scopes, redirect_uri: target.redirect_uri.clone(), code_challenge };
    let code = state.grants.issue_code(&mut state.token_generator, issued_at, consent);
    redirect(status, &target, &[("code", code.expose())])
}

fn redirect_error(
    status: StatusCode,
    target: &RedirectTarget,
    error: &str,
    description: &str,
) -> Response<Vec<u8>> {
    let response = redirect(status, target, &[("error", error), ("error_description", description)]);
    responses::with_reason(response, format!("{error}: {description}"))
}

fn redirect(status: StatusCode, target: &RedirectTarget, parameters: &[(&str, &str)]) -> Response<Vec<u8>> {
    responses::redirect(status, target.to_url(parameters))
        .unwrap_or_else(|| error_page(StatusCode::BAD_REQUEST, "The registered redirect URI is not a URI."))
}

fn error_page(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    responses::with_reason(responses::page(status, page::error_page(message)), message)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac_sha256::Hash;
    use http::{Method, Request, Response};

    use crate::grants::visits;
    use crate::testing::{CALLBACK, Harness, assert_error_response, ticket};

    const PATH: &str = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback";

    fn html(response: &Response<Vec<u8>>) -> String {
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        assert!(!response.headers().contains_key("location"));
        String::from_utf8(response.body().clone()).unwrap()
    }

    fn location(response: &Response<Vec<u8>>) -> &str {
        response.headers()["location"].to_str().unwrap()
    }

    fn granted(harness: &mut Harness, more: &str, form: &str) -> String {
        let ticket = ticket(harness, &format!("{PATH}{more}&state=s"));
        let response = harness.post("/oauth/authorize", &format!("ticket={ticket}&{form}"));
        assert_eq!(response.status(), 303);
        let (_, code) = location(&response).split_once("?code=").unwrap();
        let code = code.strip_suffix("&state=s").unwrap();
        let form = format!(
            "grant_type=authorization_code&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
             &client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&code={code}\
             &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback"
        );
        let tokens = crate::testing::json(&harness.post("/oauth/2026-09/token", &form));
        format!("{} {}", tokens["hub_id"], tokens["scopes"])
    }

    #[test]
    fn the_page_names_the_app_the_account_the_scopes_and_the_redirect_host() {
        let mut harness = Harness::configured(|settings| settings.app_name = "Tom & <b>Jerry</b>".to_owned());
        let page = html(&harness.get(&format!(
            "{PATH}&scope=oauth%20crm.objects.contacts.read%20%3Cscript%3E&optional_scope=tickets"
        )));
        for shown in [
            "<html lang=\"en\">",
            "<title>Connect Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;</title>",
            "<h1>Connect <bdi>Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;</bdi> to your account?</h1>",
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

    /// CSP Level 3: the style sheet is allowed by its hash. Scripts, frames and `base` elements are forbidden.
    #[test]
    fn every_page_forbids_scripts_frames_and_caches() {
        let mut harness = Harness::new();
        for path in [&format!("{PATH}&scope=oauth"), "/oauth/authorize", "/callback?code=x"] {
            let response = harness.get(path);
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            let page = html(&response);
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
                assert_eq!(response.headers()[name], value);
            }
        }
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn connecting_grants_the_required_scopes_and_the_checked_optional_scopes() {
        let mut harness = Harness::new();
        let query = "&scope=oauth&optional_scope=a%20b";
        for (checked, expected) in [
            ("", r#"62515 ["oauth"]"#),
            ("&optional_scope=b", r#"62515 ["oauth","b"]"#),
            ("&optional_scope=a&optional_scope=b&optional_scope=c", r#"62515 ["oauth","a","b"]"#),
        ] {
            assert_eq!(granted(&mut harness, query, &format!("decision=connect{checked}")), expected);
        }
    }

    #[test]
    fn the_user_chooses_one_of_several_accounts() {
        let mut harness = Harness::new();
        harness.emulator.add_hub(7, "seven.example");
        let page = html(&harness.get(&format!("{PATH}&scope=oauth")));
        assert!(page.contains("type=\"radio\" name=\"hub_id\" value=\"7\" required"), "{page}");
        // The account of the settings.
        assert!(page.contains("name=\"hub_id\" value=\"62515\" checked required"), "{page}");
        assert_eq!(granted(&mut harness, "&scope=oauth", "decision=connect&hub_id=7"), r#"7 ["oauth"]"#);

        for form in ["decision=connect", "decision=connect&hub_id=8", "decision=connect&hub_id=x"] {
            let ticket = ticket(&mut harness, &format!("{PATH}&scope=oauth"));
            let response = harness.post("/oauth/authorize", &format!("ticket={ticket}&{form}"));
            assert_eq!(response.status(), 400, "{form}");
            html(&response);
        }
    }

    /// HubSpot's authorization page: `/oauth/{hub_id}/authorize`.
    #[test]
    fn the_account_in_the_path_is_the_only_one_offered() {
        let mut harness = Harness::new();
        harness.emulator.add_hub(7, "seven.example");
        harness.emulator.uninstall(7);
        let path =
            |hub_id: &str| format!("{}&scope=oauth", PATH.replace("/oauth/", &format!("/oauth/{hub_id}/")));
        let page = html(&harness.get(&path("7")));
        assert!(page.contains("seven.example") && !page.contains("demo.example.com"));
        assert!(page.contains("action=\"/oauth/7/authorize\""));
        harness.emulator.delete_hub(7);
        for gone in ["7", "8"] {
            let response = harness.get(&path(gone));
            assert_eq!(response.status(), 400);
            assert!(html(&response).contains("no such account"));
        }
        harness.emulator.delete_hub(62515);
        assert_eq!(harness.get(&format!("{PATH}&scope=oauth")).status(), 400);
    }

    /// RFC 6749 §4.1.2.1.
    #[test]
    fn cancelling_redirects_to_the_app_with_access_denied() {
        let mut harness = Harness::new();
        let ticket = ticket(&mut harness, &format!("{PATH}&scope=oauth&state=a%20b"));
        let response = harness.post("/oauth/authorize", &format!("ticket={ticket}&decision=cancel"));
        assert_eq!(
            location(&response),
            format!("{CALLBACK}?error=access_denied&error_description=the%20user%20said%20no&state=a%20b")
        );
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[test]
    fn a_ticket_is_valid_once_and_expires() {
        let mut harness = Harness::new();
        let form = |ticket: &str| format!("ticket={ticket}&decision=connect");
        let used = form(&ticket(&mut harness, &format!("{PATH}&scope=oauth")));
        assert_eq!(harness.post("/oauth/authorize", &used).status(), 303);
        let old = form(&ticket(&mut harness, &format!("{PATH}&scope=oauth")));
        harness.wait(30 * 60);
        for form in [used.as_str(), &old, "ticket=guessed&decision=connect", "decision=connect", ""] {
            let response = harness.post("/oauth/authorize", form);
            assert_eq!(response.status(), 400);
            // The page may not say that nothing was granted: the first submission did connect the app.
            let page = html(&response);
            assert!(
                !page.contains("Nothing was granted.") && !page.contains("cannot be connected<"),
                "{page}"
            );
        }
    }

    /// RFC 6749 §10.12: another site must not be able to press Connect.
    #[test]
    fn a_post_from_another_site_is_refused_and_its_ticket_stays_valid() {
        let mut harness = Harness::new();
        let ticket = ticket(&mut harness, &format!("{PATH}&scope=oauth"));
        let mut post = |headers: &[(&str, &str)]| {
            let mut request = Request::post("/oauth/authorize")
                .header("host", "127.0.0.1:4380")
                .header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let body = format!("ticket={ticket}&decision=connect").into_bytes();
            harness.send(request.body(body).unwrap()).status().as_u16()
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
            let mut harness = Harness::new();
            let ticket = ticket(&mut harness, &format!("{PATH}&scope=oauth"));
            let mut request = Request::post("/oauth/authorize")
                .header("host", "127.0.0.1:4380")
                .header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let body = format!("ticket={ticket}&decision=connect").into_bytes();
            assert_eq!(harness.send(request.body(body).unwrap()).status(), 303, "{headers:?}");
        }
    }

    #[test]
    fn auto_approval_grants_everything_at_once_unless_the_request_is_invalid() {
        let mut harness = Harness::configured(|settings| settings.auto_approve = true);
        harness.emulator.add_hub(7, "seven.example");
        let response = harness.get(&format!("{PATH}&scope=oauth&optional_scope=a&state=s"));
        assert_eq!(response.status(), 302);
        assert!(location(&response).starts_with(&format!("{CALLBACK}?code=")));
        let response = harness.get(&format!("{PATH}&state=s"));
        assert_eq!(
            location(&response),
            format!("{CALLBACK}?error=invalid_scope&error_description=scope%20is%20missing&state=s")
        );
        html(&harness.get("/oauth/authorize?client_id=nobody"));
    }

    /// Connects the app to an account of its own for each number, on the page where the user chooses the account.
    fn connect_hubs(harness: &mut Harness, hub_ids: std::ops::RangeInclusive<i64>) {
        for hub_id in hub_ids {
            let body = format!("{{\"hub_id\":{hub_id}}}");
            assert_eq!(harness.control(Method::POST, "/hubs", &body).0, 201);
            let connected = granted(harness, "&scope=oauth", &format!("decision=connect&hub_id={hub_id}"));
            assert_eq!(connected, format!("{hub_id} [\"oauth\"]"));
        }
    }

    #[test]
    fn a_consent_costs_the_same_with_ten_accounts_and_with_ten_thousand() {
        let mut harness = Harness::new();
        connect_hubs(&mut harness, 1..=10);
        let with_ten = visits::during(|| connect_hubs(&mut harness, 11..=11));
        let page = |harness: &mut Harness| html(&harness.get(&format!("{PATH}&scope=oauth"))).len();
        let page_with_ten = page(&mut harness);
        connect_hubs(&mut harness, 12..=10_000);
        let with_ten_thousand = visits::during(|| connect_hubs(&mut harness, 10_001..=10_001));
        assert_eq!((with_ten, with_ten_thousand), (10, 10));
        assert_eq!(page(&mut harness), page_with_ten + "10002".len() - "12".len());

        // Accounts that were deleted are not in the way, nor is one that comes back.
        for hub_id in 1..=9_000 {
            harness.emulator.delete_hub(hub_id);
        }
        let cost = visits::during(|| connect_hubs(&mut harness, 1..=1));
        assert_eq!(cost, 10);
        let path = PATH.replace("/oauth/", "/oauth/9500/");
        assert_eq!(visits::during(|| _ = harness.get(&format!("{path}&scope=oauth"))), 0);
        harness.emulator.uninstall(9_500);
        assert_eq!(harness.control(Method::GET, "/hubs/9500", "").1["installs"], 0);
        assert_eq!(harness.control(Method::GET, "/hubs/9501", "").1["installs"], 1);
        let auto = || {
            let mut harness = Harness::configured(|settings| settings.auto_approve = true);
            (2..100).for_each(|hub_id| assert!(harness.emulator.add_hub(hub_id, "x.example")));
            _ = harness.code("oauth");
        };
        assert_eq!(visits::during(auto), 10);
    }

    /// RFC 6749 §4.1.2, §4.1.2.1 and §10.12: what an app has to cope with.
    #[test]
    fn the_page_offers_outcomes_that_an_app_has_to_cope_with() {
        let mut harness = Harness::new();
        let query = "&scope=oauth%20tickets&optional_scope=files&state=s";
        let decide = |harness: &mut Harness, decision: &str| {
            let ticket = ticket(harness, &format!("{PATH}{query}"));
            let form = format!("ticket={ticket}&decision={decision}&optional_scope=files");
            location(&harness.post("/oauth/authorize", &form)).to_owned()
        };
        // HTML standard, "Implicit submission": the Enter key presses the first button.
        let page = html(&harness.get(&format!("{PATH}{query}")));
        assert_eq!(page.find("name=\"decision\""), page.find("name=\"decision\" value=\"connect\""));
        let denied = decide(&mut harness, "deny");
        assert!(denied.contains("error=access_denied") && denied.ends_with("&state=s"), "{denied}");
        assert!(decide(&mut harness, "wrong_state").ends_with("&state=s-wrong"));
        for (decision, expected) in [("expired_code", "EXPIRED_AUTH_CODE"), ("fewer_scopes", "[\"oauth\"]")] {
            let callback = decide(&mut harness, decision);
            let code = callback.split_once("?code=").unwrap().1.strip_suffix("&state=s").unwrap();
            let form = format!(
                "grant_type=authorization_code&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
                 &client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&code={code}\
                 &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback"
            );
            let response = harness.post("/oauth/2026-09/token", &form);
            assert!(String::from_utf8_lossy(response.body()).contains(expected), "{response:?}");
        }
    }

    #[test]
    fn the_account_of_the_settings_is_preselected_even_behind_the_first_ten() {
        let mut harness = Harness::new();
        (1..=20)
            .for_each(|hub_id| assert!(harness.emulator.add_hub(hub_id, format!("shop-{hub_id}.example"))));
        let path = format!("{PATH}&scope=oauth");
        let page = html(&harness.get(&path));
        assert_eq!(page.matches("type=\"radio\" name=\"hub_id\"").count(), 10);
        assert!(page.contains("value=\"1\" required") && page.contains("value=\"62515\" checked"), "{page}");
        harness.emulator.delete_hub(62515);
        let page = html(&harness.get(&path));
        assert!(page.contains("value=\"1\" checked") && page.contains("value=\"10\" required"), "{page}");
    }

    #[test]
    fn a_page_with_more_than_ten_accounts_has_a_filter() {
        let mut harness = Harness::new();
        for hub_id in 1..=9 {
            harness.emulator.add_hub(hub_id, format!("shop-{hub_id}.example"));
        }
        let shown = |page: &str| page.matches("type=\"radio\" name=\"hub_id\"").count();
        let path = format!("{PATH}&scope=oauth&state=%7Ea%2Bb&optional_scope=tickets");
        let page = html(&harness.get(&path));
        assert_eq!((shown(&page), page.contains("name=\"account\"")), (10, false));

        harness.emulator.add_hub(70, "<Seventy>.example");
        harness.emulator.add_hub(700_000, "last.example");
        let page = html(&harness.get(&path));
        assert_eq!(shown(&page), 10);
        assert!(page.contains(">10 of 12 accounts.") && !page.contains("last.example"), "{page}");
        let (_, rest) = page.split_once("name=\"ticket\" value=\"").unwrap();
        let ticket = rest.split_once('"').unwrap().0.to_owned();
        let mut filtered = |account: &str| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("ticket", &ticket)
                .append_pair("account", account)
                .finish();
            html(&harness.get(&format!("/oauth/authorize?{query}")))
        };
        for (filter, count, domain) in [
            ("last", 1, "last.example"),
            (" 700000 ", 1, "last.example"),
            // The id of an account finds this account alone, and not 700000 too.
            ("70", 1, "&lt;Seventy&gt;.example"),
            ("0000", 1, "last.example"),
            ("SEVENTY", 1, "value=\"SEVENTY\""),
            ("shop", 9, "shop-9.example"),
            ("", 10, "shop-1.example"),
            ("\"><script>", 0, "No account matches."),
        ] {
            let page = filtered(filter);
            assert_eq!(shown(&page), count, "{filter} in {page}");
            assert!(page.contains(domain) && !page.contains("<script"), "{filter} in {page}");
            assert!(page.contains(&format!("name=\"ticket\" value=\"{ticket}\"")));
            assert_eq!(page.contains("value=\"connect\" disabled>"), count == 0, "{page}");
        }

        // The request that the page was opened for is still the same, to the byte.
        let response =
            harness.post("/oauth/authorize", &format!("ticket={ticket}&decision=connect&hub_id=700000"));
        assert!(location(&response).ends_with("&state=%7Ea%2Bb"), "{response:?}");
        let response = harness.get(&format!("/oauth/authorize?ticket={ticket}&account=last"));
        assert_eq!(response.status(), 400);
        assert!(html(&response).contains("submitted already"));
    }

    #[test]
    fn the_page_accepts_a_form_and_refuses_other_methods_and_media_types() {
        let mut harness = Harness::new();
        let put = harness.send(Request::put("/oauth/authorize").body(Vec::new()).unwrap());
        assert_eq!(
            (put.status().as_u16(), &put.headers()["allow"]),
            (405, &"GET, POST, OPTIONS".parse().unwrap())
        );
        assert_error_response(&put);
        let post = harness.send(Request::post("/oauth/authorize").body(Vec::new()).unwrap());
        assert_eq!(post.status(), 415);
    }

    /// RFC 9110 §9.2.1: HEAD must change nothing.
    #[test]
    fn head_issues_no_code_and_opens_no_page() {
        for auto_approve in [true, false] {
            let mut harness = Harness::configured(|settings| settings.auto_approve = auto_approve);
            let response =
                harness.send(Request::head(format!("{PATH}&scope=oauth")).body(Vec::new()).unwrap());
            assert_eq!(response.status(), 405);
            assert_eq!(response.headers()["allow"], "GET, POST, OPTIONS");
            assert!(response.body().is_empty() && !response.headers().contains_key("location"));
            assert_eq!(
                (harness.emulator.state.grants.code_count(), harness.emulator.state.tickets.count()),
                (0, 0)
            );
        }
    }
}
