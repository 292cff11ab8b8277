//! What everyone is given: an app, a grant, and what HubSpot answers to a refresh.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

/// The app.
pub const CLIENT_ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
/// Its secret.
pub const CLIENT_SECRET: &str = "12345678-abcd-efgh-ijkl-9876543210ab";
/// Where its callbacks go.
pub const REDIRECT_URI: &str = "https://myapp.example.com/oauth/callback";
/// What it asks for.
pub const SCOPES: &str = "oauth crm.objects.contacts.read";
/// The grant.
pub const REFRESH_TOKEN: &str = "na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a";
/// The header of calls to HubSpot's APIs.
pub const BEARER: &str = "Bearer CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D";
/// The token in it.
pub const ACCESS_TOKEN: &str = "CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D";
/// The path that tokens are got from.
pub const TOKEN_PATH: &str = "/oauth/2026-09/token";
/// The consent page.
pub const AUTHORIZE_URL: &str = "https://app.hubspot.com/oauth/authorize";
/// What the state is made of: nobody's randomness is measured.
pub const STATE_BYTES: [u8; 32] = [7; 32];
/// What the code verifier is made of.
pub const VERIFIER_BYTES: [u8; 32] = [8; 32];

/// The eight fields of an answer with tokens.
pub const ANSWER: &[u8] = br#"{"token_type":"bearer","refresh_token":"na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a","access_token":"CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D","hub_id":62515,"user_id":123456,"scopes":["oauth","crm.objects.contacts.read","crm.objects.contacts.write"],"expires_in":1800,"token_use":"access_token"}"#;

/// An answer that says no.
pub const REFUSAL: &[u8] = br#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked"}"#;

/// The answer with tokens as an HTTP client gives it.
pub fn answer() -> Response<Vec<u8>> {
    canned(StatusCode::OK, ANSWER)
}

/// The answer that says no as an HTTP client gives it.
pub fn refusal() -> Response<Vec<u8>> {
    canned(StatusCode::BAD_REQUEST, REFUSAL)
}

fn canned(status: StatusCode, body: &[u8]) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
