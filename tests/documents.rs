//! Every operation, parameter, field and example of three documents: two pages of HubSpot's reference (`v3` token and introspection)
//! and a community OpenAPI file of `v1`. The examples are the documents' own, byte for byte.

use hs_oauth_core::{
    AccessToken, ApiVersion, App, AuthorizationCode, ClientSecret, Code, CodeVerifier, Endpoint, Error,
    ExchangeCode, HubSpotCode, Introspect, Introspection, NextStep, Operation, ReadAccountDetails, Refresh,
    RefreshToken, Revoke, Timestamp, Uninstall,
};
use http::{Method, Response};
use serde_json::{Value, json};

const CLIENT_ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const CLIENT_SECRET: &str = "12345678-abcd-efgh-ijkl-9876543210ab";
const REDIRECT_URI: &str = "https://myapp.example.com/oauth/callback";
const CODE: &str = "abc123def456";
const ACCESS_TOKEN: &str = "CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D";
const REFRESH_TOKEN: &str = "6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a";
const SENT_AT: Timestamp = Timestamp::from_secs(1_790_000_000);

fn app(version: ApiVersion) -> App {
    App::hubspot(CLIENT_ID, ClientSecret::new(CLIENT_SECRET).unwrap())
        .with_redirect_uri(REDIRECT_URI)
        .with_version(version)
        .build()
        .unwrap()
}

fn access_token() -> AccessToken {
    AccessToken::new(ACCESS_TOKEN).unwrap()
}

fn refresh_token() -> RefreshToken {
    RefreshToken::new(REFRESH_TOKEN).unwrap()
}

fn exchange(code_verifier: Option<&str>) -> ExchangeCode {
    ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(
        Code::new(CODE).unwrap(),
        REDIRECT_URI,
        code_verifier.map(|text| CodeVerifier::new(text).unwrap()),
    ))
}

/// A request as it is sent: method, URL, headers, and the fields of the form, sorted.
struct Wire {
    method: Method,
    url: String,
    accept: Option<String>,
    content_type: Option<String>,
    fields: Vec<(String, String)>,
}

fn wire(endpoint: &impl Endpoint, version: ApiVersion) -> Wire {
    let request = endpoint.to_http(&app(version));
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = std::str::from_utf8(request.body()).unwrap();
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), percent_decoded(value))
    };
    let mut fields: Vec<_> = body.split('&').filter(|pair| !pair.is_empty()).map(field).collect();
    fields.sort();
    Wire {
        method: request.method().clone(),
        url: request.uri().to_string(),
        accept: header("accept"),
        content_type: header("content-type"),
        fields,
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
                bytes.push(digit(high) * 16 + digit(low));
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn read<E: Endpoint>(endpoint: &E, version: ApiVersion, status: u16, body: &str) -> Result<E::Output, Error> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.as_bytes().to_vec())
        .unwrap();
    endpoint.read_response(&app(version), SENT_AT, &response)
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pairs.sort();
    pairs
}

