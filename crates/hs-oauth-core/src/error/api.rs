use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde::de::{MapAccess, SeqAccess};

use super::codes::{HubSpotCode, OAuthCode};
use super::redact::Redact;
use super::retry_after::retry_after;
use super::{NextStep, Operation};
use crate::json::{self, Field, FromJson, ListMap, TextMap, json_object};
use crate::timestamp::Timestamp;

/// HubSpot's refusal, in either of its two shapes or a mix of both (RFC 6749 §5.2 and HubSpot's own).
///
/// Everything but operation and status may be absent. Codes are open sets. TextMap have the request's secrets taken out,
/// control characters replaced, and end at 512 characters. The body itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// What was refused.
    pub operation: Operation,
    /// The HTTP status. 300 to 399 is a redirect, which is never followed.
    pub status: StatusCode,
    /// `error`: the code of RFC 6749.
    pub error: Option<OAuthCode>,
    /// `error_description`.
    pub error_description: Option<String>,
    /// `status` in the body, where HubSpot puts its own code; its other use, `"error"`, is left out.
    pub code: Option<HubSpotCode>,
    /// `subCategory`, where newer endpoints put that code.
    pub sub_category: Option<HubSpotCode>,
    /// `category`, such as `VALIDATION_ERROR` or `RATE_LIMITS`.
    pub category: Option<String>,
    /// `message`, for people.
    pub message: Option<String>,
    /// `correlationId`: what HubSpot's support asks for.
    pub correlation_id: Option<String>,
    /// `requestId`.
    pub request_id: Option<String>,
    /// `errorType`, such as `RATE_LIMIT`.
    pub error_type: Option<String>,
    /// `policyName`: which rate limit was hit, `DAILY` or `TEN_SECONDLY_ROLLING`.
    pub policy_name: Option<String>,
    /// `groupName` of the rate limit.
    pub group_name: Option<String>,
    /// `context`: lists of values by name.
    pub context: BTreeMap<String, Vec<String>>,
    /// `links`: addresses of documentation by name.
    pub links: BTreeMap<String, String>,
    /// `errors`: the single faults.
    pub errors: Vec<ErrorDetail>,
    /// How long the `Retry-After` header asks to wait (RFC 9110 §10.2.3), at most 24 hours. A date counts from the answer's
    /// own `Date`.
    pub retry_after: Option<Duration>,
}

/// One fault among the `errors` of an [`ApiError`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorDetail {
    /// What is wrong, for people.
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A code for it.
    #[serde(rename = "code", skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A finer code.
    #[serde(rename = "subCategory", skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// The field or place it is in.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// ListMap of values by name.
    #[serde(rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

/// What a code says, before it is known what was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The grant, or the code standing for it, is not accepted.
    Grant,
    /// The code is not accepted; says nothing of a refresh token.
    Code,
    /// The app is set up wrongly.
    Configuration,
}

impl ApiError {
    /// A refusal with nothing but a status to it.
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

    /// Reads a refusal. Cannot fail: what cannot be read is not there. `secrets` are what the request held.
    pub(crate) fn read<B: AsRef<[u8]>>(
        operation: Operation,
        response: &http::Response<B>,
        sent_at: Timestamp,
        secrets: [&str; 3],
    ) -> Self {
        let mut body = ErrorResponse::default();
        let _ = json::read(response.body().as_ref(), &mut body);
        let redact = Redact::new(secrets);
        let code = body.status.into_text().filter(|status| status != "error");
        Self {
            operation,
            status: response.status(),
            error: body.error.into_text().map(|code| redact.code(&code, OAuthCode::known, OAuthCode::Other)),
            error_description: redact.field(body.error_description),
            code: code.map(|code| redact.code(&code, HubSpotCode::known, HubSpotCode::Other)),
            sub_category: (body.sub_category.into_text())
                .map(|code| redact.code(&code, HubSpotCode::known, HubSpotCode::Other)),
            category: redact.field(body.category),
            message: redact.field(body.message),
            correlation_id: redact.field(body.correlation_id),
            request_id: redact.field(body.request_id),
            error_type: redact.field(body.error_type),
            policy_name: redact.field(body.policy_name),
            group_name: redact.field(body.group_name),
            context: redact.context(body.context),
            links: redact.links(body.links),
            errors: (body.errors.into_value().into_iter().flatten())
                .map(|detail| detail.without_secrets(&redact))
                .collect(),
            retry_after: retry_after(response.headers(), sent_at),
        }
    }

