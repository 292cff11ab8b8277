//! The front page, `/`: a dashboard of apps, accounts, tokens and the journal, with buttons for what the control API does. Its forms work
//! without scripts.

mod actions;
mod journal_list;
mod page;
mod time_left;

use hs_oauth_core::Timestamp;
use http::{Method, Request, Response, StatusCode};

use crate::consent::offer::Offer;
use crate::content_type::has_content_type;
use crate::cross_site::is_cross_site;
use crate::html::{document, escaped};
use crate::responses;
use crate::state::State;

pub(crate) const PATH: &str = "/";

/// Returns the response to a request to [`PATH`].
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => {
            let query = request.uri().query().unwrap_or("");
            let filter = form_urlencoded::parse(query.as_bytes()).find(|pair| pair.0 == "account");
            let filter = filter.map(|pair| pair.1.into_owned()).unwrap_or_default();
            let offer = Offer::new(&state.grants, state.settings.hub_id, None, &filter);
            responses::page_with_script(page::dashboard(state, now, &offer, request))
        }
        Method::POST => act(state, request),
        ref method => {
            responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, POST, OPTIONS")
        }
    }
}

/// Does what a form of the page asks for, and sends the browser back to the part of the page that the form is in.
fn act(state: &mut State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    if is_cross_site(request) {
        return error_page(StatusCode::FORBIDDEN, "This form did not come from the dashboard.");
    }
    if !has_content_type(request, "application/x-www-form-urlencoded") {
        return error_page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request is not a form.");
    }
    let form: Vec<_> = form_urlencoded::parse(request.body()).collect();
    let field = |name: &str| form.iter().find(|pair| pair.0 == name).map(|pair| pair.1.trim());
    match actions::act(state, field) {
        Ok(part) => {
            state.changes += 1;
            responses::redirect(StatusCode::SEE_OTHER, format!("{PATH}#{part}"))
                .unwrap_or_else(|| error_page(StatusCode::BAD_REQUEST, "There is no such part."))
        }
        Err(problem) => error_page(StatusCode::BAD_REQUEST, &problem),
    }
}

