//! The Marketplace page, `GET /marketplace`. It starts an install as HubSpot's Marketplace does, and says whether the app did all it had
//! to when the browser comes back (HubSpot's documentation, "Install from the Marketplace").

pub(crate) mod installs;
mod page;

use hs_oauth_core::{Scopes, Timestamp};
use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use installs::{MarketplaceInstall, StateProblem};

use crate::apps::RegisteredApp;
use crate::consent::offer::Offer;
use crate::consent::redirect_target::RedirectTarget;
use crate::consent::{NO_SUCH_ACCOUNT, chosen_hub};
use crate::content_type::has_content_type;
use crate::cross_site::is_cross_site;
use crate::grants::Consent;
use crate::raw_query::{decoded, raw_values};
use crate::redirect_uri::check_redirect_uri;
use crate::refusal::Refusal;
use crate::responses;
use crate::settings::Settings;
use crate::state::State;

pub(crate) const PATH: &str = "/marketplace";
/// The path of every `returnUrl`.
pub(crate) const RETURN_PATH: &str = "/marketplace/return";

/// Returns the response to a request to [`PATH`].
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => show(state, request.uri().query().unwrap_or("")),
        Method::POST => start(state, now, request),
        ref method => {
            responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, POST, OPTIONS")
        }
    }
}

fn show(state: &mut State, query: &str) -> Response<Vec<u8>> {
    state.marketplace.update(&state.grants);
    let field =
        |name| form_urlencoded::parse(query.as_bytes()).find(|pair| pair.0 == name).map(|pair| pair.1);
    let Some(app) = chosen_app(&state.settings, field("client_id").as_deref()) else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_APP);
    };
    let filter = field("account").unwrap_or_default();
    let offer = Offer::new(&state.grants, state.settings.hub_id, None, &filter);
    let html = page::marketplace_page(&state.settings, app, &offer, &scopes(app), &state.marketplace);
    responses::page(StatusCode::OK, html)
}

const NO_SUCH_APP: &str = "There is no such app.";

/// Returns the app with this client id, or the first one without a client id.
fn chosen_app<'s>(settings: &'s Settings, client_id: Option<&str>) -> Option<RegisteredApp<'s>> {
    client_id.map_or(Some(settings.first_app()), |client_id| settings.app(client_id))
}

/// Returns the redirect URIs of an app that an install can begin with.
fn install_urls<'s>(settings: &Settings, app: RegisteredApp<'s>) -> impl Iterator<Item = &'s str> {
    let strict = settings.strict_redirects;
    let is_usable = move |uri: &&str| check_redirect_uri(uri, strict).is_ok();
    app.redirect_uris.iter().map(String::as_str).filter(is_usable)
}

/// The scopes of an install from the Marketplace. The app cannot ask for any there, so it gets those that it has registered.
struct MarketplaceScopes {
    required: Scopes,
    optional: Scopes,
}

fn scopes(app: RegisteredApp<'_>) -> MarketplaceScopes {
    match app.scopes {
        Some(registered) => MarketplaceScopes {
            required: registered.required().clone(),
            optional: registered.optional().clone(),
        },
        None => MarketplaceScopes { required: "oauth".parse().unwrap_or_default(), optional: Scopes::NONE },
    }
}

fn scopes_of(state: &State, install: &MarketplaceInstall) -> MarketplaceScopes {
    scopes(state.settings.app(&install.client_id).unwrap_or(state.settings.first_app()))
}

