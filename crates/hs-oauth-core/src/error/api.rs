//! Error responses, and what to do about each.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::codes::{HubSpotCode, OAuthCode};
use super::{NextStep, Operation};
use crate::json::Problem;

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
    /// What is wrong with the body, if it is not one whole JSON object. HubSpot's bodies are, so no code in it ends a grant then.
    pub problem: Option<Problem>,
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
            problem: None,
            retry_after: None,
        }
    }

    /// Returns whether HubSpot says that the grant is gone, because the refresh token or the account no longer exists.
    ///
    /// That takes a 400 or 401 with `invalid_grant` or `BAD_REFRESH_TOKEN`, or any other 4xx but 423, 429 and 477 with `BAD_HUB`. The
    /// body must be one whole JSON object, and no code in it may say that the app is at fault. `access_denied` alone does not count,
    /// since gateways and firewalls send it, too.
    ///
    /// This does not depend on the operation. After a refresh, the next step is to reauthorize. After a revocation, nothing is left to
    /// revoke.
    pub fn refuses_grant(&self) -> bool {
        let status = self.status.as_u16();
        let is_refused = matches!(status, 400 | 401)
            && (self.error == Some(OAuthCode::InvalidGrant) || self.has_code(&HubSpotCode::BadRefreshToken));
        let is_temporary = matches!(status, 423 | 429 | 477);
        let has_no_hub =
            self.status.is_client_error() && !is_temporary && self.has_code(&HubSpotCode::BadHub);
        (is_refused || has_no_hub) && self.problem.is_none() && self.blaming_code().is_none()
    }

    /// Returns whether HubSpot says that the access token of the request has expired: a 401 with the category
    /// `EXPIRED_AUTHENTICATION`. A new token helps then. It does not after any other 401.
    pub fn is_expired_access_token(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && self.category.as_deref() == Some("EXPIRED_AUTHENTICATION")
    }

    /// Returns what to do next.
    ///
    /// The HTTP status decides if it is 3xx, 423, 429, 477 or 5xx. Any other 4xx is the fault of the app, unless it
    /// [refuses the grant](Self::refuses_grant) that was to be refreshed or the code that was to be exchanged, and no code in it
    /// says that the app is at fault.
    ///
    /// After a call with an account's access token that has [expired](Self::is_expired_access_token), it is to try again at once, with
    /// a new one. The stored grant stays good after every other 401.
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
            _ => match self.operation {
                Operation::Refresh if self.refuses_grant() => NextStep::Reauthorize,
                Operation::ExchangeCode if self.refuses_grant() || self.refuses_code() => {
                    NextStep::RestartAuthorization
                }
                Operation::Uninstall | Operation::AccountDetails if self.is_expired_access_token() => {
                    NextStep::RetryAfter(Some(Duration::ZERO))
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

    /// Returns whether HubSpot does not accept the authorization code. This says nothing about a refresh token.
    fn refuses_code(&self) -> bool {
        let codes = [
            HubSpotCode::BadAuthCode,
            HubSpotCode::ExpiredAuthCode,
            HubSpotCode::MismatchRedirectUriAuthCode,
            HubSpotCode::BadCodeVerifier,
        ];
        codes.iter().any(|code| self.has_code(code)) && self.blaming_code().is_none()
    }

    /// Returns whether this is HubSpot's own code for the whole response.
    fn has_code(&self, code: &HubSpotCode) -> bool {
        self.code.as_ref() == Some(code) || self.sub_category.as_ref() == Some(code)
    }

    /// Returns the code that says that the app is at fault, wherever in the body it is. Then the others say nothing of the grant.
    fn blaming_code(&self) -> Option<&str> {
        let own = [&self.code, &self.sub_category].map(|code| code.as_ref().map(HubSpotCode::as_str));
        let details = (self.errors.iter()).flat_map(|fault| [&fault.code, &fault.sub_category]);
        let texts = [&self.category, &self.error_type].into_iter().chain(details).map(Option::as_deref);
        let error = self.error.as_ref().map(OAuthCode::as_str);
        [error].into_iter().chain(own).chain(texts).flatten().find(|code| blames_app(code))
    }
}

/// Returns whether this code says that the app is at fault: its credentials, or what it sends.
fn blames_app(code: &str) -> bool {
    matches!(
        code,
        "invalid_request"
            | "invalid_client"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope"
            | "unsupported_response_type"
            | "BAD_REDIRECT_URI"
            | "BAD_CLIENT_ID"
            | "BAD_CLIENT_SECRET"
            | "BAD_GRANT_TYPE"
            | "BAD_SCOPES"
    )
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubSpot did not {} (status {}", self.operation, self.status.as_u16())?;
        let error = self.error.as_ref().map(OAuthCode::as_str);
        let code = self.code.as_ref().or(self.sub_category.as_ref()).map(HubSpotCode::as_str);
        // The reason for the next step, where another code would let one expect another step.
        let blaming = self.blaming_code().filter(|blaming| ![error, code].contains(&Some(blaming)));
        for code in [error, code, blaming].into_iter().flatten() {
            write!(f, ", {code}")?;
        }
        if self.problem.is_some() && self.status.is_client_error() {
            f.write_str(", in a body that is not one whole JSON object")?;
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

    /// The statuses that ask to come back later, whatever the body says.
    fn is_temporary(status: u16) -> bool {
        matches!(status, 423 | 429 | 477 | 500..)
    }

    /// The table in HubSpot's error documentation: what a code asks of the caller if it comes with a 400 and nothing beside it.
    #[test]
    fn every_documented_code_has_its_next_step() {
        use NextStep::{FixConfiguration as Fix, Reauthorize, RestartAuthorization as Restart};
        use Operation::{ClientCredentials, ExchangeCode, Introspect, Refresh, Revoke};
        for (code, on_refresh, on_exchange) in [
            ("invalid_grant", Reauthorize, Restart),
            ("access_denied", Fix, Fix),
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
            for key in keys {
                let body = format!("{{\"{key}\":\"{code}\"}}");
                assert_eq!(step(Refresh, 400, &body), on_refresh, "{body}");
                assert_eq!(step(ExchangeCode, 400, &body), on_exchange, "{body}");
                for operation in [ClientCredentials, Introspect, Revoke] {
                    assert_eq!(step(operation, 400, &body), Fix, "{operation:?} {body}");
                }
            }
        }
    }

    /// A gateway that answers for HubSpot, or a wrong secret, must never disconnect customers.
    #[test]
    fn a_grant_ends_only_by_the_words_that_hubspot_has_for_it() {
        use NextStep::{FixConfiguration as Fix, Reauthorize, RestartAuthorization as Restart};
        for (status, body, on_refresh, on_exchange) in [
            // HubSpot's own bodies, whole, old and new.
            (400, r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#, Reauthorize, Restart),
            (401, r#"{"error":"invalid_grant"}"#, Reauthorize, Restart),
            (400, r#"{"status":"BAD_REFRESH_TOKEN","message":"missing"}"#, Reauthorize, Restart),
            (400, r#"{"status":"error","subCategory":"BAD_REFRESH_TOKEN"}"#, Reauthorize, Restart),
            (400, r#"{"error":"access_denied","status":"BAD_HUB"}"#, Reauthorize, Restart),
            (403, r#"{"error":"access_denied","status":"BAD_HUB"}"#, Reauthorize, Restart),
            (404, r#"{"category":"OBJECT_NOT_FOUND","subCategory":"BAD_HUB"}"#, Reauthorize, Restart),
            (400, r#"{"error":"something_new","status":"BAD_REFRESH_TOKEN"}"#, Reauthorize, Restart),
            // A gateway's words.
            (400, r#"{"error":"access_denied"}"#, Fix, Fix),
            (401, r#"{"error":"access_denied"}"#, Fix, Fix),
            (403, r#"{"error":"access_denied"}"#, Fix, Fix),
            (403, r#"{"error":"access_denied","status":"BLOCKED"}"#, Fix, Fix),
            (403, r#"{"error":"invalid_grant"}"#, Fix, Fix),
            (404, r#"{"status":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (410, r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (422, r#"{"subCategory":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            // The app is at fault as well, so nothing is said of the grant. This code may be anywhere.
            (400, r#"{"error":"invalid_grant","status":"BAD_CLIENT_SECRET"}"#, Fix, Fix),
            (401, r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (400, r#"{"status":"BAD_REFRESH_TOKEN","subCategory":"BAD_CLIENT_ID"}"#, Fix, Fix),
            (400, r#"{"status":"BAD_CLIENT_ID","subCategory":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (400, r#"{"error":"BAD_CLIENT_ID","status":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (400, r#"{"error":"invalid_grant","status":"invalid_client"}"#, Fix, Fix),
            (400, r#"{"error":"invalid_grant","category":"BAD_CLIENT_SECRET"}"#, Fix, Fix),
            (400, r#"{"error":"invalid_grant","errorType":"invalid_client"}"#, Fix, Fix),
            (400, r#"{"error":"invalid_grant","errors":[{"code":"BAD_CLIENT_SECRET"}]}"#, Fix, Fix),
            (
                400,
                r#"{"error":"invalid_grant","errors":[{},{"code":"x","subCategory":"invalid_client"}]}"#,
                Fix,
                Fix,
            ),
            (403, r#"{"status":"BAD_HUB","errors":[{"code":"BAD_CLIENT_ID"}]}"#, Fix, Fix),
            (400, r#"{"error":"invalid_client","status":"BAD_AUTH_CODE"}"#, Fix, Fix),
            // The code is refused, whatever else is said of it.
            (400, r#"{"error":"invalid_grant","status":"BAD_AUTH_CODE"}"#, Reauthorize, Restart),
            (403, r#"{"error":"access_denied","status":"EXPIRED_AUTH_CODE"}"#, Fix, Restart),
            // One fault among several is not the response's own code.
            (400, r#"{"category":"VALIDATION_ERROR","errors":[{"code":"BAD_REFRESH_TOKEN"}]}"#, Fix, Fix),
            (400, r#"{"error":"BAD_REFRESH_TOKEN"}"#, Fix, Fix),
            (400, r#"{"status":"invalid_grant"}"#, Fix, Fix),
            // Not one JSON object: a page that quotes HubSpot, a body that breaks off, two responses in one.
            (
                400,
                r#"<script>var x = {"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}</script>"#,
                Fix,
                Fix,
            ),
            (400, r#"{"error":"invalid_grant","mess"#, Fix, Fix),
            (400, r#"[{"error":"invalid_grant"}]"#, Fix, Fix),
            (400, r#"{"error":"invalid_client","error":"invalid_grant"}"#, Fix, Fix),
            (400, r#"{"error":"invalid_grant"}{"error":"invalid_client"}"#, Fix, Fix),
        ] {
            assert_eq!(step(Operation::Refresh, status, body), on_refresh, "{status} {body}");
            assert_eq!(step(Operation::ExchangeCode, status, body), on_exchange, "{status} {body}");
        }
    }

    /// Every status with every pair of codes in `error`, `status`, `subCategory` and `errors`, against the rules as they are written
    /// down: "grant gone" and "code refused" of the table.
    #[test]
    fn no_combination_of_status_and_codes_ends_a_grant_but_those_in_the_table() {
        const OAUTH: [&str; 6] =
            ["", "invalid_grant", "access_denied", "invalid_client", "invalid_request", "something_new"];
        const HUBSPOT: [&str; 8] = [
            "",
            "BAD_REFRESH_TOKEN",
            "BAD_HUB",
            "BAD_AUTH_CODE",
            "BAD_CLIENT_ID",
            "BAD_CLIENT_SECRET",
            "BAD_SCOPES",
            "SOMETHING_NEW",
        ];
        const APP: [&str; 5] =
            ["invalid_client", "invalid_request", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_SCOPES"];
        let mut ended = 0;
        for (error, code) in OAUTH.iter().flat_map(|error| HUBSPOT.map(|code| (*error, code))) {
            for (sub_category, detail) in HUBSPOT.iter().flat_map(|sub| HUBSPOT.map(|detail| (*sub, detail)))
            {
                let body = serde_json::json!({
                    "error": error, "status": code, "subCategory": sub_category, "errors": [{ "code": detail }],
                })
                .to_string();
                let is = |wanted: &str| code == wanted || sub_category == wanted;
                let app = [error, code, sub_category, detail].iter().any(|code| APP.contains(code));
                for status in [302, 400, 401, 402, 403, 404, 409, 410, 422, 423, 429, 451, 477, 499, 500, 503]
                {
                    let is_client_error = (400..500).contains(&status) && !is_temporary(status);
                    let is_refused =
                        matches!(status, 400 | 401) && (error == "invalid_grant" || is("BAD_REFRESH_TOKEN"));
                    let gone = is_client_error && !app && (is_refused || is("BAD_HUB"));
                    let spent = gone || is_client_error && !app && is("BAD_AUTH_CODE");
                    let read = read(Operation::Refresh, status, &body);
                    assert_eq!(read.next_step() == NextStep::Reauthorize, gone, "{status} {body}");
                    assert_eq!(read.refuses_grant(), gone, "{status} {body}");
                    let next = ApiError { operation: Operation::ExchangeCode, ..read.clone() }.next_step();
                    assert_eq!(next == NextStep::RestartAuthorization, spent, "{status} {body}");
                    for next in [read.next_step(), next] {
                        assert_eq!(matches!(next, NextStep::RetryAfter(_)), is_temporary(status), "{status}");
                    }
                    ended += u32::from(gone);
                }
            }
        }
        assert!(ended > 1000, "{ended}");
    }

    /// HubSpot's APIs: a 401 with `EXPIRED_AUTHENTICATION` is about the token, and any other one is not.
    #[test]
    fn only_an_expired_access_token_asks_for_a_new_one() {
        let expired = r#"{"status":"error","message":"The OAuth token used to make this call expired 1 second(s) ago.","correlationId":"c-1","category":"EXPIRED_AUTHENTICATION","context":{"expire time":["2026-09-21T14:13:19Z"]}}"#;
        let other = r#"{"status":"error","category":"INVALID_AUTHENTICATION"}"#;
        let scopes = r#"{"status":"error","category":"MISSING_SCOPES"}"#;
        for operation in [Operation::Uninstall, Operation::AccountDetails] {
            let error = read(operation, 401, expired);
            assert!(error.is_expired_access_token());
            assert_eq!(error.context["expire time"], ["2026-09-21T14:13:19Z"]);
            assert_eq!(error.next_step(), NextStep::RetryAfter(Some(Duration::ZERO)));
            for (status, body) in [(401, other), (401, ""), (403, scopes), (403, expired), (404, "")] {
                let error = read(operation, status, body);
                assert!(!error.is_expired_access_token(), "{status} {body}");
                assert_eq!(error.next_step(), NextStep::FixConfiguration, "{status} {body}");
            }
            assert_eq!(step(operation, 400, r#"{"error":"invalid_grant"}"#), NextStep::FixConfiguration);
            assert_eq!(step(operation, 503, ""), NextStep::RetryAfter(None));
        }
        // The token of an OAuth request is not the one that HubSpot means there.
        assert_eq!(step(Operation::Refresh, 401, expired), NextStep::FixConfiguration);
    }

    /// An unknown error must never disconnect customers.
    #[test]
    fn no_status_ends_a_grant_by_itself_and_a_temporary_one_counts_before_any_code() {
        let gone = r#"{"error":"access_denied","status":"BAD_HUB"}"#;
        for status in 300..=599 {
            for body in ["", "<html>", "{}", "{\"error\":{}}"] {
                let next = step(Operation::Refresh, status, body);
                assert_eq!(matches!(next, NextStep::RetryAfter(_)), is_temporary(status), "{status}");
                assert_eq!(next == NextStep::FixConfiguration, !is_temporary(status), "{status}");
            }
            let next = step(Operation::Refresh, status, gone);
            assert_eq!(next == NextStep::Reauthorize, !is_temporary(status) && status >= 400, "{status}");
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
        let body = r#"{"error":"invalid_grant","status":"error","errors":[{"code":"BAD_CLIENT_SECRET"}]}"#;
        assert_eq!(
            read(Operation::Refresh, 400, body).to_string(),
            "HubSpot did not refresh the token (status 400, invalid_grant, BAD_CLIENT_SECRET); next: fix the app's configuration; \
             the stored grants stay good"
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
