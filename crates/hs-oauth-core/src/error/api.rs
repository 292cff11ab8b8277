//! Error responses, and what to do about each.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::codes::{HubSpotCode, OAuthCode};
use super::{NextStep, Operation};

/// An error response of HubSpot's, in either of its two shapes or a mix of both (RFC 6749 §5.2 and HubSpot's own).
///
/// Every field but `operation` and `status` may be absent. Codes are open sets. Every text is without the request's secrets and
/// without control characters, and has at most 512 characters. The body itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// What the request asked for.
    pub operation: Operation,
    /// The HTTP status. A status of 300 to 399 is a redirect, which is never followed.
    pub status: StatusCode,
    /// The error code of RFC 6749, from `error`.
    pub error: Option<OAuthCode>,
    /// The explanation that goes with it, from `error_description`.
    pub error_description: Option<String>,
    /// HubSpot's own code, from `status` in the body. The value `"error"`, which is not a code, is left out.
    pub code: Option<HubSpotCode>,
    /// HubSpot's own code, from `subCategory`, where newer endpoints put it.
    pub sub_category: Option<HubSpotCode>,
    /// The kind of error, from `category`, such as `VALIDATION_ERROR` or `RATE_LIMITS`.
    pub category: Option<String>,
    /// The explanation for people, from `message`.
    pub message: Option<String>,
    /// The id that HubSpot's support asks for, from `correlationId`.
    pub correlation_id: Option<String>,
    /// The id of the request, from `requestId`.
    pub request_id: Option<String>,
    /// The type of error, from `errorType`, such as `RATE_LIMIT`.
    pub error_type: Option<String>,
    /// The rate limit that was exceeded, from `policyName`: `DAILY` or `TEN_SECONDLY_ROLLING`.
    pub policy_name: Option<String>,
    /// The group of that rate limit, from `groupName`.
    pub group_name: Option<String>,
    /// Lists of values by name, from `context`.
    pub context: BTreeMap<String, Vec<String>>,
    /// Addresses of documentation by name, from `links`.
    pub links: BTreeMap<String, String>,
    /// The single faults, from `errors`.
    pub errors: Vec<ErrorDetail>,
    /// The time that the `Retry-After` header asks to wait (RFC 9110 §10.2.3), at most 24 hours. A date counts from the `Date` of the
    /// response.
    pub retry_after: Option<Duration>,
}

/// One fault among the `errors` of an [`ApiError`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorDetail {
    /// The explanation for people.
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The fault's code.
    #[serde(rename = "code", skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The fault's more specific code.
    #[serde(rename = "subCategory", skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// The field or place that the fault is in, from `in`.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Lists of values by name, from `context`.
    #[serde(rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

/// What a code is about, whatever the request asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The grant is not accepted, be it a refresh token or an authorization code.
    Grant,
    /// The authorization code is not accepted. This says nothing about a refresh token.
    Code,
    /// The app is configured wrongly.
    Configuration,
}

