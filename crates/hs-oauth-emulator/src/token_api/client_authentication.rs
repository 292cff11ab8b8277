use hs_oauth_core::server::PresentedClient;
use hs_oauth_core::{ApiError, Credential};
use http::StatusCode;

use crate::apps::RegisteredApp;
use crate::responses::error;
use crate::settings::Settings;

/// Returns the app whose client id and client secret came with a request. Only those in the body count. On `v1`, a client secret in the
/// query counts too.
pub(super) fn authenticate<'s>(
    settings: &'s Settings,
    client: &PresentedClient,
) -> Result<RegisteredApp<'s>, Box<ApiError>> {
    let invalid_client = |code, message| Err(error(StatusCode::BAD_REQUEST, "invalid_client", code, message));
    let Some(app) = client.client_id.as_deref().and_then(|client_id| settings.app(client_id)) else {
        return invalid_client("BAD_CLIENT_ID", "missing or unknown client id");
    };
    match &client.credential {
        Credential::Secret(secret) if secret.expose() == app.client_secret => Ok(app),
        Credential::Assertion(_) => {
            invalid_client("BAD_CLIENT_SECRET", "the emulator knows no key to verify an assertion with")
        }
        _ => invalid_client("BAD_CLIENT_SECRET", "missing or invalid client secret"),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::testing::{ALL_VERSIONS, Harness, assert_error_response, json, refresh_token};

    /// RFC 6749 §5.2 and HubSpot's error reference: only the credentials in the body count. They are checked before
    /// anything else.
    #[test]
    fn the_client_is_authenticated_before_anything_else() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let refresh = format!("grant_type=refresh_token&refresh_token={}", refresh_token(&tokens).expose());
        let id = "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        let assertion = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=a.b.c";
        for (form, code) in [
            (refresh.clone(), "BAD_CLIENT_ID"),
            (format!("{refresh}&client_id=nobody&client_secret=x"), "BAD_CLIENT_ID"),
            (format!("{refresh}&{id}"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret="), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret=%00"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&{assertion}"), "BAD_CLIENT_SECRET"),
            (format!("grant_type=password&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (format!("token=%00&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (String::new(), "BAD_CLIENT_ID"),
        ] {
            for version in ALL_VERSIONS {
                let paths = ["token", "token/introspect", "token/revoke"];
                for path in paths.iter().take(if version == "v1" { 1 } else { 3 }) {
                    let response = harness.post(&format!("/oauth/{version}/{path}"), &form);
                    assert_eq!(response.status(), 400, "{form}");
                    assert_error_response(&response);
                    let body = json(&response);
                    assert_eq!(
                        (&body["error"], &body["status"]),
                        (&"invalid_client".into(), &code.into()),
                        "{path} {form}"
                    );
                }
            }
        }
        let in_header = Request::post("/oauth/v3/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", "Basic YTFiMmMzZDQ6eA==");
        let response = harness.send(in_header.body(refresh.into_bytes()).unwrap());
        assert_eq!(json(&response)["status"], "BAD_CLIENT_ID");
        assert!(harness.refresh(&tokens).is_ok());
    }

    /// HubSpot's OpenAPI file of v1: it is the only version that accepts secrets in the query.
    #[test]
    fn only_v1_accepts_the_client_secret_and_the_refresh_token_in_the_query() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let query = format!(
            "client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&refresh_token={}",
            refresh_token(&tokens).expose()
        );
        let form = "grant_type=refresh_token&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert_eq!(harness.post(&format!("/oauth/v1/token?{query}"), form).status(), 200);
        let response = harness.post(&format!("/oauth/v3/token?{query}"), form);
        assert_eq!(json(&response)["status"], "BAD_CLIENT_SECRET");
    }
}
