//! What a fault does to a request and to its response.

use std::time::Duration;

use hs_oauth_core::ApiError;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::fault::{DropTime, Fault};
use super::target::Target;
use crate::delivery::{Cut, Delivery};
use crate::responses::{self, Reason};
use crate::token_generator::TokenGenerator;

impl Fault {
    /// Returns whether the request has its effect.
    pub(crate) fn lets_request_through(&self) -> bool {
        self.drop != Some(DropTime::Before) && (!self.replaces_response() || self.effect)
    }

    /// Returns the response as the fault leaves it, with its [`Delivery`] among the extensions. `response` is the right
    /// response, or `None` if the request had no effect. `operation` is what the request asked for.
    pub(crate) fn apply_to(
        &self,
        operation: Option<Target>,
        response: Option<Response<Vec<u8>>>,
        generator: &mut TokenGenerator,
    ) -> Response<Vec<u8>> {
        let mut response = match response.filter(|_| !self.replaces_response()) {
            Some(response) => self.with_members_changed(response),
            None => self.replacement(operation, generator),
        };
        let cut = match (self.drop, self.truncate) {
            (Some(_), _) => Some(Cut::NoResponse),
            (None, Some(bytes)) if bytes < response.body().len() => Some(Cut::Body(bytes)),
            (None, _) => None,
        };
        let delay = Duration::from_millis(self.delay_ms);
        response.extensions_mut().insert(Delivery { delay, cut });
        let name = self.name();
        let reason = match response.extensions().get() {
            Some(Reason(reason)) => format!("fault {name}: {reason}"),
            None => format!("fault {name}"),
        };
        responses::with_reason(response, reason)
    }

    fn with_members_changed(&self, mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
        if self.members.is_empty() {
            return response;
        }
        if let Ok(mut body) = serde_json::from_slice::<Map<String, Value>>(response.body()) {
            body.extend(self.members.clone());
            *response.body_mut() = serde_json::to_vec(&body).unwrap_or_default();
        }
        response
    }