    /// Whether the grant is refused, whatever was asked for: the refresh token is gone, or the account is. On a refresh the next
    /// step then is to reauthorize; on a revocation there is nothing left to revoke.
    pub fn refuses_grant(&self) -> bool {
        let status = self.status.as_u16();
        self.status.is_client_error()
            && !matches!(status, 423 | 429 | 477)
            && self.meaning() == Some(Meaning::Grant)
    }

    /// What to do next. The HTTP status decides for 3xx, 423, 429, 477 and 5xx; else the first of `error`, `status` and
    /// `subCategory` that has a known code; else a 4xx is the app's fault, never the account's.
    pub fn next_step(&self) -> NextStep {
        match self.status.as_u16() {
            429 => {
                NextStep::RetryAfter(Some(self.retry_after.unwrap_or(match self.policy_name.as_deref() {
                    // It ends at midnight in the account's time zone, which is not known here: looking once an hour burns no
                    // tries worth having.
                    Some("DAILY") => Duration::from_secs(60 * 60),
                    _ => Duration::from_secs(10),
                })))
            }
            423 => {
                let least = Duration::from_secs(2);
                NextStep::RetryAfter(Some(self.retry_after.map_or(least, |wait| wait.max(least))))
            }
            477 | 500.. => NextStep::RetryAfter(self.retry_after),
            // A redirect is no word of HubSpot's OAuth API, whatever its body says.
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

    /// Whether this says that the token asked about is unknown, as `v1` does for a lookup. The status alone does not: a 404
    /// is also what a wrong address answers, or a version that was removed.
    pub(crate) fn is_unknown_token(&self) -> bool {
        let is_code =
            |code: &HubSpotCode| matches!(code, HubSpotCode::InvalidToken | HubSpotCode::BadRefreshToken);
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
            && (self.sub_category.iter().chain(&self.code)).any(is_code)
    }

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

json_object! {
    struct ErrorResponse<'a> {
        scalars {
            error = "error",
            error_description = "error_description",
            status = "status",
            sub_category = "subCategory",
            category = "category",
            message = "message",
            correlation_id = "correlationId",
            request_id = "requestId",
            error_type = "errorType",
            policy_name = "policyName",
            group_name = "groupName",
        }
        others {
            context: ListMap<'a> = "context",
            links: TextMap<'a> = "links",
            errors: Vec<DetailResponse<'a>> = "errors",
        }
    }
}

json_object! {
    struct DetailResponse<'a> {
        scalars {
            message = "message",
            code = "code",
            sub_category = "subCategory",
            location = "in",
        }
        others {
            context: ListMap<'a> = "context",
        }
    }
}

impl DetailResponse<'_> {
    #[inline]
    fn without_secrets(self, redact: &Redact<'_>) -> ErrorDetail {
        ErrorDetail {
            message: redact.field(self.message),
            code: redact.field(self.code),
            sub_category: redact.field(self.sub_category),
            location: redact.field(self.location),
            context: redact.context(self.context),
        }
    }
}

impl<'a> FromJson<'a> for DetailResponse<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        json::read_nested(object).map(Some)
    }
}