/// A table of all operations and of what is sent for each.
#[test]
fn every_operation_of_the_documents_is_sent_as_they_say() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let with = |more: &[(&str, &str)]| fields(&[&client[..], more].concat());
    let v1 = |path: &str| format!("https://api.hubapi.com/oauth/v1/{path}");
    let v3 = |path: &str| format!("https://api.hubapi.com/oauth/v3/{path}");
    let narrowed =
        Refresh::new(refresh_token()).with_scopes("crm.objects.contacts.read oauth".parse().unwrap());

    let rows = [
        // Document 0: POST /oauth/v3/token, with code_verifier and with scope.
        (
            wire(&exchange(Some(verifier)), ApiVersion::V3),
            Method::POST,
            v3("token"),
            with(&[
                ("grant_type", "authorization_code"),
                ("code", CODE),
                ("code_verifier", verifier),
                ("redirect_uri", REDIRECT_URI),
            ]),
        ),
        (
            wire(&narrowed, ApiVersion::V3),
            Method::POST,
            v3("token"),
            with(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", REFRESH_TOKEN),
                ("scope", "crm.objects.contacts.read oauth"),
            ]),
        ),
        // Document 1: POST /oauth/v3/token/introspect.
        (
            wire(&Introspect::new(access_token()), ApiVersion::V3),
            Method::POST,
            v3("token/introspect"),
            with(&[("token", ACCESS_TOKEN), ("token_type_hint", "access_token")]),
        ),
        (
            wire(&Introspect::new(refresh_token()), ApiVersion::V3),
            Method::POST,
            v3("token/introspect"),
            with(&[("token", REFRESH_TOKEN), ("token_type_hint", "refresh_token")]),
        ),
        // Document 2: the five operations of v1; AuthorizationCodeRequestExample and RefreshTokenRequestExample.
        (
            wire(&exchange(None), ApiVersion::V1),
            Method::POST,
            v1("token"),
            with(&[("grant_type", "authorization_code"), ("code", CODE), ("redirect_uri", REDIRECT_URI)]),
        ),
        (
            wire(&Refresh::new(refresh_token()), ApiVersion::V1),
            Method::POST,
            v1("token"),
            with(&[("grant_type", "refresh_token"), ("refresh_token", REFRESH_TOKEN)]),
        ),
        (
            wire(&Introspect::new(access_token()), ApiVersion::V1),
            Method::GET,
            v1(&format!("access-tokens/{ACCESS_TOKEN}")),
            vec![],
        ),
        (
            wire(&Introspect::new(refresh_token()), ApiVersion::V1),
            Method::GET,
            v1(&format!("refresh-tokens/{REFRESH_TOKEN}")),
            vec![],
        ),
        (
            wire(&Revoke::new(refresh_token()), ApiVersion::V1),
            Method::DELETE,
            v1(&format!("refresh-tokens/{REFRESH_TOKEN}")),
            vec![],
        ),
    ];
    for (wire, method, url, fields) in rows {
        assert_eq!((&wire.method, &wire.url, &wire.fields), (&method, &url, &fields));
        assert_eq!(wire.accept.as_deref(), Some("application/json"), "{url}");
        let form = (method == Method::POST).then_some("application/x-www-form-urlencoded");
        assert_eq!(wire.content_type.as_deref(), form, "{url}");
    }
}

/// Document 2, TokenResponse: its example, and `id_token`, which its example leaves out.
/// HubSpot's "Uninstall an app" and "Account information": the account's bearer, and `v3` before the dated versions.
#[test]
fn an_account_is_uninstalled_and_described_with_its_own_bearer() {
    for (version, api) in [(ApiVersion::V1, "v3"), (ApiVersion::V3, "v3"), (ApiVersion::LATEST, "2026-09")] {
        let uninstall = Uninstall::new(access_token()).to_http(&app(version));
        let details = ReadAccountDetails::new(access_token()).to_http(&app(version));
        assert_eq!(uninstall.method(), Method::DELETE);
        let url = format!("https://api.hubapi.com/appinstalls/{api}/external-install");
        assert_eq!(uninstall.uri().to_string(), url);
        assert_eq!(details.method(), Method::GET);
        assert_eq!(details.uri().to_string(), format!("https://api.hubapi.com/account-info/{api}/details"));
        for request in [uninstall, details] {
            assert_eq!(request.headers()["authorization"], format!("Bearer {ACCESS_TOKEN}"));
            assert!(request.body().is_empty(), "the app's credential is not sent");
            assert!(!format!("{request:?}").contains(ACCESS_TOKEN));
        }
        assert!(read(&Uninstall::new(access_token()), version, 204, "").is_ok());
    }
}

