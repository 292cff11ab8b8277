//! The error responses of the token API.

use hs_oauth_core::server::{Rejection, Serve};
use hs_oauth_core::{ApiError, ApiVersion, ErrorDetail, HubSpotCode, Introspect, Introspection, Revoke};
use http::{Method, Request, Response, StatusCode};

use crate::grants::GrantError;
use crate::responses::{bad_request, error};

pub(super) fn from_grant_error(grant_error: GrantError) -> Box<ApiError> {
    let (code, status, message) = match grant_error {
        GrantError::UnknownCode => ("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code"),
        GrantError::ExpiredCode => ("invalid_grant", "EXPIRED_AUTH_CODE", "the auth code is expired"),
        GrantError::RedirectUriMismatch => (
            "invalid_grant",
            "MISMATCH_REDIRECT_URI_AUTH_CODE",
            "the redirect uri is not the one the auth code was issued for",
        ),
        GrantError::WrongCodeVerifier => {
            ("invalid_grant", "BAD_CODE_VERIFIER", "the code verifier does not fit the code challenge")
        }
        GrantError::UnknownRefreshToken => {
            ("invalid_grant", "BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked")
        }
        GrantError::OtherApp => {
            ("invalid_grant", "BAD_REFRESH_TOKEN", "refresh token was not issued to this client")
        }
        GrantError::ScopeNotGranted => {
            ("invalid_scope", "BAD_SCOPES", "a scope was asked for that was not granted")
        }
        GrantError::HubDeleted => ("access_denied", "BAD_HUB", "missing or unknown hub id"),
    };
    error(StatusCode::BAD_REQUEST, code, status, message)
}

/// Returns the error of `v1` for a lookup or a `DELETE` of a token that is not valid.
pub(super) fn unknown_token() -> Box<ApiError> {
    let mut unknown = error(StatusCode::UNAUTHORIZED, "invalid_token", "error", "Invalid or expired token");
    unknown.sub_category = Some(HubSpotCode::InvalidToken);
    unknown
}

/// Returns the response to a request that could not be read. Text that cannot be a token is treated as an unknown
/// token.
pub(super) fn respond_to_rejected(
    request: &Request<Vec<u8>>,
    rejection: &Rejection,
) -> Result<Response<Vec<u8>>, Box<ApiError>> {
    let is_malformed = matches!(rejection, Rejection::Malformed(_));
    match (request.method(), request.uri().path().rsplit('/').next()) {
        (&Method::GET | &Method::DELETE, _) => Err(unknown_token()),
        (_, Some("introspect")) if is_malformed => {
            Ok(Introspect::to_response(&Introspection::Inactive, ApiVersion::LATEST))
        }
        (_, Some("revoke")) if is_malformed => Ok(Revoke::to_response(&(), ApiVersion::LATEST)),
        _ => Err(from_rejection(rejection)),
    }
}

