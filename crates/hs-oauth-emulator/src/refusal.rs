//! Why the app cannot be installed, and the page that says so. The browser stays on that page: it never gets back to the app.

use hs_oauth_core::{Scope, Scopes};
use http::{Response, StatusCode};

use crate::html::{document, escaped, push};
use crate::registered_scopes::ScopeMismatch;
use crate::responses;
use crate::state::State;

/// A reason for which HubSpot does not let a person install the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The authorization request does not agree with the scopes that are registered for the app.
    ScopeMismatch(ScopeMismatch),
    /// The user is neither a Super Admin nor has access to the Marketplace.
    UserCannotInstall,
    /// The account cannot grant these scopes, which the app cannot do without.
    AccountLacks { hub_id: i64, scopes: Scopes },
}

impl Refusal {
    /// Returns an error if the user may not install any app.
    pub(crate) fn check_user(state: &State) -> Result<(), Self> {
        match state.permissions.can_install() {
            true => Ok(()),
            false => Err(Self::UserCannotInstall),
        }
    }

    /// Returns an error if the user may not install any app, or if the account cannot grant all of `scopes`.
    pub(crate) fn check(state: &State, hub_id: i64, scopes: &Scopes) -> Result<(), Self> {
        Self::check_user(state)?;
        let (_, scopes) = state.grants.split_by_account(hub_id, scopes);
        match scopes.is_empty() {
            true => Ok(()),
            false => Err(Self::AccountLacks { hub_id, scopes }),
        }
    }

    /// Returns what the log says.
    fn reason(&self) -> String {
        match self {
            Self::ScopeMismatch(mismatch) => {
                let ScopeMismatch { missing, unregistered, not_in_optional_scope, not_in_scope } = mismatch;
                let lists = [
                    ("missing", missing),
                    ("not registered", unregistered),
                    ("not in optional_scope", not_in_optional_scope),
                    ("not in scope", not_in_scope),
                ];
                let lists = lists.iter().filter(|(_, scopes)| !scopes.is_empty());
                let lists: Vec<_> =
                    lists.map(|(what, scopes)| format!("{what}: {}", scopes.join(" "))).collect();
                format!("the scopes do not agree with the registered ones: {}", lists.join("; "))
            }
            Self::UserCannotInstall => "the user may not install apps".to_owned(),
            Self::AccountLacks { hub_id, scopes } => format!("the account {hub_id} cannot grant {scopes}"),
        }
    }

    /// Returns the page that says why the app cannot be installed, in HubSpot's own words where they are known (the help page "Resolve a
    /// 'Request for Integration Permissions' error"), and for the developer what is wrong.
    pub(crate) fn to_response(&self, state: &State) -> Response<Vec<u8>> {
        let mut html = "<h1>Couldn't complete the connection</h1>".to_owned();
        let status = match self {
            Self::ScopeMismatch(mismatch) => {
                push_mismatch(&mut html, mismatch);
                StatusCode::BAD_REQUEST
            }
            Self::UserCannotInstall => {
                push(
                    &mut html,
                    format_args!(
                        "<p>You don't have permission to connect this app.</p><p>{} is neither a Super Admin of the account nor has \
                         App Marketplace access. Ask a Super Admin to install the app, or to give you this access.</p>",
                        escaped(&state.settings.user.email),
                    ),
                );
                StatusCode::FORBIDDEN
            }
            Self::AccountLacks { hub_id, scopes } => {
                let domain = state.grants.hub(*hub_id).map_or("", |hub| &hub.domain);
                push(
                    &mut html,
                    format_args!(
                        "<p>This account doesn't have access to some HubSpot features that are required by this app.</p>\
                         <dl><dt>Account</dt><dd>{} (hub id {hub_id})</dd></dl>",
                        escaped(domain),
                    ),
                );
                push_list(
                    &mut html,
                    "Scopes that the account cannot grant",
                    scopes.iter().map(Scope::as_str),
                );
                StatusCode::FORBIDDEN
            }
        };
        html.push_str(
            "<p class=\"quiet\">Nothing was granted. As with HubSpot, the app hears nothing of this: the browser does not go \
             back to it.</p>",
        );
        let page = responses::page(status, document("Couldn't complete the connection", &html));
        responses::with_reason(page, self.reason())
    }
}

