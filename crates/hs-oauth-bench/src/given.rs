//! The data that every contestant gets: an app, a grant, and HubSpot's response to a refresh.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};

/// The ID of the app.
pub const CLIENT_ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
/// The secret of the app.
pub const CLIENT_SECRET: &str = "12345678-abcd-efgh-ijkl-9876543210ab";
/// The redirect URI of the app.
pub const REDIRECT_URI: &str = "https://myapp.example.com/oauth/callback";
/// The scopes that the app asks for, separated by a space.
pub const SCOPES: &str = "oauth crm.objects.contacts.read";
/// The refresh token of the grant.
pub const REFRESH_TOKEN: &str = "na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a";
/// The `Authorization` header of calls to HubSpot's APIs.
pub const BEARER: &str = "Bearer CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D";
/// The access token in [`BEARER`].
pub const ACCESS_TOKEN: &str = "CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D";
/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/oauth/2026-09/token";
/// The URL of the consent page.
pub const AUTHORIZE_URL: &str = "https://app.hubspot.com/oauth/authorize";
/// The random bytes of the state. They are fixed, so that no random source is measured.
pub const STATE_BYTES: [u8; 32] = [7; 32];
/// The random bytes of the code verifier.
pub const VERIFIER_BYTES: [u8; 32] = [8; 32];

/// The body of a response with tokens, which has eight fields.
pub const RESPONSE: &[u8] = br#"{"token_type":"bearer","refresh_token":"na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a","access_token":"CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D","hub_id":62515,"user_id":123456,"scopes":["oauth","crm.objects.contacts.read","crm.objects.contacts.write"],"expires_in":1800,"token_use":"access_token"}"#;

/// The body of an error response that refuses the grant.
pub const ERROR_RESPONSE: &[u8] = br#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked"}"#;

/// The public URL of a webhook.
pub const WEBHOOK_URL: &str = "https://myapp.example.com/hubspot/webhooks?tenant=62515";
/// The body of a webhook: 2 KiB.
pub const WEBHOOK_BODY: &[u8] = &[b'x'; 2048];
/// The time at which a webhook was signed, in milliseconds.
pub const WEBHOOK_TIMESTAMP: &str = "1790000000000";
/// The `v3` signature of the webhook.
pub const WEBHOOK_SIGNATURE: &str = "Sx+l8IbGht07ClSuD/Pee0n7Azo+yQmWf/Swl03kwpk=";

/// Returns the head of the webhook, as a web framework hands it out.
///
/// # Errors
/// Never: the headers are valid.
pub fn webhook() -> http::Result<http::request::Parts> {
    let request = Request::post("/hubspot/webhooks?tenant=62515")
        .header("host", "myapp.example.com")
        .header(CONTENT_TYPE, "application/json")
        .header("x-hubspot-signature-v3", WEBHOOK_SIGNATURE)
        .header("x-hubspot-request-timestamp", WEBHOOK_TIMESTAMP);
    Ok(request.body(())?.into_parts().0)
}

/// Returns the body of the response to a refresh whose refresh token is `na1-` and the number of a hub: that hub's, with the same refresh
/// token, and an access token with this number. Returns `None` for other refresh tokens, such as [`REFRESH_TOKEN`].
pub fn response_to(body: &[u8], access_token: u64) -> Option<String> {
    let (_, token) = str::from_utf8(body).ok()?.split_once("refresh_token=na1-")?;
    let hub = token.split('&').next()?;
    let number: u64 = hub.parse().ok()?;
    let response =
        str::from_utf8(RESPONSE).ok()?.replace(r#""hub_id":62515"#, &format!(r#""hub_id":{number}"#));
    let access_token = format!("CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9t{access_token:017}");
    Some(response.replace(REFRESH_TOKEN, &format!("na1-{hub}")).replace(ACCESS_TOKEN, &access_token))
}

/// Returns the response with tokens, as an HTTP client returns it.
pub fn response() -> Response<Vec<u8>> {
    canned(StatusCode::OK, RESPONSE)
}

/// Returns the error response, as an HTTP client returns it.
pub fn error_response() -> Response<Vec<u8>> {
    canned(StatusCode::BAD_REQUEST, ERROR_RESPONSE)
}

fn canned(status: StatusCode, body: &[u8]) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