fn error_page(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    let html = format!(
        "<h1>This does not work</h1><p>{}</p>\
         <div class=\"buttons\"><a class=\"button\" href=\"/\">To the dashboard</a></div>",
        escaped(message),
    );
    responses::with_reason(responses::page(status, document("Error", &html)), message)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac_sha256::Hash;
    use http::{Method, Request, Response};

    use crate::faults::Fault;
    use crate::testing::Harness;

    fn page(harness: &mut Harness, path: &str) -> String {
        let response = harness.get(path);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        String::from_utf8(response.into_body()).unwrap()
    }

    fn submit(harness: &mut Harness, form: &str) -> Response<Vec<u8>> {
        let request = Request::post("/")
            .header("host", "localhost:4380")
            .header("origin", "http://localhost:4380")
            .header("content-type", "application/x-www-form-urlencoded");
        harness.send(request.body(form.as_bytes().to_vec()).unwrap())
    }

    fn assert_done(harness: &mut Harness, form: &str, part: &str) {
        let response = submit(harness, form);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["location"]),
            (303, &part.parse().unwrap())
        );
    }

    #[test]
    fn the_page_shows_apps_accounts_grants_and_tokens_with_their_time_left() {
        let mut harness = Harness::configured(|settings| {
            settings.app_name = "Tom & <b>Jerry</b>".to_owned();
            settings.hub_domain = "<demo>.example".to_owned();
        });
        let html = page(&mut harness, "/");
        for shown in [
            "as HubSpot's documents say",
            "<bdi>Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;</bdi>",
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "<bdi>&lt;demo&gt;.example</bdi>",
            "No app is installed here.",
            "No request has come in yet.",
            "href=\"/marketplace\"",
        ] {
            assert!(html.contains(shown), "{shown} in {html}");
        }
        let tokens = harness.install();
        harness.wait(30);
        let html = page(&mut harness, "/");
        assert!(html.contains("data-left=\"1770\">29 min 30 s</time>"), "{html}");
        assert!(html.contains("crm.objects.contacts.read") && html.contains("Refresh token"), "{html}");
        harness.refresh(&tokens).unwrap();
        assert!(page(&mut harness, "/").contains(">30 min 0 s</time>"));
        harness.revoke(&tokens);
        assert!(page(&mut harness, "/").contains("revoked"));
        harness.wait(1800);
        assert!(page(&mut harness, "/").contains("expired"));
        let html = page(&mut harness, "/");
        for secret in [
            tokens.access_token.expose(),
            tokens.refresh_token.as_ref().unwrap().expose(),
            &harness.emulator.settings().client_secret,
        ] {
            assert!(!html.contains(secret), "{secret}");
        }
    }

    #[test]
    fn the_newest_requests_are_a_list_with_their_reason_and_the_page_itself_is_not_among_them() {
        let mut harness = Harness::new();
        harness.post("/oauth/v3/token", "grant_type=x&client_id=%3Cscript%3E");
        harness.emulator.inject(Fault::status(503));
        harness.post("/oauth/v3/token", "");
        page(&mut harness, "/");
        submit(&mut harness, "action=advance&seconds=60");
        let html = page(&mut harness, "/");
        assert_eq!(harness.emulator.journal().len(), 2);
        let list = html.split_once("<ol id=\"journal\"").unwrap().1.split_once("</ol>").unwrap().0;
        assert_eq!(list.matches("<li").count(), 2);
        let newest = list.find("503").unwrap();
        assert!(newest < list.find("400").unwrap(), "the newest is the first: {list}");
        assert!(list.contains("BAD_CLIENT_ID: missing or unknown client id"), "{list}");
        assert!(list.contains("fault status") && !list.contains("<script"), "{list}");
        for _ in 0..60 {
            harness.get("/oauth/v1/access-tokens/x");
        }
        let html = page(&mut harness, "/");
        let list = html.split_once("<ol id=\"journal\"").unwrap().1.split_once("</ol>").unwrap().0;
        assert_eq!(list.matches("<li").count(), 50);
    }

    #[test]
    fn buttons_move_the_clock_set_the_rotation_and_uninstall() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        assert_done(&mut harness, "action=advance&seconds=1800", "/#clock");
        assert_eq!(harness.control(Method::GET, "/clock", "").1["advanced"], 1800);
        assert_done(&mut harness, "action=rotation&rotation=strict", "/#rules");
        assert_eq!(harness.control(Method::GET, "/rotation", "").1["rotation"], "strict");
        assert_done(&mut harness, "action=sunset&version=v1", "/#rules");
        assert_eq!(harness.control(Method::GET, "/sunset", "").1["versions"][0], "v1");
        assert_done(&mut harness, "action=bring_back", "/#rules");
        assert_eq!(harness.get("/oauth/v1/access-tokens/x").status(), 401);
        assert_done(
            &mut harness,
            "action=uninstall&hub_id=62515&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "/#accounts",
        );
        assert!(harness.refresh(&tokens).is_err());
        assert_done(&mut harness, "action=clear_journal", "/#requests");
        assert_eq!(harness.emulator.journal().len(), 0);
    }

    #[test]
    fn buttons_order_faults_for_an_operation_and_take_them_back() {
        let mut harness = Harness::new();
        for (form, expected) in [
            ("fault=503&operation=refresh&count=2", r#"{"count":2,"operation":"refresh","status":503}"#),
            (
                "fault=429&operation=crm&count=1",
                r#"{"count":1,"operation":"crm","retry_after":2,"status":429}"#,
            ),
            ("fault=drop_after&operation=&count=", r#"{"count":1,"drop":"after"}"#),
            ("fault=drop_before", r#"{"count":1,"drop":"before"}"#),
            ("fault=delay&count=3", r#"{"count":3,"delay_ms":5000}"#),
            ("fault=truncate", r#"{"count":1,"truncate":20}"#),
            (
                "fault=html",
                r#"{"content_type":"text/html","count":1,"raw_body":"<html>502 Bad Gateway</html>","status":502}"#,
            ),
        ] {
            assert_done(&mut harness, &format!("action=fault&{form}"), "/#faults");
            let faults = harness.control(Method::GET, "/faults", "").1;
            assert_eq!(faults["faults"][0], serde_json::from_str::<serde_json::Value>(expected).unwrap());
            let html = page(&mut harness, "/");
            assert!(!html.contains("No fault waits."), "{html}");
            assert_done(&mut harness, "action=clear_faults", "/#faults");
            assert!(page(&mut harness, "/").contains("No fault waits."));
        }
    }

    #[test]
    fn a_form_that_says_nothing_or_nonsense_changes_nothing() {
        let mut harness = Harness::new();
        for form in [
            "",
            "action=dance",
            "action=advance",
            "action=advance&seconds=-1",
            "action=advance&seconds=99999999999999",
            "action=rotation&rotation=sometimes",
            "action=fault&fault=418",
            "action=fault&fault=503&operation=dance",
            "action=fault&fault=503&count=0",
            "action=fault&fault=503&count=x",
            "action=sunset&version=v2",
            "action=uninstall&hub_id=8",
            "action=uninstall&hub_id=62515&client_id=x",
        ] {
            let response = submit(&mut harness, form);
            assert_eq!(response.status(), 400, "{form}");
        }
        let clock = harness.control(Method::GET, "/clock", "").1;
        let faults = harness.control(Method::GET, "/faults", "").1;
        assert_eq!((clock["advanced"].as_u64(), faults["faults"].as_array().unwrap().len()), (Some(0), 0));
    }

    /// Another site must not be able to press a button.
    #[test]
    fn a_form_of_another_site_is_refused() {
        let mut harness = Harness::new();
        for (header, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            let request = Request::post("/")
                .header("host", "localhost:4380")
                .header("content-type", "application/x-www-form-urlencoded")
                .header(header, value);
            let response = harness.send(request.body(b"action=advance&seconds=60".to_vec()).unwrap());
            assert_eq!(response.status(), 403);
        }
        let text = Request::post("/").header("content-type", "text/plain");
        let response = harness.send(text.body(b"action=advance&seconds=60".to_vec()).unwrap());
        assert_eq!(response.status(), 415);
        assert_eq!(harness.control(Method::GET, "/clock", "").1["advanced"], 0);
    }

    #[test]
    fn with_more_than_ten_accounts_the_page_shows_ten_and_a_filter() {
        let mut harness = Harness::new();
        (1..=30)
            .for_each(|hub_id| assert!(harness.emulator.add_hub(hub_id, format!("shop-{hub_id}.example"))));
        let html = page(&mut harness, "/");
        assert_eq!(html.matches("class=\"account\"").count(), 10);
        assert!(html.contains("10 of 31 accounts") && html.contains("name=\"account\""), "{html}");
        let html = page(&mut harness, "/?account=shop-29");
        assert_eq!(html.matches("class=\"account\"").count(), 1);
        assert!(html.contains("shop-29.example") && html.contains("value=\"shop-29\""), "{html}");
    }

    /// CSP Level 3: the script of the page is allowed by its hash, and no other.
    #[test]
    fn the_policy_allows_the_pages_own_script_by_its_hash() {
        let mut harness = Harness::new();
        let response = harness.get("/");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let html = String::from_utf8(response.into_body()).unwrap();
        let script = html.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        let hash = STANDARD.encode(Hash::hash(script.as_bytes()));
        assert!(policy.contains(&format!("script-src 'sha256-{hash}'")), "{policy}");
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
        assert_eq!(html.matches("<script").count(), 1);
    }
}