/// Starts the install that the form of the page describes, and sends the browser to the app.
fn start(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    if is_cross_site(request) {
        return error_page(StatusCode::FORBIDDEN, "This form did not come from the Marketplace page.");
    }
    if !has_content_type(request, "application/x-www-form-urlencoded") {
        return error_page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request is not a form.");
    }
    let form: Vec<_> = form_urlencoded::parse(request.body()).collect();
    let field = |name| form.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1);
    let partner_sign_in = match field("partner_sign_in") {
        Some("yes") => true,
        Some("no") => false,
        _ => {
            return error_page(
                StatusCode::BAD_REQUEST,
                "The form does not say whether with partner sign-in.",
            );
        }
    };
    let Some(hub_id) = chosen_hub(state, None, field("hub_id")) else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_ACCOUNT);
    };
    let Some(app) = chosen_app(&state.settings, field("client_id")) else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_APP);
    };
    let chosen = field("redirect_uri");
    let install_url =
        install_urls(&state.settings, app).find(|uri| chosen.is_none_or(|chosen| chosen == *uri));
    let Some(install_url) = install_url.map(str::to_owned) else {
        return error_page(StatusCode::BAD_REQUEST, "This install URL is not a registered redirect URI.");
    };
    if let Err(refusal) = Refusal::check(state, hub_id, &scopes(app).required) {
        return refusal.to_response(state);
    }
    let client_id = app.client_id.to_owned();
    let id = state.token_generator.ticket();
    let mut install = MarketplaceInstall {
        client_id,
        hub_id,
        partner_sign_in,
        install_url,
        return_url: format!("http://{}{RETURN_PATH}?install={id}", host(request)),
        state: None,
        code: None,
        exchanged_code: false,
        came_back: false,
        state_problem: None,
    };
    let location = match partner_sign_in {
        false => send_code(state, now, &mut install),
        true => {
            let target = RedirectTarget::new(install.install_url.clone(), None);
            target.to_url(&[("step", "authorize"), ("returnUrl", &install.return_url)])
        }
    };
    state.marketplace.insert(id, install);
    redirect(StatusCode::SEE_OTHER, location)
}

/// Returns the host by which the browser knows the emulator.
fn host(request: &Request<Vec<u8>>) -> &str {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    header.or(request.uri().authority().map(|host| host.as_str())).unwrap_or("localhost")
}

/// Issues a code, and returns the address that brings it to the app.
fn send_code(state: &mut State, now: Timestamp, install: &mut MarketplaceInstall) -> String {
    let MarketplaceScopes { required: mut scopes, optional } = scopes_of(state, install);
    scopes.extend(state.grants.split_by_account(install.hub_id, &optional).0);
    let redirect_uri = install.install_url.clone();
    let client_id = install.client_id.clone();
    let consent = Consent { client_id, hub_id: install.hub_id, scopes, redirect_uri, code_challenge: None };
    let code = state.grants.issue_code(&mut state.token_generator, now, consent);
    let target = RedirectTarget::new(install.install_url.clone(), install.state.as_deref());
    let step = install.partner_sign_in.then_some(("step", "finalize"));
    let parameters = [("code", code.expose()), ("returnUrl", &install.return_url)];
    let location = target.to_url(&step.into_iter().chain(parameters).collect::<Vec<_>>());
    install.code = Some(code);
    location
}

/// Returns the response to a request to [`RETURN_PATH`]: the app has sent the browser back.
pub(crate) fn come_back(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let method = request.method();
    if method != Method::GET {
        return responses::method_not_allowed(&mut state.token_generator, method, "GET, OPTIONS");
    }
    let query = request.uri().query().unwrap_or("");
    let id = &*raw_values(query, "install").next().map(decoded).unwrap_or_default();
    let Some(mut install) = state.marketplace.get(id).cloned() else {
        return error_page(StatusCode::BAD_REQUEST, NO_SUCH_INSTALL);
    };
    let mut states = raw_values(query, "state").filter(|state| !state.is_empty());
    let (brought, is_repeated) = (states.next(), states.next().is_some());
    install.came_back = install.code.is_some();
    let mut response = None;
    match brought {
        Some(_) if is_repeated => install.state_problem = Some(StateProblem::Repeated),
        Some(brought) if !install.came_back => response = Some(finalize(state, now, &mut install, brought)),
        None if !install.came_back => install.state_problem = Some(StateProblem::Missing),
        Some(brought) if install.partner_sign_in && install.state.as_deref() != Some(brought) => {
            install.state_problem = Some(StateProblem::Changed);
        }
        _ => {}
    }
    state.marketplace.replace(id, install);
    state.marketplace.update(&state.grants);
    response.unwrap_or_else(|| {
        let html = state.marketplace.get(id).map(page::verdict_page);
        responses::page(StatusCode::OK, html.unwrap_or_default())
    })
}