impl ApiError {
    /// Returns an error response with this status and no other field.
    pub fn new(operation: Operation, status: StatusCode) -> Self {
        Self {
            operation,
            status,
            error: None,
            error_description: None,
            code: None,
            sub_category: None,
            category: None,
            message: None,
            correlation_id: None,
            request_id: None,
            error_type: None,
            policy_name: None,
            group_name: None,
            context: BTreeMap::new(),
            links: BTreeMap::new(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// Returns whether HubSpot says that the grant is gone, because the refresh token or the account no longer exists.
    ///
    /// This does not depend on the operation. After a refresh, the next step is to reauthorize. After a revocation, nothing is left to
    /// revoke.
    pub fn refuses_grant(&self) -> bool {
        let status = self.status.as_u16();
        self.status.is_client_error()
            && !matches!(status, 423 | 429 | 477)
            && self.meaning() == Some(Meaning::Grant)
    }

    /// Returns what to do next.
    ///
    /// The HTTP status decides if it is 3xx, 423, 429, 477 or 5xx. Otherwise the first code with a known meaning decides, in the
    /// order `error`, `status`, `subCategory`. Without one, a 4xx is the fault of the app and never that of the account.
    pub fn next_step(&self) -> NextStep {
        match self.status.as_u16() {
            429 => {
                NextStep::RetryAfter(Some(self.retry_after.unwrap_or(match self.policy_name.as_deref() {
                    // This limit resets at midnight in the account's time zone, which is not known here. One try an hour wastes
                    // few.
                    Some("DAILY") => Duration::from_secs(60 * 60),
                    _ => Duration::from_secs(10),
                })))
            }
            423 => {
                let min_wait = Duration::from_secs(2);
                NextStep::RetryAfter(Some(self.retry_after.map_or(min_wait, |wait| wait.max(min_wait))))
            }
            477 | 500.. => NextStep::RetryAfter(self.retry_after),
            // HubSpot's OAuth API sends no redirects, so the body does not count.
            ..400 => NextStep::FixConfiguration,
            _ => match (self.meaning(), self.operation) {
                (Some(Meaning::Grant), Operation::Refresh) => NextStep::Reauthorize,
                (Some(Meaning::Grant | Meaning::Code), Operation::ExchangeCode) => {
                    NextStep::RestartAuthorization
                }
                _ => NextStep::FixConfiguration,
            },
        }
    }

    /// Returns whether this says that the token in the request is unknown, as `v1` does for a lookup.
    ///
    /// The status alone does not say so: a wrong address or a version that was removed has a 404 too.
    pub(crate) fn is_unknown_token(&self) -> bool {
        let is_code =
            |code: &HubSpotCode| matches!(code, HubSpotCode::InvalidToken | HubSpotCode::BadRefreshToken);
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
            && (self.sub_category.iter().chain(&self.code)).any(is_code)
    }

    /// Returns the meaning of the first code that has a known one, in the order `error`, `status`, `subCategory`.
    fn meaning(&self) -> Option<Meaning> {
        let error = self.error.as_ref().and_then(|error| match error {
            OAuthCode::InvalidGrant | OAuthCode::AccessDenied => Some(Meaning::Grant),
            OAuthCode::InvalidRequest
            | OAuthCode::InvalidClient
            | OAuthCode::UnauthorizedClient
            | OAuthCode::UnsupportedGrantType
            | OAuthCode::InvalidScope
            | OAuthCode::UnsupportedResponseType => Some(Meaning::Configuration),
            OAuthCode::ServerError | OAuthCode::TemporarilyUnavailable | OAuthCode::Other(_) => None,
        });
        let code = |code: &HubSpotCode| match code {
            HubSpotCode::BadRefreshToken | HubSpotCode::BadHub => Some(Meaning::Grant),
            HubSpotCode::BadAuthCode
            | HubSpotCode::ExpiredAuthCode
            | HubSpotCode::MismatchRedirectUriAuthCode
            | HubSpotCode::BadCodeVerifier => Some(Meaning::Code),
            HubSpotCode::BadRedirectUri
            | HubSpotCode::BadClientId
            | HubSpotCode::BadClientSecret
            | HubSpotCode::BadGrantType
            | HubSpotCode::BadScopes => Some(Meaning::Configuration),
            HubSpotCode::InvalidToken | HubSpotCode::Other(_) => None,
        };
        error
            .or_else(|| self.code.as_ref().and_then(code))
            .or_else(|| self.sub_category.as_ref().and_then(code))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubSpot did not {} (status {}", self.operation, self.status.as_u16())?;
        if let Some(error) = &self.error {
            write!(f, ", {error}")?;
        }
        if let Some(code) = self.code.as_ref().or(self.sub_category.as_ref()) {
            write!(f, ", {code}")?;
        }
        f.write_str(")")?;
        if self.status.is_redirection() {
            f.write_str(": it answered with a redirect, which is never followed")?;
        } else if let Some(text) = self.error_description.as_ref().or(self.message.as_ref()) {
            write!(f, ": {text}")?;
        }
        if let Some(correlation_id) = &self.correlation_id {
            write!(f, " [correlation id {correlation_id}]")?;
        }
        write!(f, "; next: {}", self.next_step())
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;
    use crate::timestamp::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn read(operation: Operation, status: u16, body: &str) -> ApiError {
        let response = Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        ApiError::read(operation, &response, NOW, ["s3cret/x", "na1-token", ""])
    }

    fn step(operation: Operation, status: u16, body: &str) -> NextStep {
        read(operation, status, body).next_step()
    }

    /// The table in HubSpot's error documentation: what `error`, `status` and `subCategory` ask of the caller.
    #[test]
    fn every_documented_code_has_its_next_step() {
        use NextStep::{FixConfiguration as Fix, Reauthorize, RestartAuthorization as Restart};
        use Operation::{ClientCredentials, ExchangeCode, Introspect, Refresh, Revoke};
        for (code, on_refresh, on_exchange) in [
            ("invalid_grant", Reauthorize, Restart),
            ("access_denied", Reauthorize, Restart),
            ("invalid_client", Fix, Fix),
            ("unauthorized_client", Fix, Fix),
            ("unsupported_grant_type", Fix, Fix),
            ("invalid_request", Fix, Fix),
            ("invalid_scope", Fix, Fix),
            ("something_new", Fix, Fix),
            ("BAD_REFRESH_TOKEN", Reauthorize, Restart),
            ("BAD_HUB", Reauthorize, Restart),
            ("BAD_AUTH_CODE", Fix, Restart),
            ("EXPIRED_AUTH_CODE", Fix, Restart),
            ("BAD_CODE_VERIFIER", Fix, Restart),
            ("MISMATCH_REDIRECT_URI_AUTH_CODE", Fix, Restart),
            ("BAD_CLIENT_ID", Fix, Fix),
            ("BAD_CLIENT_SECRET", Fix, Fix),
            ("BAD_REDIRECT_URI", Fix, Fix),
            ("BAD_GRANT_TYPE", Fix, Fix),
            ("BAD_SCOPES", Fix, Fix),
            ("SOMETHING_NEW", Fix, Fix),
        ] {
            let keys: &[&str] =
                if code.starts_with(char::is_lowercase) { &["error"] } else { &["status", "subCategory"] };
            for (key, status) in keys.iter().flat_map(|key| [400, 401, 403, 404].map(|status| (key, status)))
            {
                let body = format!("{{\"{key}\":\"{code}\"}}");
                assert_eq!(step(Refresh, status, &body), on_refresh, "{status} {body}");
                assert_eq!(step(ExchangeCode, status, &body), on_exchange, "{status} {body}");
                for operation in [ClientCredentials, Introspect, Revoke] {
                    assert_eq!(step(operation, status, &body), Fix, "{operation:?} {status} {body}");
                }
            }
        }
    }

    #[test]
    fn error_counts_before_status_and_status_before_sub_category() {
        for (body, next) in [
            (r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#, NextStep::FixConfiguration),
            (r#"{"error":"invalid_grant","status":"BAD_CLIENT_ID"}"#, NextStep::Reauthorize),
            (r#"{"error":"something_new","status":"BAD_REFRESH_TOKEN"}"#, NextStep::Reauthorize),
            (r#"{"status":"BAD_CLIENT_ID","subCategory":"BAD_REFRESH_TOKEN"}"#, NextStep::FixConfiguration),
            (r#"{"status":"error","subCategory":"BAD_REFRESH_TOKEN"}"#, NextStep::Reauthorize),
        ] {
            assert_eq!(step(Operation::Refresh, 400, body), next, "{body}");
        }
    }

    /// An unknown error must never disconnect customers.
    #[test]
    fn no_status_ends_a_grant_by_itself_and_a_temporary_one_counts_before_any_code() {
        let gone = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
        for status in 300..=599 {
            let temporary = matches!(status, 423 | 429 | 477 | 500..);
            for body in ["", "<html>", "{}", "{\"error\":{}}"] {
                let next = step(Operation::Refresh, status, body);
                assert_eq!(matches!(next, NextStep::RetryAfter(_)), temporary, "{status}");
                assert_eq!(next == NextStep::FixConfiguration, !temporary, "{status}");
            }
            let next = step(Operation::Refresh, status, gone);
            assert_eq!(next == NextStep::Reauthorize, !temporary && status >= 400, "{status}");
        }
    }

    /// Returns the wait that the next step names, in seconds.
    fn wait(status: u16, headers: &[(&str, &str)], body: &str) -> Option<u64> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(body.as_bytes().to_vec()).unwrap();
        match ApiError::read(Operation::Refresh, &response, NOW, [""; 3]).next_step() {
            NextStep::RetryAfter(wait) => wait.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_temporary_status_has_its_own_wait() {
        let daily = r#"{"errorType":"RATE_LIMIT","policyName":"DAILY"}"#;
        let rolling = r#"{"errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#;
        assert_eq!(wait(429, &[], rolling), Some(10));
        assert_eq!(wait(429, &[], ""), Some(10));
        assert_eq!(wait(429, &[("retry-after", "3")], rolling), Some(3));
        assert_eq!(wait(429, &[], daily), Some(3600));
        assert_eq!(wait(423, &[], ""), Some(2));
        assert_eq!(wait(423, &[("retry-after", "1")], ""), Some(2));
        assert_eq!(wait(423, &[("retry-after", "5")], ""), Some(5));
        assert_eq!(wait(477, &[("retry-after", "43200")], ""), Some(43_200));
        for status in [477, 500, 502, 503, 521, 526, 599] {
            assert_eq!(wait(status, &[], ""), None, "{status}");
        }
    }

    #[test]
    fn the_message_says_what_happened_and_what_to_do() {
        let body = r#"{"error":"invalid_grant","error_description":"refresh token is invalid","status":"BAD_REFRESH_TOKEN","correlationId":"c-1"}"#;
        assert_eq!(
            read(Operation::Refresh, 400, body).to_string(),
            "HubSpot did not refresh the token (status 400, invalid_grant, BAD_REFRESH_TOKEN): refresh token is invalid \
             [correlation id c-1]; next: ask the account to connect the app again"
        );
        assert!(
            read(Operation::Refresh, 302, "").to_string().contains("a redirect, which is never followed")
        );
    }

    #[test]
    fn the_serialized_form_of_a_detail_is_this_text() {
        let detail = ErrorDetail {
            message: Some("bad".to_owned()),
            code: Some("INVALID".to_owned()),
            sub_category: Some("FINER".to_owned()),
            location: Some("scope".to_owned()),
            context: BTreeMap::from([("names".to_owned(), vec!["a".to_owned(), "b".to_owned()])]),
        };
        assert_eq!(
            serde_json::to_string(&detail).unwrap(),
            r#"{"message":"bad","code":"INVALID","subCategory":"FINER","in":"scope","context":{"names":["a","b"]}}"#
        );
        assert_eq!(serde_json::to_string(&ErrorDetail::default()).unwrap(), "{}");
    }
}