fn push_mismatch(html: &mut String, mismatch: &ScopeMismatch) {
    let ScopeMismatch { missing, unregistered, not_in_optional_scope, not_in_scope } = mismatch;
    html.push_str(match missing.is_empty() {
        false => "<p>Authorization failed because the provided scopes are insufficient. Please contact the app developer.</p>",
        true => {
            "<p>Authorization failed because there is a mismatch between the scopes in the install URL and the app's configured \
             scopes. Please contact the app developer.</p>"
        }
    });
    for (title, scopes) in [
        ("Required scopes that are not in <code>scope</code>", missing),
        ("Scopes that the app has not registered", unregistered),
        (
            "Optional scopes, which belong into <code>optional_scope</code>, in <code>scope</code>",
            not_in_optional_scope,
        ),
        (
            "Conditionally required scopes, which belong into <code>scope</code>, in <code>optional_scope</code>",
            not_in_scope,
        ),
    ] {
        push_list(html, title, scopes.iter().map(String::as_str));
    }
    if unregistered.iter().any(|scope| scope.contains(',')) {
        html.push_str("<p>Scopes are separated by spaces and not by commas.</p>");
    }
}

/// Appends a list of scopes under a title, which is HTML already, unless there is none.
fn push_list<'s>(html: &mut String, title: &str, scopes: impl Iterator<Item = &'s str>) {
    let mut scopes = scopes.peekable();
    if scopes.peek().is_none() {
        return;
    }
    push(html, format_args!("<section><h2>{title}</h2><ul>"));
    for scope in scopes {
        push(html, format_args!("<li><code>{}</code></li>", escaped(scope)));
    }
    html.push_str("</ul></section>");
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::registered_scopes::RegisteredScopes;
    use crate::testing::{Harness, ticket};

    const PATH: &str = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&state=s";

    /// An emulator whose app has registered `a b` as required, `c d` as conditionally required and `e f` as optional scopes.
    fn registered(auto_approve: bool) -> Harness {
        Harness::configured(|settings| {
            let scopes = |names: &str| names.parse().unwrap();
            let registered = RegisteredScopes::new(scopes("oauth a b"), scopes("c d"), scopes("e f"));
            settings.registered_scopes = Some(registered.unwrap());
            settings.auto_approve = auto_approve;
        })
    }

    /// Opens the consent page. Returns the HTML of the page that refuses the install, or `None` if it does not.
    fn refused(harness: &mut Harness, status: u16, more: &str) -> Option<String> {
        let response = harness.get(&format!("{PATH}{more}"));
        let html = String::from_utf8(response.body().clone()).unwrap();
        let is_refused = html.contains("<h1>Couldn't complete the connection</h1>");
        if is_refused {
            assert_eq!(response.status(), status, "{more}");
            assert!(!response.headers().contains_key("location"), "{more}");
            assert!(!html.contains("<form") && !html.contains("href="), "the page has a way on: {html}");
        }
        is_refused.then_some(html)
    }

    fn names(html: &str, title: &str) -> String {
        let Some((_, rest)) = html.split_once(title) else { return String::new() };
        let list = rest.split_once("<ul>").unwrap().1.split_once("</ul>").unwrap().0;
        list.replace("</code></li>", " ").replace("<li><code>", "").trim_end().to_owned()
    }

    /// HubSpot's documentation, "Scopes": the page names the scopes at fault, and the browser never gets back to the app, whether somebody
    /// has to press Connect or not.
    #[track_caller]
    fn assert_mismatch(query: &str, missing: &str, unregistered: &str, optional: &str, conditional: &str) {
        for auto_approve in [false, true] {
            let page = refused(&mut registered(auto_approve), 400, query);
            let page = page.unwrap_or_else(|| panic!("{query} is taken"));
            let shown = [
                names(&page, "Required scopes that are not in <code>scope</code>"),
                names(&page, "Scopes that the app has not registered"),
                names(&page, "belong into <code>optional_scope</code>"),
                names(&page, "belong into <code>scope</code>"),
            ];
            assert_eq!(shown, [missing, unregistered, optional, conditional], "{query}");
            let is_insufficient = page.contains("the provided scopes are insufficient");
            assert_eq!(is_insufficient, !missing.is_empty(), "{query}");
            assert_eq!(page.contains("there is a mismatch"), missing.is_empty(), "{query}");
        }
    }

    /// HubSpot's documentation, "Scopes".
    #[test]
    fn every_required_scope_must_be_in_scope() {
        assert_mismatch("&scope=oauth%20a", "b", "", "", "");
        assert_mismatch("&scope=oauth", "a b", "", "", "");
        assert_mismatch("&scope=a%20b", "oauth", "", "", "");
        assert_mismatch("&scope=a%20b%20c&optional_scope=e", "oauth", "", "", "");
        assert_mismatch("", "oauth a b", "", "", "");
        assert_mismatch("&scope=", "oauth a b", "", "", "");
    }

    /// HubSpot's help page: "Including the required scope in the `optional_scope` parameter will also trigger the error."
    #[test]
    fn a_required_scope_in_optional_scope_only_is_missing() {
        assert_mismatch("&scope=oauth%20a&optional_scope=b", "b", "", "", "");
        assert_mismatch("&scope=oauth%20a&optional_scopes=b", "b", "", "", "");
        let both = "&scope=oauth%20a%20b&optional_scope=b";
        assert_eq!(refused(&mut registered(false), 400, both), None);
    }

    #[test]
    fn a_scope_that_is_not_registered_stops_the_install_in_either_parameter() {
        let all = "&scope=oauth%20a%20b";
        assert_mismatch(&format!("{all}%20x"), "", "x", "", "");
        assert_mismatch(&format!("{all}&optional_scope=e%20x"), "", "x", "", "");
        assert_mismatch(&format!("{all}+y&optional_scope=x"), "", "y x", "", "");
        // Neither a name that cannot be a scope nor a repeated parameter gets the browser back to the app.
        assert_mismatch(&format!("{all}%20%22%3Cb%3E"), "", "&quot;&lt;b&gt;", "", "");
        assert_mismatch("&scope=oauth&scope=a%20b%20x", "", "x", "", "");
    }

    #[test]
    fn the_page_says_that_a_list_with_commas_is_one_unknown_scope() {
        assert_mismatch("&scope=oauth%2Ca%2Cb", "oauth a b", "oauth,a,b", "", "");
        let page = refused(&mut registered(false), 400, "&scope=oauth%2Ca").unwrap();
        assert!(page.contains("separated by spaces and not by commas"), "{page}");
        // No app can have registered it, so this is so for an app without registered scopes, too.
        for query in ["&scope=oauth%2Ca", "&scope=oauth,a&state=s", "&scope=oauth&optional_scope=a%2Cb%20c"] {
            let page = refused(&mut Harness::new(), 400, query).unwrap_or_else(|| panic!("{query} is taken"));
            assert!(page.contains("separated by spaces and not by commas"), "{page}");
            assert!(names(&page, "Scopes that the app has not registered").contains(','), "{page}");
        }
    }

    /// HubSpot's help page: both are a mismatch.
    #[test]
    fn an_optional_scope_in_scope_and_a_conditional_one_in_optional_scope_are_a_mismatch() {
        let all = "&scope=oauth%20a%20b";
        assert_mismatch(&format!("{all}%20e"), "", "", "e", "");
        assert_mismatch(&format!("{all}%20e&optional_scope=e"), "", "", "e", "");
        assert_mismatch(&format!("{all}&optional_scope=c"), "", "", "", "c");
        assert_mismatch("&scope=oauth%20a%20x%20f&optional_scope=d", "b", "x", "f", "d");
    }

    #[test]
    fn a_request_that_agrees_with_the_registration_is_granted() {
        for (query, scopes, optional) in [
            ("required only", "oauth a b", ""),
            ("a conditionally required one of two", "oauth a b c", ""),
            ("everything", "b a oauth d c", "f e"),
        ] {
            let mut harness = registered(false);
            let authorize = hs_oauth_core::Authorize::new(scopes.parse().unwrap());
            let code = harness.authorize(&authorize.with_optional_scopes(optional.parse().unwrap()));
            let tokens = harness.call(&hs_oauth_core::ExchangeCode::new(code)).unwrap();
            let granted = tokens.scopes.unwrap().to_string();
            assert_eq!(granted, format!("{scopes} {optional}").trim_end(), "{query}");
        }
    }

    #[test]
    fn without_registered_scopes_the_app_can_ask_for_any() {
        let mut harness = Harness::new();
        assert_eq!(refused(&mut harness, 400, "&scope=x&optional_scope=oauth%20y"), None);
        assert_eq!(harness.install_with_scopes("oauth x").scopes.unwrap().to_string(), "oauth x");
    }

    /// MCP auth apps send no scopes.
    #[test]
    fn registered_scopes_are_not_compared_for_mcp_auth_apps() {
        let mcp = PATH.replace("/authorize?", "/authorize/user?");
        let challenge =
            "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        let response = registered(true).get(&format!("{mcp}&{challenge}"));
        assert_eq!(response.status(), 302);
    }

    #[test]
    fn an_account_without_an_optional_scope_grants_the_others_silently() {
        for auto_approve in [false, true] {
            let mut harness = registered(auto_approve);
            assert_eq!(harness.control(Method::POST, "/hubs/62515", r#"{"lacks":["e","c"]}"#).0, 200);
            let authorize = hs_oauth_core::Authorize::new("oauth a b".parse().unwrap());
            let code = harness.authorize(&authorize.with_optional_scopes("e f".parse().unwrap()));
            let tokens = harness.call(&hs_oauth_core::ExchangeCode::new(code)).unwrap();
            assert_eq!(tokens.scopes.unwrap().to_string(), "oauth a b f");
        }
        // An app without registered scopes asks for optional ones in the same way.
        let mut harness = Harness::new();
        harness.control(Method::POST, "/hubs/62515", r#"{"lacks":["y"]}"#);
        let authorize = hs_oauth_core::Authorize::new("oauth x".parse().unwrap());
        let code = harness.authorize(&authorize.with_optional_scopes("y z".parse().unwrap()));
        let tokens = harness.call(&hs_oauth_core::ExchangeCode::new(code)).unwrap();
        assert_eq!(tokens.scopes.unwrap().to_string(), "oauth x z");
    }

    #[test]
    fn an_account_without_a_required_or_a_conditionally_required_scope_cannot_install() {
        for auto_approve in [false, true] {
            for (lacks, scope, named) in [
                (r#"["b"]"#, "oauth%20a%20b", "b"),
                (r#"["c","x"]"#, "oauth%20a%20b%20c", "c"),
                (r#"["d","oauth","b"]"#, "d%20oauth%20a%20b", "d oauth b"),
            ] {
                let mut harness = registered(auto_approve);
                harness.control(Method::POST, "/hubs/62515", &format!(r#"{{"lacks":{lacks}}}"#));
                let page = refused(&mut harness, 403, &format!("&scope={scope}")).unwrap();
                assert_eq!(names(&page, "Scopes that the account cannot grant"), named);
                assert!(page.contains("demo.example.com (hub id 62515)"), "{page}");
                // It can be installed again as soon as the account has what was missing.
                harness.control(Method::POST, "/hubs/62515", r#"{"lacks":[]}"#);
                assert_eq!(refused(&mut harness, 403, &format!("&scope={scope}")), None);
            }
        }
        let mut harness = registered(false);
        harness.control(Method::POST, "/hubs/62515", r#"{"lacks":["c"]}"#);
        assert_eq!(refused(&mut harness, 403, "&scope=oauth%20a%20b"), None, "the app did not ask for `c`");
    }

    /// The account is known only once the person has chosen it.
    #[test]
    fn what_the_chosen_account_lacks_is_found_when_the_person_presses_connect() {
        let mut harness = registered(false);
        let body = r#"{"hub_id":7,"hub_domain":"<seven>","lacks":["b"]}"#;
        assert_eq!(harness.control(Method::POST, "/hubs", body).0, 201);
        let path = format!("{PATH}&scope=oauth%20a%20b");
        for (hub_id, status) in [(7, 403), (62515, 303)] {
            let ticket = ticket(&mut harness, &path);
            let form = format!("ticket={ticket}&decision=connect&hub_id={hub_id}");
            let response = harness.post("/oauth/authorize", &form);
            assert_eq!(response.status(), status, "{hub_id}");
            assert_eq!(response.headers().contains_key("location"), status == 303);
            let page = String::from_utf8(response.into_body()).unwrap();
            assert_eq!(page.contains("&lt;seven&gt; (hub id 7)"), hub_id == 7, "{page}");
        }
        assert_eq!(harness.emulator.state.grants.code_count(), 1);
        // The path can name the account, too.
        let path = path.replace("/oauth/", "/oauth/7/");
        assert_eq!(harness.get(&path).status(), 403);
    }

    #[test]
    fn only_a_super_admin_or_a_user_with_marketplace_access_can_install() {
        for auto_approve in [false, true] {
            let mut harness = registered(auto_approve);
            for (body, can_install) in [
                (r#"{"super_admin":false,"marketplace_access":false}"#, false),
                (r#"{"super_admin":false,"marketplace_access":true}"#, true),
                (r#"{"super_admin":true,"marketplace_access":false}"#, true),
                (r#"{"super_admin":false}"#, false),
                (r#"{"super_admin":true,"marketplace_access":true}"#, true),
            ] {
                let (status, user) = harness.control(Method::POST, "/user", body);
                assert_eq!((status, &user["can_install"]), (200, &can_install.into()), "{user}");
                let page = refused(&mut harness, 403, "&scope=oauth%20a%20b");
                assert_eq!(page.is_none(), can_install, "{body}");
                if let Some(page) = page {
                    assert!(page.contains("You don't have permission"), "{page}");
                    assert!(page.contains("installer@example.com") && page.contains("Super Admin"), "{page}");
                }
            }
        }
    }

    #[test]
    fn a_user_who_loses_the_permission_while_the_page_is_open_cannot_connect() {
        let mut harness = registered(false);
        let ticket = ticket(&mut harness, &format!("{PATH}&scope=oauth%20a%20b"));
        harness.control(Method::POST, "/user", r#"{"super_admin":false,"marketplace_access":false}"#);
        let response = harness.post("/oauth/authorize", &format!("ticket={ticket}&decision=connect"));
        assert_eq!(response.status(), 403);
        assert!(!response.headers().contains_key("location"));
    }

    #[test]
    fn a_reset_gives_accounts_their_scopes_back_and_the_user_the_permissions() {
        let mut harness = registered(false);
        harness.control(Method::POST, "/hubs/62515", r#"{"lacks":["b"]}"#);
        harness.control(Method::POST, "/user", r#"{"super_admin":false,"marketplace_access":false}"#);
        harness.emulator.reset();
        assert_eq!(refused(&mut harness, 400, "&scope=oauth%20a%20b"), None);
    }
}