#[test]
fn the_token_response_of_v1_is_read_whole() {
    let example = r#"{
        "access_token": "CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D",
        "token_type": "bearer",
        "expires_in": 1800,
        "refresh_token": "6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a"
    }"#;
    let exchanged = read(&exchange(None), ApiVersion::V1, 200, example).unwrap();
    let refreshed = read(&Refresh::new(refresh_token()), ApiVersion::V1, 200, example).unwrap();
    assert_eq!(exchanged, refreshed);
    assert_eq!(exchanged.access_token, access_token());
    assert_eq!(exchanged.refresh_token, Some(refresh_token()));
    assert_eq!(exchanged.expires_in, 1800);
    assert_eq!(exchanged.expires_at, Timestamp::from_secs(1_790_001_800));
    assert_eq!((exchanged.token_use, exchanged.hub_id, exchanged.user_id), (None, None, None));
    assert_eq!((exchanged.scopes, exchanged.id_token), (None, None));

    let mut with_id_token: Value = serde_json::from_str(example).unwrap();
    with_id_token["id_token"] = json!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9...");
    let tokens = read(&exchange(None), ApiVersion::V1, 200, &with_id_token.to_string()).unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9...");
}

/// Document 2, AccessTokenMetadataSuccessExample. The page hides e-mail addresses, which made `user` a list in YAML. Both forms are read.
#[test]
fn the_access_token_metadata_of_v1_is_read_whole() {
    for (user, read_as) in
        [(json!("[email protected]"), Some("[email protected]")), (json!(["email protected"]), None)]
    {
        let example = json!({
            "token": "CKDZpunPLhICAQEYs-gDIIGOBii1hQIyGQAf3xBKEgsYjYMJVvlHEz9tFHAwSq1TQAM40s0D",
            "app_id": 456789,
            "hub_id": 62515,
            "user_id": 123456,
            "user": user,
            "hub_domain": "demo.hubspot.com",
            "scopes": ["contacts", "content"],
            "token_type": "access",
            "expires_in": 1800,
        });
        let response =
            read(&Introspect::new(access_token()), ApiVersion::V1, 200, &example.to_string()).unwrap();
        let Introspection::AccessToken(info) = response else { panic!("{response:?}") };
        assert_eq!(info.token, access_token());
        assert_eq!((info.app_id, info.hub_id, info.user_id), (456_789, 62_515, Some(123_456)));
        assert_eq!(info.user.as_deref(), read_as);
        assert_eq!(info.hub_domain.as_deref(), Some("demo.hubspot.com"));
        assert_eq!(info.scopes.to_string(), "contacts content");
        assert_eq!(info.token_type.as_deref(), Some("access"));
        assert_eq!(info.expires_in, 1800);
        assert_eq!(
            (info.client_id, info.is_private_distribution, info.signed_access_token),
            (None, None, None)
        );
    }
}

/// Document 2, RefreshTokenMetadataSuccessExample.
#[test]
fn the_refresh_token_metadata_of_v1_is_read_whole() {
    let example = json!({
        "token": "6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a",
        "client_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "hub_id": 62515,
        "user_id": 123456,
        "user": "[email protected]",
        "scopes": ["contacts", "content"],
    });
    let response =
        read(&Introspect::new(refresh_token()), ApiVersion::V1, 200, &example.to_string()).unwrap();
    let Introspection::RefreshToken(info) = response else { panic!("{response:?}") };
    assert_eq!(info.token, refresh_token());
    assert_eq!(info.client_id, CLIENT_ID);
    assert_eq!((info.hub_id, info.user_id, info.app_id), (62_515, Some(123_456), None));
    assert_eq!(info.user.as_deref(), Some("[email protected]"));
    assert_eq!(info.scopes.to_string(), "contacts content");
}

/// Document 2, DELETE → 204.
#[test]
fn a_revocation_of_v1_has_no_content() {
    assert!(read(&Revoke::new(refresh_token()), ApiVersion::V1, 204, "").is_ok());
}