impl<'a> FromJson<'a> for Vec<DetailResponse<'a>> {
    fn from_array<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut details = Self::new();
        while let Some(detail) = list.next_element::<Field<DetailResponse<'_>>>()? {
            details.extend(detail.into_value());
        }
        Ok(Some(details))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

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
    fn error_is_read_before_status_and_status_before_sub_category() {
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

    /// "An unknown error must never mass-revoke customers."
    #[test]
    fn no_status_ends_a_grant_by_itself_and_a_passing_one_outranks_any_code() {
        let gone = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
        for status in 300..=599 {
            let passing = matches!(status, 423 | 429 | 477 | 500..);
            for body in ["", "<html>", "{}", "{\"error\":{}}"] {
                let next = step(Operation::Refresh, status, body);
                assert_eq!(matches!(next, NextStep::RetryAfter(_)), passing, "{status}");
                assert_eq!(next == NextStep::FixConfiguration, !passing, "{status}");
            }
            let next = step(Operation::Refresh, status, gone);
            assert_eq!(next == NextStep::Reauthorize, !passing && status >= 400, "{status}");
        }
    }

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
    fn each_passing_status_has_its_own_wait() {
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

    /// RFC 9110 §10.2.3.
    #[test]
    fn retry_after_is_seconds_or_a_date_and_anything_else_is_not_there() {
        let date = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Sat, 21 Nov 2026 12:00:30 GMT", Some(30)),
            ("Saturday, 21-Nov-26 12:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
            ("Sun, 21 Nov 2100 12:00:00 GMT", Some(86_400)),
            ("-5", None),
            ("1.5", None),
            ("+5", None),
            ("", None),
            ("soon", None),
            ("Sat, 41 Nov 2026 12:00:00 GMT", None),
        ] {
            assert_eq!(wait(503, &[date, ("retry-after", value)], ""), seconds, "{value:?}");
        }
        assert_eq!(
            wait(503, &[("retry-after", "5"), ("retry-after", "9"), ("retry-after", "x")], ""),
            Some(9)
        );
    }

    #[test]
    fn a_date_counts_from_the_senders_clock_where_the_answer_has_no_date() {
        let now = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(1_790_000_045));
        assert_eq!(wait(503, &[("retry-after", &now)], ""), Some(45));
    }

    /// A server that echoes what it got must not put it into a log.
    #[test]
    fn the_requests_secrets_are_taken_out_of_everything_that_is_kept() {
        let echo = r#"{"error":"s3cret/x","error_description":"bad s3cret/x","status":"NA s3cret/x","message":"na1-token and s3cret%2Fx",
            "category":"s3cret/x","subCategory":"na1-token","correlationId":"na1-token","requestId":"na1-token","errorType":"na1-token",
            "policyName":"na1-token","groupName":"na1-token","context":{"na1-token":["s3cret/x"]},"links":{"na1-token":"s3cret/x"},
            "errors":[{"message":"na1-token","code":"na1-token","subCategory":"na1-token","in":"na1-token","context":{"a":["na1-token"]}}]}"#;
        let error = read(Operation::Refresh, 400, echo);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("na1-token"), "{shown}");
        assert_eq!(error.message.as_deref(), Some("[redacted]"));
    }

    #[test]
    fn a_secret_is_found_however_it_is_escaped_and_whole_where_one_holds_another() {
        let told = |secrets, message: &str| {
            let body = serde_json::json!({ "message": message }).to_string();
            let response = Response::builder().status(400).body(body).unwrap();
            ApiError::read(Operation::Refresh, &response, NOW, secrets).message.unwrap()
        };
        let secrets = ["a/b c", "", ""];
        for echo in ["a%2Fb%20c", "a%2fb+c", "a/b+c", "%61%2Fb c", "code=a%2Fb+c&x=1"] {
            assert_eq!(told(secrets, echo), "[redacted]", "{echo}");
        }
        assert_eq!(told(secrets, "100% of a + b"), "100% of a + b");
        let escaped = "\\u006b".repeat(16);
        assert_eq!(told(["kkkkkkkkkkkkkkkk", "b", ""], &escaped), "[redacted]", "with a code of one letter");
        assert_eq!(told(["short", "short-and-long", ""], "is short-and-long"), "is [redacted]");
    }

    #[test]
    fn texts_can_neither_forge_a_log_line_nor_flood_one() {
        let body = format!(r#"{{"message":"a\r\nb\u001b[31m\u202ec{}"}}"#, "x".repeat(10_000));
        let message = read(Operation::Refresh, 400, &body).message.unwrap();
        assert!(message.starts_with("a\u{fffd}\u{fffd}b\u{fffd}[31m\u{fffd}cxx"), "{message}");
        assert_eq!(message.chars().count(), 512);
    }

    #[test]
    fn an_error_tells_what_happened_and_what_to_do() {
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
}
