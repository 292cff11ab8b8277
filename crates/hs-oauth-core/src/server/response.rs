//! Writing of responses.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Serve;
use crate::endpoint::{
    AccessTokenInfo, AccountDetails, ClientCredentials, Endpoint, ExchangeCode, Introspect, Introspection,
    ReadAccountDetails, Refresh, RefreshTokenInfo, Revoke, Uninstall,
};
use crate::error::{ApiError, ErrorDetail, HubSpotCode, OAuthCode};
use crate::json::UnknownFields;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::token_set::{TokenSet, TokenType, TokenUse};
use crate::version::ApiVersion;

impl Serve for ExchangeCode {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for Refresh {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for ClientCredentials {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for Introspect {
    #[inline]
    fn to_response(introspection: &Introspection, version: ApiVersion) -> Response<Vec<u8>> {
        match (version, introspection) {
            (ApiVersion::V1, Introspection::AccessToken(info)) => json(StatusCode::OK, info),
            (ApiVersion::V1, Introspection::RefreshToken(info)) => json(StatusCode::OK, info),
            (ApiVersion::V1, Introspection::Inactive) => ApiError {
                category: Some("UNAUTHORIZED".to_owned()),
                message: Some("Invalid or expired token".to_owned()),
                sub_category: Some(HubSpotCode::InvalidToken),
                ..ApiError::new(Self::OPERATION, StatusCode::UNAUTHORIZED)
            }
            .to_response(),
            _ => json(StatusCode::OK, introspection),
        }
    }
}

impl Serve for Revoke {
    #[inline]
    fn to_response((): &(), version: ApiVersion) -> Response<Vec<u8>> {
        match version {
            ApiVersion::V1 => no_content(),
            _ => with_body(StatusCode::OK, b"{}".to_vec()),
        }
    }
}

impl Serve for Uninstall {
    #[inline]
    fn to_response((): &(), _: ApiVersion) -> Response<Vec<u8>> {
        no_content()
    }
}

impl Serve for ReadAccountDetails {
    #[inline]
    fn to_response(details: &AccountDetails, _: ApiVersion) -> Response<Vec<u8>> {
        json(StatusCode::OK, details)
    }
}

impl AccountDetails {
    /// Returns the field that every response about an account has. The caller fills in the other fields.
    pub const fn new(portal_id: i64) -> Self {
        Self {
            portal_id,
            account_type: None,
            time_zone: None,
            company_currency: None,
            utc_offset: None,
            utc_offset_milliseconds: None,
            ui_domain: None,
            data_hosting_location: None,
        }
    }
}

fn no_content() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

impl ApiError {
    /// Returns the response from which this error is read.
    ///
    /// It has both of HubSpot's shapes at once, with every field that is present, and `Retry-After` in seconds.
    #[inline]
    pub fn to_response(&self) -> Response<Vec<u8>> {
        let mut response = json(self.status, &ErrorBody::from(self));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}

impl AccessTokenInfo {
    /// Returns the fields that every response about an access token has. The caller fills in the other fields.
    pub const fn new(token: AccessToken, hub_id: i64, app_id: i64, scopes: Scopes, expires_in: u64) -> Self {
        Self {
            token,
            hub_id,
            user_id: None,
            app_id,
            client_id: None,
            scopes,
            expires_in,
            token_type: None,
            is_private_distribution: None,
            user: None,
            hub_domain: None,
            signed_access_token: None,
        }
    }
}

impl RefreshTokenInfo {
    /// Returns the fields that every response about a refresh token has. The caller fills in the other fields.
    pub const fn new(token: RefreshToken, hub_id: i64, client_id: String, scopes: Scopes) -> Self {
        Self {
            token,
            hub_id,
            user_id: None,
            app_id: None,
            client_id,
            scopes,
            token_type: None,
            user: None,
            hub_domain: None,
        }
    }
}

#[inline]
fn token_response(tokens: &TokenSet) -> Response<Vec<u8>> {
    let TokenSet {
        access_token,
        refresh_token,
        token_type,
        expires_in,
        expires_at: _,
        token_use,
        hub_id,
        user_id,
        scopes,
        id_token,
        unknown,
    } = tokens;
    let body = TokenBody {
        access_token,
        refresh_token: refresh_token.as_ref(),
        token_type: *token_type,
        expires_in: *expires_in,
        token_use: token_use.as_ref(),
        hub_id: *hub_id,
        user_id: *user_id,
        scopes: scopes.as_ref(),
        id_token: id_token.as_ref(),
        unknown,
    };
    json(StatusCode::OK, &body)
}

/// The body of a token response. It lacks `expires_at`, since each side counts from its own clock.
#[derive(Serialize)]
struct TokenBody<'t> {
    #[serde(rename = "access_token")]
    access_token: &'t AccessToken,
    #[serde(rename = "refresh_token", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'t RefreshToken>,
    #[serde(rename = "token_type")]
    token_type: TokenType,
    #[serde(rename = "expires_in")]
    expires_in: u64,
    #[serde(rename = "token_use", skip_serializing_if = "Option::is_none")]
    token_use: Option<&'t TokenUse>,
    #[serde(rename = "hub_id", skip_serializing_if = "Option::is_none")]
    hub_id: Option<i64>,
    #[serde(rename = "user_id", skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(rename = "scopes", skip_serializing_if = "Option::is_none")]
    scopes: Option<&'t Scopes>,
    #[serde(rename = "id_token", skip_serializing_if = "Option::is_none")]
    id_token: Option<&'t IdToken>,
    #[serde(flatten)]
    unknown: &'t UnknownFields,
}

/// The body of an error response, in both of HubSpot's shapes at once.
#[derive(Serialize)]
struct ErrorBody<'e> {
    #[serde(rename = "error", skip_serializing_if = "Option::is_none")]
    error: Option<&'e OAuthCode>,
    #[serde(rename = "error_description", skip_serializing_if = "Option::is_none")]
    error_description: Option<&'e str>,
    #[serde(rename = "status", skip_serializing_if = "Option::is_none")]
    code: Option<&'e HubSpotCode>,
    #[serde(rename = "subCategory", skip_serializing_if = "Option::is_none")]
    sub_category: Option<&'e HubSpotCode>,
    #[serde(rename = "category", skip_serializing_if = "Option::is_none")]
    category: Option<&'e str>,
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
    #[serde(rename = "correlationId", skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'e str>,
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'e str>,
    #[serde(rename = "errorType", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'e str>,
    #[serde(rename = "policyName", skip_serializing_if = "Option::is_none")]
    policy_name: Option<&'e str>,
    #[serde(rename = "groupName", skip_serializing_if = "Option::is_none")]
    group_name: Option<&'e str>,
    #[serde(rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    context: &'e BTreeMap<String, Vec<String>>,
    #[serde(rename = "links", skip_serializing_if = "BTreeMap::is_empty")]
    links: &'e BTreeMap<String, String>,
    #[serde(rename = "errors", skip_serializing_if = "<[_]>::is_empty")]
    errors: &'e [ErrorDetail],
}

impl<'e> From<&'e ApiError> for ErrorBody<'e> {
    fn from(error: &'e ApiError) -> Self {
        let ApiError {
            operation: _,
            status: _,
            error,
            error_description,
            code,
            sub_category,
            category,
            message,
            correlation_id,
            request_id,
            error_type,
            policy_name,
            group_name,
            context,
            links,
            errors,
            // What is written is whole.
            problem: _,
            retry_after: _,
        } = error;
        Self {
            error: error.as_ref(),
            error_description: error_description.as_deref(),
            code: code.as_ref(),
            sub_category: sub_category.as_ref(),
            category: category.as_deref(),
            message: message.as_deref(),
            correlation_id: correlation_id.as_deref(),
            request_id: request_id.as_deref(),
            error_type: error_type.as_deref(),
            policy_name: policy_name.as_deref(),
            group_name: group_name.as_deref(),
            context,
            links,
            errors,
        }
    }
}

/// Returns a JSON response with this body.
fn json(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    // This cannot fail, since the keys of these types are strings and their `Serialize` does not fail.
    with_body(status, serde_json::to_vec(body).unwrap_or_default())
}

/// Returns a JSON response that must not be cached (RFC 6749 §5.1).
fn with_body(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Operation;
    use crate::timestamp::Timestamp;

    fn text(response: Response<Vec<u8>>) -> String {
        String::from_utf8(response.into_body()).unwrap()
    }

    #[test]
    fn the_body_of_a_full_error_response_is_this_text() {
        let owned = |text: &str| Some(text.to_owned());
        let error = ApiError {
            operation: Operation::Refresh,
            status: StatusCode::BAD_REQUEST,
            error: Some(OAuthCode::InvalidGrant),
            error_description: owned("refresh token is invalid"),
            code: Some(HubSpotCode::BadRefreshToken),
            sub_category: Some(HubSpotCode::Other("SOMETHING_NEW".to_owned())),
            category: owned("VALIDATION_ERROR"),
            message: owned("bad \"token\""),
            correlation_id: owned("c-1"),
            request_id: owned("r-1"),
            error_type: owned("RATE_LIMIT"),
            policy_name: owned("DAILY"),
            group_name: owned("group"),
            context: BTreeMap::from([("names".to_owned(), vec!["a".to_owned()])]),
            links: BTreeMap::from([("docs".to_owned(), "https://example.com".to_owned())]),
            errors: vec![ErrorDetail { message: owned("bad"), ..ErrorDetail::default() }],
            problem: None,
            retry_after: Some(Duration::from_secs(5)),
        };
        let response = error.to_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(
            text(response),
            concat!(
                r#"{"error":"invalid_grant","error_description":"refresh token is invalid","#,
                r#""status":"BAD_REFRESH_TOKEN","subCategory":"SOMETHING_NEW","category":"VALIDATION_ERROR","#,
                r#""message":"bad \"token\"","correlationId":"c-1","requestId":"r-1","errorType":"RATE_LIMIT","#,
                r#""policyName":"DAILY","groupName":"group","context":{"names":["a"]},"#,
                r#""links":{"docs":"https://example.com"},"errors":[{"message":"bad"}]}"#,
            )
        );
    }

    #[test]
    fn the_body_of_an_error_response_without_fields_is_an_empty_object() {
        assert_eq!(text(ApiError::new(Operation::Refresh, StatusCode::NOT_FOUND).to_response()), "{}");
    }

    #[test]
    fn the_bodies_of_token_responses_are_these_texts() {
        let sent_at = Timestamp::from_secs(1_790_000_000);
        let mut tokens = TokenSet::new(AccessToken::new("CK-1").unwrap(), 1800, sent_at);
        assert_eq!(
            text(ClientCredentials::to_response(&tokens, ApiVersion::LATEST)),
            r#"{"access_token":"CK-1","token_type":"bearer","expires_in":1800}"#
        );
        tokens.refresh_token = Some(RefreshToken::new("na1-2").unwrap());
        tokens.token_use = Some(TokenUse::AccessToken);
        tokens.hub_id = Some(62515);
        tokens.user_id = Some(7);
        tokens.scopes = Some("oauth".parse().unwrap());
        tokens.id_token = Some(IdToken::new("e.y.J").unwrap());
        assert!(tokens.unknown.insert("later", &true));
        assert_eq!(
            text(Refresh::to_response(&tokens, ApiVersion::V1)),
            concat!(
                r#"{"access_token":"CK-1","refresh_token":"na1-2","token_type":"bearer","expires_in":1800,"#,
                r#""token_use":"access_token","hub_id":62515,"user_id":7,"scopes":["oauth"],"id_token":"e.y.J","#,
                r#""later":true}"#,
            )
        );
    }

    #[test]
    fn v1_responds_to_an_unknown_token_with_this_error() {
        let response = Introspect::to_response(&Introspection::Inactive, ApiVersion::V1);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            text(response),
            r#"{"subCategory":"INVALID_TOKEN","category":"UNAUTHORIZED","message":"Invalid or expired token"}"#
        );
    }
}