/// The errors of documents 0 and 2 with every field, on every operation that has them.
#[test]
fn every_error_example_is_read_whole_and_has_its_next_step() {
    let unauthorized = r#"{
        "category": "UNAUTHORIZED",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "message": "Invalid or expired token",
        "subCategory": "INVALID_TOKEN"
    }"#;
    let bad_request = r#"{
        "category": "VALIDATION_ERROR",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "message": "Missing required parameter",
        "subCategory": "MISSING_PARAMETER",
        "errors": [{
            "message": "The 'client_secret' parameter is required",
            "code": "MISSING_REQUIRED_FIELD",
            "in": "body"
        }]
    }"#;
    let server_error = r#"{
        "category": "SERVER_ERROR",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "message": "An unexpected error occurred",
        "links": {"knowledge-base": "https://developers.hubspot.com/docs/api/oauth"}
    }"#;
    let invalid_input = r#"{
        "message": "Invalid input (details will vary based on the error)",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "category": "VALIDATION_ERROR",
        "links": {"knowledge-base": "https://www.hubspot.com/products/service/knowledge-base"}
    }"#;
    // The examples of the schemas Error and ErrorDetail in document 2, with all fields at once.
    let everything = r#"{
        "category": "VALIDATION_ERROR",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "message": "Invalid refresh token",
        "subCategory": "INVALID_TOKEN",
        "context": {"invalidToken": ["The provided token is invalid or expired"]},
        "links": {"knowledge-base": "https://developers.hubspot.com/docs/api/oauth"},
        "errors": [{
            "message": "Invalid parameter value",
            "code": "INVALID_PARAMETER",
            "subCategory": "MISSING_REQUIRED_FIELD",
            "in": "body",
            "context": {"missingFields": ["client_secret"]}
        }]
    }"#;
    let refresh = Refresh::new(refresh_token());
    let rows = [
        (
            read(&exchange(None), ApiVersion::V1, 400, bad_request).err(),
            bad_request,
            NextStep::FixConfiguration,
        ),
        (read(&refresh, ApiVersion::V1, 400, bad_request).err(), bad_request, NextStep::FixConfiguration),
        (read(&refresh, ApiVersion::V1, 401, unauthorized).err(), unauthorized, NextStep::FixConfiguration),
        (read(&refresh, ApiVersion::V1, 500, server_error).err(), server_error, NextStep::RetryAfter(None)),
        (
            read(&Introspect::new(access_token()), ApiVersion::V1, 500, server_error).err(),
            server_error,
            NextStep::RetryAfter(None),
        ),
        (
            read(&Introspect::new(refresh_token()), ApiVersion::V1, 500, server_error).err(),
            server_error,
            NextStep::RetryAfter(None),
        ),
        (
            read(&Revoke::new(refresh_token()), ApiVersion::V1, 500, server_error).err(),
            server_error,
            NextStep::RetryAfter(None),
        ),
        (
            read(&exchange(None), ApiVersion::V3, 400, invalid_input).err(),
            invalid_input,
            NextStep::FixConfiguration,
        ),
        (read(&refresh, ApiVersion::V3, 400, everything).err(), everything, NextStep::FixConfiguration),
    ];
    for (error, example, next_step) in rows {
        let error = error.unwrap();
        assert_eq!(error.next_step(), next_step);
        // The error is written again as the example, so nothing of it was lost.
        let written = error.as_api().unwrap().to_response();
        let (written, example): (Value, Value) =
            (serde_json::from_slice(written.body()).unwrap(), serde_json::from_str(example).unwrap());
        assert_eq!(written, example);
        assert!(error.to_string().contains("aeb5f871-7f07-4993-9211-075dc63e7cbf"), "{error}");
        assert!(error.to_string().contains(&next_step.to_string()), "{error}");
    }
}