pub(super) fn from_rejection(rejection: &Rejection) -> Box<ApiError> {
    let mut error = bad_request(rejection.to_string());
    match rejection {
        Rejection::Malformed(invalid) => match invalid.argument {
            "code" => return from_grant_error(GrantError::UnknownCode),
            "code_verifier" => return from_grant_error(GrantError::WrongCodeVerifier),
            "refresh_token" => return from_grant_error(GrantError::UnknownRefreshToken),
            "scope" => return from_grant_error(GrantError::ScopeNotGranted),
            "client_secret" | "client_assertion" => {
                error.error = Some("invalid_client".into());
                error.code = Some(HubSpotCode::BadClientSecret);
            }
            _ => {}
        },
        Rejection::UnsupportedGrantType => {
            error.error = Some("unsupported_grant_type".into());
            error.code = Some(HubSpotCode::BadGrantType);
        }
        Rejection::Missing(name) => {
            let mut detail = ErrorDetail::default();
            detail.message = Some(format!("The '{name}' parameter is required"));
            detail.code = Some("MISSING_REQUIRED_FIELD".to_owned());
            detail.location = Some("body".to_owned());
            error.sub_category = Some("MISSING_PARAMETER".into());
            error.errors = vec![detail];
        }
        _ => {}
    }
    error
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::testing::{Harness, assert_error_response, json};

    const CLIENT: &str =
        "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890&client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";

    /// HubSpot's error reference: the whole error body since January 2026.
    #[test]
    fn an_unknown_refresh_token_gets_the_error_body_of_hubspot() {
        let mut harness = Harness::new();
        let response = harness
            .post("/oauth/2026-09/token", &format!("{CLIENT}&grant_type=refresh_token&refresh_token=nope"));
        assert_eq!(response.status(), 400);
        assert_error_response(&response);
        let body = json(&response);
        let text = "refresh token is invalid, expired or revoked";
        for (name, value) in [
            ("error", "invalid_grant"),
            ("error_description", text),
            ("status", "BAD_REFRESH_TOKEN"),
            ("message", text),
        ] {
            assert_eq!(body[name], value);
        }
    }

    /// RFC 6749 §3.2 and §5.2.
    #[test]
    fn a_request_that_cannot_be_read_gets_the_error_code_for_its_mistake() {
        let mut harness = Harness::new();
        for (form, error) in [
            ("", "invalid_request"),
            ("&grant_type=", "invalid_request"),
            ("&grant_type=password", "unsupported_grant_type"),
            ("&grant_type=refresh_token", "invalid_request"),
            ("&grant_type=authorization_code&code=x", "invalid_request"),
            ("&grant_type=authorization_code&redirect_uri=x", "invalid_request"),
            ("&grant_type=refresh_token&refresh_token=a&refresh_token=b", "invalid_request"),
            ("&client_secret=x&grant_type=refresh_token&refresh_token=a", "invalid_request"),
            ("&grant_type=refresh_token&refresh_token=%00", "invalid_grant"),
            ("&grant_type=refresh_token&refresh_token=..", "invalid_grant"),
            ("&grant_type=authorization_code&redirect_uri=x&code=%C3%A9", "invalid_grant"),
            ("&grant_type=authorization_code&redirect_uri=x&code=x&code_verifier=short", "invalid_grant"),
            ("&grant_type=client_credentials&scope=%22", "invalid_scope"),
        ] {
            let response = harness.post("/oauth/v3/token", &format!("{CLIENT}{form}"));
            assert_eq!(response.status(), 400, "{form}");
            assert_error_response(&response);
            assert_eq!(json(&response)["error"], error, "{form}");
        }
        let response = harness.post("/oauth/v3/token", &format!("{CLIENT}&grant_type=refresh_token"));
        assert_eq!(json(&response)["errors"][0]["message"], "The 'refresh_token' parameter is required");
    }

    /// RFC 7662 §2.2: the response says only that the token is not active. RFC 7009 §2.2: revoking an unknown token
    /// succeeds.
    #[test]
    fn text_that_cannot_be_a_token_is_treated_as_an_unknown_token() {
        let mut harness = Harness::new();
        for token in ["nope", "%00", "%0a", "a%20b", "..", "%C3%A9", &"x".repeat(20_000)] {
            for hint in
                ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=x"]
            {
                let response =
                    harness.post("/oauth/v3/token/introspect", &format!("{CLIENT}&token={token}{hint}"));
                assert_eq!(
                    (response.status().as_u16(), response.body().as_slice()),
                    (200, br#"{"active":false}"#.as_slice())
                );
                assert_eq!(response.headers()["cache-control"], "no-store");
            }
            let response = harness.post("/oauth/2026-09/token/revoke", &format!("{CLIENT}&token={token}"));
            assert_eq!(response.status(), 200);
            for kind in ["access", "refresh"] {
                let path = format!("/oauth/v1/{kind}-tokens/{token}");
                let response = harness.get(&path);
                assert_eq!(response.status(), 401, "{path}");
                assert_error_response(&response);
                let body = json(&response);
                assert_eq!(
                    (&body["category"], &body["subCategory"]),
                    (&"UNAUTHORIZED".into(), &"INVALID_TOKEN".into())
                );
            }
            let request = Request::delete(format!("/oauth/v1/refresh-tokens/{token}"));
            let response = harness.send(request.body(Vec::new()).unwrap());
            assert_eq!(response.status(), 401, "{token}");
            assert_error_response(&response);
        }
    }
}