const NO_SUCH_INSTALL: &str =
    "No install that began on the Marketplace page has this returnUrl, or it began too long ago.";

/// Takes the state that the app brought after `step=authorize`, and sends the browser back to the app with a code.
fn finalize(
    state: &mut State,
    now: Timestamp,
    install: &mut MarketplaceInstall,
    brought: &str,
) -> Response<Vec<u8>> {
    if let Err(refusal) = Refusal::check(state, install.hub_id, &scopes_of(state, install).required) {
        return refusal.to_response(state);
    }
    install.state_problem = state.marketplace.has_state(brought).then_some(StateProblem::Reused);
    install.state = Some(brought.to_owned());
    let location = send_code(state, now, install);
    redirect(StatusCode::FOUND, location)
}

fn redirect(status: StatusCode, location: String) -> Response<Vec<u8>> {
    responses::redirect(status, location)
        .unwrap_or_else(|| error_page(StatusCode::BAD_REQUEST, "The registered redirect URI is not a URI."))
}

fn error_page(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    responses::with_reason(responses::page(status, page::error_page(message)), message)
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HOST, LOCATION};
    use http::{Method, Request, Response};
    use serde_json::Value;

    use crate::registered_scopes::RegisteredScopes;
    use crate::testing::{CALLBACK, Harness, assert_error_response, json};

    /// What a browser and an app do, with an emulator that the browser knows as `localhost:4380`.
    struct Browser(Harness);

    impl Browser {
        fn get(&mut self, url: &str) -> Response<Vec<u8>> {
            let path = url.strip_prefix("http://localhost:4380").unwrap_or(url);
            self.0.send(Request::get(path).header(HOST, "localhost:4380").body(Vec::new()).unwrap())
        }

        fn start(&mut self, form: &str) -> Response<Vec<u8>> {
            let request = Request::post("/marketplace")
                .header(HOST, "localhost:4380")
                .header("origin", "http://localhost:4380")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            self.0.send(request.body(form.as_bytes().to_vec()).unwrap())
        }

        /// Exchanges a code as the app does.
        fn exchange(&mut self, code: &str) -> Value {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "authorization_code")
                .append_pair("client_id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890")
                .append_pair("client_secret", "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")
                .append_pair("redirect_uri", CALLBACK)
                .append_pair("code", code)
                .finish();
            json(&self.0.post("/oauth/2026-09/token", &form))
        }

        /// Returns the newest install as the control API shows it.
        fn newest(&mut self) -> Value {
            self.0.control(Method::GET, "/marketplace", "").1["installs"][0].clone()
        }

        /// Starts an install with partner sign-in. Returns its `returnUrl`.
        fn start_with_sign_in(&mut self) -> String {
            let response = self.start("partner_sign_in=yes");
            let parameters = parameters(location(&response));
            assert_eq!(names(&parameters), ["step", "returnUrl"]);
            assert_eq!(parameters[0].1, "authorize");
            parameters[1].1.clone()
        }
    }

    fn browser() -> Browser {
        Browser(Harness::new())
    }

    #[test]
    fn each_app_is_installed_from_a_page_of_its_own() {
        let mut browser = Browser(Harness::configured(|settings| {
            let mut other = crate::AppSettings::new("other", "its secret");
            other.app_name = "Other <app>".to_owned();
            other.redirect_uris = vec!["https://other.example/install".to_owned()];
            settings.more_apps = vec![other];
        }));
        let page = html(&browser.get("/marketplace"));
        assert!(page.contains("href=\"/marketplace?client_id=other\""), "{page}");
        let page = html(&browser.get("/marketplace?client_id=other"));
        assert!(
            page.contains("<h1>Install <bdi>Other &lt;app&gt;</bdi> from the Marketplace</h1>"),
            "{page}"
        );
        assert!(page.contains("name=\"client_id\" value=\"other\""), "{page}");
        let response = browser.start("partner_sign_in=no&client_id=other");
        assert!(location(&response).starts_with("https://other.example/install?code="));
        assert_eq!(browser.newest()["client_id"], "other");
        assert_eq!(browser.get("/marketplace?client_id=x").status(), 400);
        assert_eq!(browser.start("partner_sign_in=no&client_id=x").status(), 400);
    }

    fn location(response: &Response<Vec<u8>>) -> &str {
        assert!(response.status().is_redirection(), "{response:?}");
        response.headers()[LOCATION].to_str().unwrap()
    }

    /// Returns the parameters that the app gets at its install URL.
    fn parameters(url: &str) -> Vec<(String, String)> {
        let query = url.strip_prefix(CALLBACK).unwrap().strip_prefix('?').unwrap();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn names(parameters: &[(String, String)]) -> Vec<&str> {
        parameters.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn html(response: &Response<Vec<u8>>) -> String {
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(!response.headers().contains_key(LOCATION));
        String::from_utf8(response.body().clone()).unwrap()
    }

    const DONE: &str = "<h1>The app did all it had to</h1>";

    /// HubSpot's documentation of Marketplace installs: `GET …?code=…&returnUrl=…`, with no `state`. The app exchanges the code and sends
    /// the browser to `returnUrl`.
    #[test]
    fn an_install_without_partner_sign_in_is_complete_once_the_code_was_exchanged_and_the_browser_is_back() {
        let mut browser = browser();
        let response = browser.start("partner_sign_in=no");
        assert_eq!(response.status(), 303);
        let parameters = parameters(location(&response));
        assert_eq!(names(&parameters), ["code", "returnUrl"]);
        let (code, return_url) = (&parameters[0].1, &parameters[1].1);
        assert!(return_url.starts_with("http://localhost:4380/marketplace/return?install="), "{return_url}");
        let tokens = browser.exchange(code);
        assert_eq!((&tokens["hub_id"], &tokens["scopes"]), (&62515.into(), &serde_json::json!(["oauth"])));

        assert_eq!(browser.newest()["complete"], false, "the browser is not back yet");
        let page = html(&browser.get(return_url));
        assert!(page.contains(DONE), "{page}");
        assert_eq!(
            browser.newest(),
            serde_json::json!({
                "client_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                "hub_id": 62515, "partner_sign_in": false, "install_url": CALLBACK, "return_url": return_url,
                "brought_state": false, "exchanged_code": true, "came_back": true, "problem": null, "complete": true,
            })
        );
    }

    /// HubSpot's documentation of Marketplace installs: if the app does not send the browser to `returnUrl`, the person goes round in a
    /// loop.
    #[test]
    fn the_page_says_of_an_install_that_the_browser_has_not_come_back() {
        let mut browser = browser();
        browser.start("partner_sign_in=no");
        let page = html(&browser.get("/marketplace"));
        assert!(page.contains("Not yet: sent the browser to returnUrl"), "{page}");
        assert!(page.contains("Not yet: exchanged the code") && !page.contains("Done:"), "{page}");
        assert_eq!(browser.newest()["came_back"], false);
    }

    #[test]
    fn an_app_that_sends_the_browser_back_without_exchanging_the_code_did_not_do_all() {
        let mut browser = browser();
        let parameters = parameters(location(&browser.start("partner_sign_in=no")));
        let page = html(&browser.get(&parameters[1].1));
        assert!(!page.contains(DONE) && page.contains("has not exchanged the code"), "{page}");
        assert_eq!(browser.newest()["complete"], false);
        // A code that is used twice ends the grant, so the app has no tokens then.
        browser.exchange(&parameters[0].1);
        browser.exchange(&parameters[0].1);
        assert_eq!(browser.newest()["exchanged_code"], false);
    }

    /// HubSpot's documentation of Marketplace installs: (1) `step=authorize&returnUrl=…`, the app brings `{returnUrl}?state={state}`; (2)
    /// `step=finalize&code=…&state=…&returnUrl=…`, the app exchanges the code and sends the browser to `returnUrl`.
    #[test]
    fn an_install_with_partner_sign_in_brings_the_apps_state_back_to_the_byte() {
        for state in ["xyz-1", "a%20b%2Bc", "a+b", "%C3%A9/?=", "k%26code%3Devil"] {
            let mut browser = browser();
            let return_url = browser.start_with_sign_in();
            let response = browser.get(&format!("{return_url}&state={state}"));
            assert_eq!(response.status(), 302);
            let url = location(&response).to_owned();
            assert!(url.ends_with(&format!("&state={state}")), "{url}");
            let parameters = parameters(&url);
            assert_eq!(names(&parameters), ["step", "code", "returnUrl", "state"]);
            assert_eq!((&*parameters[0].1, &parameters[2].1), ("finalize", &return_url));
            assert!(browser.exchange(&parameters[1].1)["access_token"].is_string());
            let page = html(&browser.get(&return_url));
            assert!(page.contains(DONE), "{page}");
            let install = browser.newest();
            assert_eq!((&install["brought_state"], &install["complete"]), (&true.into(), &true.into()));
        }
    }

    /// The app's side, as core has it. The emulator's `returnUrl` is on loopback, which core accepts of an app whose consent page is on
    /// loopback, too.
    #[test]
    fn an_app_built_on_core_does_all_it_has_to_in_both_variants() {
        use hs_oauth_core::{CallbackLeg, Endpoint, ExchangeCode, PendingAuthorizations, Randomness};
        let mut browser = browser();
        let now = browser.0.now;
        let app = hs_oauth_core::App::hubspot(
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            hs_oauth_core::ClientSecret::new("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0").unwrap(),
        )
        .with_redirect_uri(CALLBACK)
        .with_app_base("http://localhost:4380")
        .build()
        .unwrap();
        let query = |url: &str| url.split_once('?').unwrap().1.to_owned();

        let first = query(location(&browser.start("partner_sign_in=no")));
        let CallbackLeg::Unconfirmed(install) = CallbackLeg::read(&app, now, &first).unwrap() else {
            panic!("{first}");
        };
        let return_url = install.return_url().unwrap().as_str().to_owned();
        let exchange = install.exchange(now).unwrap();
        let response = browser.0.send(exchange.to_http(&app));
        let tokens =
            exchange.read_response(&app, now, &response).unwrap().tokens_confirmed_by_signed_in_person();
        assert_eq!(tokens.hub_id, Some(62515));
        assert!(html(&browser.get(&return_url)).contains(DONE));

        let first = query(location(&browser.start("partner_sign_in=yes")));
        let CallbackLeg::SignIn(sign_in) = CallbackLeg::read(&app, now, &first).unwrap() else {
            panic!("{first}");
        };
        let hour = std::time::Duration::from_secs(3600);
        let begun = sign_in.begin_with(&app, now, hour, Randomness::new([5; 32], [6; 32])).unwrap();
        let mut session = PendingAuthorizations::default();
        session.insert(now, begun.pending);
        let second = query(location(&browser.get(begun.url.as_str())));
        let CallbackLeg::Finalize(finalize) = CallbackLeg::read(&app, now, &second).unwrap() else {
            panic!("{second}");
        };
        let exchange = ExchangeCode::new(finalize.accept(now, &mut session).unwrap());
        let response = browser.0.send(exchange.to_http(&app));
        assert_eq!(exchange.read_response(&app, now, &response).unwrap().hub_id, Some(62515));
        assert!(html(&browser.get(finalize.return_url().as_str())).contains(DONE));
    }

    #[test]
    fn an_app_that_brings_no_state_or_two_gets_no_code_and_can_try_again() {
        let mut browser = browser();
        let return_url = browser.start_with_sign_in();
        for (more, problem) in [
            ("", "without a state"),
            ("&state=", "without a state"),
            ("&state=a&state=b", "more than one state"),
        ] {
            let page = html(&browser.get(&format!("{return_url}{more}")));
            assert!(!page.contains(DONE) && page.contains(problem), "{page}");
            assert_eq!(browser.newest()["complete"], false);
        }
        assert_eq!(browser.0.emulator.state.grants.code_count(), 0);
        let url = location(&browser.get(&format!("{return_url}&state=right"))).to_owned();
        browser.exchange(&parameters(&url)[1].1);
        assert!(html(&browser.get(&return_url)).contains(DONE));
    }

    /// HubSpot's documentation of Marketplace installs: the app makes a random state and ties it to the person.
    #[test]
    fn a_state_that_an_earlier_install_brought_or_that_changes_on_the_way_is_not_the_right_one() {
        let mut browser = browser();
        for (first, last, problem) in [
            ("one", "", None),
            ("one", "", Some("brought before")),
            ("two", "&state=three", Some("another state")),
            ("four", "&state=four", None),
        ] {
            let return_url = browser.start_with_sign_in();
            let url = location(&browser.get(&format!("{return_url}&state={first}"))).to_owned();
            browser.exchange(&parameters(&url)[1].1);
            let page = html(&browser.get(&format!("{return_url}{last}")));
            assert_eq!(page.contains(DONE), problem.is_none(), "{page}");
            assert!(page.contains(problem.unwrap_or("")), "{page}");
        }
    }

    /// The scopes of an install from the Marketplace are those that the app has registered.
    #[test]
    fn an_install_has_the_required_scopes_and_those_optional_ones_that_the_account_can_grant() {
        let scopes = |names: &str| names.parse().unwrap();
        let registered = RegisteredScopes::new(scopes("a"), scopes("b"), scopes("c d")).unwrap();
        let harness = Harness::configured(|settings| settings.registered_scopes = Some(registered));
        let mut browser = Browser(harness);
        browser.0.control(Method::POST, "/hubs/62515", r#"{"lacks":["c"]}"#);
        let parameters = parameters(location(&browser.start("partner_sign_in=no")));
        assert_eq!(browser.exchange(&parameters[0].1)["scopes"], serde_json::json!(["oauth", "a", "d"]));

        browser.0.control(Method::POST, "/hubs/62515", r#"{"lacks":["a"]}"#);
        for form in ["partner_sign_in=no", "partner_sign_in=yes"] {
            let response = browser.start(form);
            assert_eq!(response.status(), 403);
            assert!(html(&response).contains("<code>a</code>"));
        }
        browser.0.control(Method::POST, "/hubs/62515", r#"{"lacks":[]}"#);
        let return_url = browser.start_with_sign_in();
        browser.0.control(Method::POST, "/user", r#"{"super_admin":false,"marketplace_access":false}"#);
        let response = browser.get(&format!("{return_url}&state=x"));
        assert!(html(&response).contains("You don't have permission"));
        assert_eq!(browser.start("partner_sign_in=no").status(), 403);
    }

    #[test]
    fn the_person_chooses_the_account_and_the_install_url() {
        let other = "http://localhost:3000/other?a=b";
        let mut browser = Browser(Harness::configured(|settings| {
            settings.redirect_uris.push("http://localhost:3000/cb?code=1".to_owned());
            settings.redirect_uris.push(other.to_owned());
        }));
        browser.0.emulator.add_hub(7, "<seven>");
        let page = html(&browser.get("/marketplace"));
        assert!(page.contains("name=\"hub_id\" value=\"7\"") && page.contains("&lt;seven&gt;"), "{page}");
        assert!(page.contains("name=\"redirect_uri\" value=\"http://localhost:3000/other?a=b\""), "{page}");
        assert!(!page.contains("code=1"), "that one cannot be used: {page}");

        let form = "partner_sign_in=no&hub_id=7&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fother%3Fa%3Db";
        let response = browser.start(form);
        assert!(location(&response).starts_with(&format!("{other}&code=")), "{response:?}");
        assert_eq!(browser.newest()["hub_id"], 7);
        for form in [
            "partner_sign_in=no",
            "partner_sign_in=no&hub_id=8",
            "hub_id=7",
            "partner_sign_in=perhaps&hub_id=7",
            "partner_sign_in=no&hub_id=7&redirect_uri=https%3A%2F%2Fevil.example",
            "partner_sign_in=no&hub_id=7&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcb%3Fcode%3D1",
        ] {
            let response = browser.start(form);
            assert_eq!(response.status(), 400, "{form}");
            html(&response);
        }
    }

    #[test]
    fn a_page_with_more_than_ten_accounts_has_a_filter() {
        let mut browser = browser();
        for hub_id in 1..=12 {
            browser.0.emulator.add_hub(hub_id, format!("shop-{hub_id}.example"));
        }
        let page = html(&browser.get("/marketplace"));
        assert!(page.contains("10 of 13 accounts.") && page.contains("name=\"account\""), "{page}");
        let page = html(&browser.get("/marketplace?account=shop-12"));
        assert!(page.contains("shop-12.example") && !page.contains("shop-1.example"), "{page}");
    }

    /// Another site must not be able to start an install.
    #[test]
    fn a_form_of_another_site_starts_nothing() {
        let mut browser = browser();
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let request = Request::post("/marketplace")
                .header(HOST, "localhost:4380")
                .header(name, value)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let response = browser.0.send(request.body(b"partner_sign_in=no".to_vec()).unwrap());
            assert_eq!(response.status(), 403, "{name}");
        }
        let request = Request::post("/marketplace").body(b"partner_sign_in=no".to_vec());
        assert_eq!(browser.0.send(request.unwrap()).status(), 415);
        assert_eq!(browser.newest(), Value::Null);
    }

    #[test]
    fn an_unknown_return_url_gets_an_error_and_head_changes_nothing() {
        let mut browser = browser();
        for path in
            ["/marketplace/return", "/marketplace/return?install=", "/marketplace/return?install=x&state=y"]
        {
            let response = browser.get(path);
            assert_eq!(response.status(), 400);
            html(&response);
        }
        let return_url = browser.start_with_sign_in();
        let path = return_url.strip_prefix("http://localhost:4380").unwrap();
        let head = browser.0.send(Request::head(format!("{path}&state=x")).body(Vec::new()).unwrap());
        assert_eq!(
            (head.status().as_u16(), &head.headers()["allow"]),
            (405, &"GET, OPTIONS".parse().unwrap())
        );
        assert_eq!(browser.newest()["brought_state"], false);
        let put = browser.0.send(Request::put("/marketplace").body(Vec::new()).unwrap());
        assert_eq!(put.status(), 405);
        assert_error_response(&put);
    }

    #[test]
    fn the_newest_installs_are_remembered_until_a_reset_and_the_journal_shows_no_id() {
        let mut browser = browser();
        let first = browser.start_with_sign_in();
        browser.get(&format!("{first}&state=canary-of-the-state"));
        for entry in browser.0.emulator.journal() {
            let shown = serde_json::to_string(entry).unwrap();
            assert!(
                !shown.contains(first.split_once('=').unwrap().1) && !shown.contains("canary-of"),
                "{shown}"
            );
        }
        for _ in 0..100 {
            browser.start_with_sign_in();
        }
        assert_eq!(browser.get(&first).status(), 400);
        let installs = browser.0.control(Method::GET, "/marketplace", "").1["installs"].clone();
        assert_eq!(installs.as_array().unwrap().len(), 100);
        browser.0.emulator.reset();
        assert_eq!(browser.newest(), Value::Null);
    }

    #[test]
    fn the_dashboard_leads_to_the_marketplace() {
        assert!(html(&browser().get("/")).contains("href=\"/marketplace\""));
    }
}