    fn replacement(&self, operation: Option<Target>, generator: &mut TokenGenerator) -> Response<Vec<u8>> {
        let status = match self.status {
            None if self.raw_body.is_some() => StatusCode::OK,
            None => StatusCode::SERVICE_UNAVAILABLE,
            Some(status @ 200..=599) => StatusCode::from_u16(status).unwrap_or_default(),
            Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = match (&self.raw_body, &self.body) {
            (Some(raw), _) => {
                let mut response = Response::new(raw.clone().into_bytes());
                *response.status_mut() = status;
                response
            }
            (None, Some(body)) => responses::json(status, body),
            (None, None) => responses::error_response(generator, typical_error(status)),
        };
        let content_type = match (&self.content_type, &self.raw_body) {
            (Some(content_type), _) => Some(content_type.as_str()),
            (None, Some(_)) => Some("text/html"),
            (None, None) => None,
        };
        let headers = response.headers_mut();
        if status == StatusCode::TOO_MANY_REQUESTS && operation.is_some_and(Target::needs_bearer) {
            headers.extend(
                RATE_LIMIT_HEADERS
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
            );
        }
        headers
            .extend(content_type.and_then(|value| Some((CONTENT_TYPE, HeaderValue::try_from(value).ok()?))));
        headers.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// Returns the name of the fault for the journal.
    pub(crate) fn name(&self) -> &'static str {
        match (self.drop, self.truncate) {
            (Some(DropTime::Before), _) => "drop_before",
            (Some(DropTime::After), _) => "drop_after",
            (None, Some(_)) => "truncate",
            (None, None) if self.raw_body.is_some() => "raw_body",
            (None, None) if self.status.is_some() => "status",
            (None, None) if !self.members.is_empty() => "members",
            (None, None) => "delay",
        }
    }
}

/// The headers of HubSpot's APIs for an app whose calls of the last ten seconds are used up (HubSpot's usage guidelines).
const RATE_LIMIT_HEADERS: [(&str, &str); 3] = [
    ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
    ("x-hubspot-ratelimit-max", "110"),
    ("x-hubspot-ratelimit-remaining", "0"),
];

/// Returns the error that HubSpot sends with this status.
fn typical_error(status: StatusCode) -> Box<ApiError> {
    let code = match status.as_u16() {
        423 | 429 | 477 | 500.. => "temporarily_unavailable",
        _ => "invalid_request",
    };
    let message = match status.as_u16() {
        423 => "the account is locked by another request",
        429 => "you have reached your ten_secondly_rolling limit",
        477 => "the account is being moved between data centres",
        _ => "a fault that was asked for",
    };
    let mut error = responses::error(status, code, "error", message);
    if status == StatusCode::TOO_MANY_REQUESTS {
        error.error_type = Some("RATE_LIMIT".to_owned());
        error.policy_name = Some("TEN_SECONDLY_ROLLING".to_owned());
    }
    error
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{Endpoint, Error, Introspection, NextStep, Operation, Refresh};

    use super::*;
    use crate::settings::Rotation;
    use crate::testing::{ALL_VERSIONS, Harness, json, refresh_token};

    fn read(json: &str) -> Fault {
        let fault: Fault = serde_json::from_str(json).unwrap();
        fault.check().unwrap();
        fault
    }

    /// Returns the response to a refresh under `fault`, and whether the refresh had its effect: then the old refresh
    /// token is not valid any more.
    fn refresh_under(fault: Fault) -> (Response<Vec<u8>>, bool) {
        let mut harness = Harness::configured(|settings| settings.rotation = Rotation::Rotate);
        let tokens = harness.install();
        harness.emulator.inject(fault);
        let request = Refresh::new(refresh_token(&tokens)).to_http(&harness.app());
        let response = harness.send(request);
        (response, harness.refresh(&tokens).is_err())
    }

    #[test]
    fn each_fault_says_whether_the_request_has_its_effect() {
        let cut = |cut| Delivery { cut, ..Delivery::default() };
        for (fault, expected, delivery) in [
            (r#"{"drop":"before"}"#, false, cut(Some(Cut::NoResponse))),
            (r#"{"drop":"after"}"#, true, cut(Some(Cut::NoResponse))),
            (r#"{"truncate":10}"#, true, cut(Some(Cut::Body(10)))),
            (r#"{"truncate":100000}"#, true, cut(None)),
            (r#"{"status":502}"#, false, cut(None)),
            (r#"{"status":502,"effect":true}"#, true, cut(None)),
            (r#"{"raw_body":"<html>"}"#, false, cut(None)),
            (r#"{"status":502,"truncate":3}"#, false, cut(Some(Cut::Body(3)))),
            (r#"{"members":{"hub_id":7}}"#, true, cut(None)),
            (r#"{"delay_ms":1500}"#, true, Delivery { delay: Duration::from_millis(1500), cut: None }),
        ] {
            let (response, had_effect) = refresh_under(read(fault));
            assert_eq!((had_effect, Delivery::from_response(&response)), (expected, delivery), "{fault}");
        }
    }

    #[test]
    fn a_fault_replaces_the_response_with_the_given_one() {
        let (response, _) =
            refresh_under(read(r#"{"status":503,"body":{"a":[1]},"headers":{"x-a":"b"},"retry_after":9}"#));
        assert_eq!((response.status().as_u16(), json(&response)), (503, serde_json::json!({ "a": [1] })));
        assert_eq!(
            (&response.headers()["x-a"], &response.headers()["retry-after"]),
            (&"b".parse().unwrap(), &"9".parse().unwrap())
        );
        let (response, _) =
            refresh_under(read(r#"{"raw_body":"{\"access_token\":","content_type":"application/json"}"#));
        assert_eq!(
            (response.status().as_u16(), response.body().as_slice()),
            (200, b"{\"access_token\":".as_slice())
        );
        assert_eq!(response.headers()["content-type"], "application/json");
        let (response, _) = refresh_under(read(r#"{"status":521,"raw_body":"down"}"#));
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (521, &"text/html".parse().unwrap())
        );
        let (response, _) = refresh_under(Fault::status(9999));
        assert_eq!(response.status(), 500);
    }

    /// A client has to notice tokens that are not for the account it asked for.
    #[test]
    fn a_fault_changes_members_of_the_right_response_and_nothing_else() {
        for version in ALL_VERSIONS {
            let mut harness = Harness::new().with_version(version);
            let tokens = harness.install();
            harness.emulator.inject(Fault::member("hub_id", 7).with_member("user_id", 8));
            let refreshed = harness.refresh(&tokens).unwrap();
            assert_eq!((refreshed.hub_id, refreshed.user_id), (Some(7), Some(8)));
            assert_eq!((refreshed.scopes, refreshed.refresh_token), (tokens.scopes, tokens.refresh_token));
            assert!(harness.is_active(refreshed.access_token));
        }
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.emulator.inject(Fault::member("hub_id", 7).with_target(Target::Introspect));
        let Introspection::AccessToken(info) = harness.introspect(tokens.access_token) else { panic!() };
        assert_eq!((info.hub_id, info.user_id), (7, Some(123_456)));
        let entry = harness.emulator.journal().next_back().unwrap();
        assert_eq!((entry.fault, entry.hub_id), (Some("members"), Some(62515)));
    }

    /// HubSpot's error reference has no such body: a gateway in front of HubSpot makes it.
    #[test]
    fn a_fault_has_a_status_and_a_body_of_the_callers_choice() {
        let body = r#"{"error":"access_denied"}"#;
        let (response, had_effect) =
            refresh_under(Fault::raw_body(body, "application/json").with_status(403));
        assert_eq!((response.status().as_u16(), response.body().as_slice()), (403, body.as_bytes()));
        assert_eq!(
            (&response.headers()["content-type"], had_effect),
            (&"application/json".parse().unwrap(), false)
        );
    }

    /// HubSpot's error reference: it says what a client has to do after each status.
    #[test]
    fn a_fault_with_only_a_status_has_a_body_like_hubspots() {
        for (status, step) in [
            (400, NextStep::FixConfiguration),
            (401, NextStep::FixConfiguration),
            (403, NextStep::FixConfiguration),
            (423, NextStep::RetryAfter(Some(Duration::from_secs(2)))),
            (429, NextStep::RetryAfter(Some(Duration::from_secs(10)))),
            (477, NextStep::RetryAfter(None)),
            (503, NextStep::RetryAfter(None)),
        ] {
            let mut harness = Harness::new();
            let tokens = harness.install();
            harness.emulator.inject(Fault::status(status).with_target(Target::Refresh));
            let Error::Api(error) = harness.refresh(&tokens).unwrap_err() else { panic!("{status}") };
            assert_eq!((error.operation, error.next_step()), (Operation::Refresh, step), "{status}");
            assert!(error.correlation_id.is_some() && error.message.is_some() && error.error.is_some());
        }
    }
}