/// Document 2 has a 401 for a lookup of an unknown token. The later versions respond with `{"active":false}`. Both mean the same.
#[test]
fn a_lookup_of_an_unknown_token_is_inactive_on_every_version() {
    let unauthorized = r#"{"category":"UNAUTHORIZED","correlationId":"aeb5f871-7f07-4993-9211-075dc63e7cbf","message":"Invalid or expired token","subCategory":"INVALID_TOKEN"}"#;
    for status in [401, 404] {
        let lookup = |body| read(&Introspect::new(access_token()), ApiVersion::V1, status, body);
        assert_eq!(lookup(unauthorized).unwrap(), Introspection::Inactive);
        assert!(read(&Revoke::new(refresh_token()), ApiVersion::V1, status, unauthorized).is_ok());
        // Without that code the status says nothing of the token: it may come from a proxy, or from a version that was removed.
        for body in
            ["", "<html>", r#"{"message":"no handler for /oauth/v1/access-tokens/x","status":"error"}"#]
        {
            assert_eq!(lookup(body).unwrap_err().next_step(), NextStep::FixConfiguration, "{body}");
            assert!(read(&Revoke::new(refresh_token()), ApiVersion::V1, status, body).is_err(), "{body}");
        }
    }
    let inactive = r#"{"active":false}"#;
    for version in [ApiVersion::V3, ApiVersion::LATEST] {
        let response = read(&Introspect::new(access_token()), version, 200, inactive).unwrap();
        assert_eq!(response, Introspection::Inactive);
        assert!(!response.is_active());
        let error = read(&Introspect::new(access_token()), version, 401, unauthorized).unwrap_err();
        assert_eq!(error.as_api().unwrap().sub_category, Some(HubSpotCode::InvalidToken));
    }
}

/// Document 1: the whole introspection of an access token, with `signed_access_token`.
#[test]
fn the_introspection_of_v3_is_read_whole() {
    let example = r#"{
        "token_use": "access_token",
        "active": true,
        "token": "<string>",
        "hub_id": 123,
        "user_id": 123,
        "client_id": "<string>",
        "app_id": 123,
        "scopes": ["<string>"],
        "signed_access_token": {
            "appId": 123,
            "expiresAt": 123,
            "hubId": 123,
            "hublet": "<string>",
            "installingUserId": 123,
            "isPrivateDistribution": true,
            "isServiceAccount": true,
            "isUserLevel": true,
            "newSignature": "<string>",
            "scopeToScopeGroupPks": "<string>",
            "scopes": "<string>",
            "signature": "<string>",
            "trialScopeToScopeGroupPks": "<string>",
            "trialScopes": "<string>",
            "userId": 123
        },
        "expires_in": 123,
        "is_private_distribution": true,
        "token_type": "<string>",
        "user": "<string>",
        "hub_domain": "<string>"
    }"#;
    for version in [ApiVersion::V3, ApiVersion::LATEST] {
        let response = read(&Introspect::new(access_token()), version, 200, example).unwrap();
        let expected: Value = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(&response).unwrap(), expected, "nothing of it was lost");
        let Introspection::AccessToken(info) = response else { panic!("{response:?}") };
        let signed = info.signed_access_token.unwrap();
        assert_eq!(
            (signed.app_id, signed.expires_at, signed.is_user_level),
            (Some(123), Some(123), Some(true))
        );
        assert_eq!(signed.new_signature.unwrap().expose(), "<string>");
    }
}

/// The error of RFC 6749 §5.2 as HubSpot writes it since January 2026, and the older text of the same error.
#[test]
fn invalid_grant_for_a_refresh_token_ends_the_grant_and_for_a_code_ends_the_authorization() {
    let body = r#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked"}"#;
    let old = r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#;
    let hub = r#"{"status":"BAD_HUB","message":"missing or unknown hub id","error":"access_denied"}"#;
    for body in [body, old, hub] {
        let error = read(&Refresh::new(refresh_token()), ApiVersion::V1, 400, body).unwrap_err();
        assert_eq!((error.next_step(), error.status().unwrap().as_u16()), (NextStep::Reauthorize, 400));
        assert_eq!(error.as_api().unwrap().operation, Operation::Refresh);
        let error = read(&exchange(None), ApiVersion::V1, 400, body).unwrap_err();
        assert_eq!(error.next_step(), NextStep::RestartAuthorization);
    }
}
