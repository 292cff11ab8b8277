//! What goes wrong on order.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hs_oauth_core::server::{Call, Received};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::answers::{self, Answer};
use crate::delivery::{Cut, Delivery};
use crate::ids::Minter;

/// Something to go wrong with the next matching request, or the next few.
///
/// Made here or read from JSON. An unmarked fault meets any request to the token API; [`Fault::on`] narrows that. Parts
/// combine: a fault may both delay and answer 503.
///
/// ```
/// use hs_oauth_emulator::{Fault, Target};
///
/// let outage = Fault::status(503).retry_after(2).on(Target::Refresh).times(3);
/// let same: Fault = serde_json::from_str(r#"{"operation":"refresh","count":3,"status":503,"retry_after":2}"#)?;
/// assert_eq!(outage, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Target>,
    #[serde(default = "once")]
    count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    delay_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    effect: bool,
}

/// What a fault is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// A code for tokens.
    ExchangeCode,
    /// A refresh token for tokens.
    Refresh,
    /// A token for the app itself.
    ClientCredentials,
    /// What a token is; the lookups of `v1` too.
    Introspect,
    /// The end of a refresh token; the `DELETE` of `v1` too.
    Revoke,
    /// `GET /account-info/v3/details`, which only a fault meant for it meets.
    AccountInfo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Moment {
    Before,
    After,
}

impl Fault {
    /// The answer has this HTTP status and an error in HubSpot's shape; the request has no effect. A status outside of
    /// 200 to 599 counts as 500.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::NONE }
    }

    /// The answer has status 200 and this body, whatever it is; the request has no effect.
    pub fn raw_body(body: impl Into<String>, content_type: impl Into<String>) -> Self {
        Self { raw_body: Some(body.into()), content_type: Some(content_type.into()), ..Self::NONE }
    }

    /// The right answer comes late, by at most a day. The request has its effect at once.
    pub fn delay(delay: Duration) -> Self {
        Self::NONE.delayed(delay)
    }

    /// The connection breaks before the request has an effect.
    pub fn drop_before() -> Self {
        Self { drop: Some(Moment::Before), ..Self::NONE }
    }

    /// The request has its effect, then the connection breaks without an answer.
    pub fn drop_after() -> Self {
        Self { drop: Some(Moment::After), ..Self::NONE }
    }

    /// The request has its effect, and the connection breaks after this many bytes of the answer's body. A body that is
    /// no longer than that arrives whole.
    pub fn truncate(bytes: usize) -> Self {
        Self { truncate: Some(bytes), ..Self::NONE }
    }

    /// For this operation only.
    #[must_use]
    pub fn on(mut self, target: Target) -> Self {
        self.operation = Some(target);
        self
    }

    /// For the next `count` matching requests instead of one.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Besides, the answer comes late, by at most a day.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay_ms =
            u64::try_from(delay.as_millis()).map_or(LONGEST_DELAY_MS, |ms| ms.min(LONGEST_DELAY_MS));
        self
    }

    /// Besides, a `Retry-After` of so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The request has its effect all the same, as behind a gateway that loses the answer and makes one of its own.
    #[must_use]
    pub fn with_effect(mut self) -> Self {
        self.effect = true;
        self
    }

    const NONE: Self = Self {
        operation: None,
        count: 1,
        delay_ms: 0,
        drop: None,
        truncate: None,
        status: None,
        body: None,
        raw_body: None,
        content_type: None,
        headers: BTreeMap::new(),
        retry_after: None,
        effect: false,
    };

    /// What is wrong with a fault that was read.
    pub(crate) fn check(&self) -> Result<(), Cow<'static, str>> {
        let replaces = self.status.is_some() || self.raw_body.is_some();
        if !replaces && self.drop.is_none() && self.truncate.is_none() && self.delay_ms == 0 {
            return Err("a fault needs one of status, raw_body, delay_ms, drop and truncate".into());
        }
        if self.delay_ms > LONGEST_DELAY_MS {
            return Err(format!("delay_ms can be at most {LONGEST_DELAY_MS}").into());
        }
        if self.count == 0 {
            return Err("count must be at least 1".into());
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("status must be 200 to 599".into());
        }
        if self.drop.is_some() && (replaces || self.truncate.is_some()) {
            return Err("drop leaves nothing for status, raw_body and truncate".into());
        }
        if !replaces
            && (!self.headers.is_empty() || self.body.is_some() || self.retry_after.is_some() || self.effect)
        {
            return Err("body, headers, retry_after and effect need status or raw_body".into());
        }
        if self.body.is_some() && self.raw_body.is_some() {
            return Err("body and raw_body exclude each other".into());
        }
        let content_type = self.content_type.as_ref().map(|value| (CONTENT_TYPE.as_str(), value));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in headers.chain(content_type) {
            let known = HeaderName::try_from(name)
                .is_ok_and(|name| name != CONTENT_LENGTH && name != TRANSFER_ENCODING);
            if !known || HeaderValue::try_from(value).is_err() {
                return Err(format!("the header {name} cannot be set so").into());
            }
        }
        Ok(())
    }

    /// Whether the request gets as far as having its effect.
    pub(crate) fn acts(&self) -> bool {
        let replaced = self.status.is_some() || self.raw_body.is_some();
        self.drop != Some(Moment::Before) && (!replaced || self.effect)
    }

    /// What becomes of the answer, which is `None` if the request had no effect.
    pub(crate) fn befall(&self, answer: Option<Answer>, minter: &mut Minter) -> Answer {
        let replaced = self.status.is_some() || self.raw_body.is_some();
        let mut answer = match answer.filter(|_| !replaced) {
            Some(answer) => answer,
            None => self.replacement(minter),
        };
        let cut = match (self.drop, self.truncate) {
            (Some(_), _) => Some(Cut::NoAnswer),
            (None, Some(bytes)) if bytes < answer.body().len() => Some(Cut::Body(bytes)),
            (None, _) => None,
        };
        let delay = Duration::from_millis(self.delay_ms);
        answer.extensions_mut().insert(Delivery { delay, cut });
        answer
    }

    fn replacement(&self, minter: &mut Minter) -> Answer {
        let status = match self.status {
            None if self.raw_body.is_some() => StatusCode::OK,
            None => StatusCode::SERVICE_UNAVAILABLE,
            Some(status @ 200..=599) => StatusCode::from_u16(status).unwrap_or_default(),
            Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut answer = match (&self.raw_body, &self.body) {
            (Some(raw), _) => {
                let mut answer = Response::new(raw.clone().into_bytes());
                *answer.status_mut() = status;
                answer
            }
            (None, Some(body)) => answers::json(status, body),
            (None, None) => answers::refused(minter, ordinary_error(status)),
        };
        let content_type = match (&self.content_type, &self.raw_body) {
            (Some(content_type), _) => Some(content_type.as_str()),
            (None, Some(_)) => Some("text/html"),
            (None, None) => None,
        };
        let headers = answer.headers_mut();
        headers
            .extend(content_type.and_then(|value| Some((CONTENT_TYPE, HeaderValue::try_from(value).ok()?))));
        headers.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        answer
    }

    /// The fault in a word, for the journal.
    pub(crate) fn name(&self) -> &'static str {
        match (self.drop, self.truncate) {
            (Some(Moment::Before), _) => "drop_before",
            (Some(Moment::After), _) => "drop_after",
            (None, Some(_)) => "truncate",
            (None, None) if self.raw_body.is_some() => "raw_body",
            (None, None) if self.status.is_some() => "status",
            (None, None) => "delay",
        }
    }
}

impl Target {
    pub(crate) fn of(received: &Received) -> Option<Self> {
        Some(match received.call {
            Call::ExchangeCode(_) => Self::ExchangeCode,
            Call::Refresh(_) => Self::Refresh,
            Call::ClientCredentials(_) => Self::ClientCredentials,
            Call::Introspect(_) => Self::Introspect,
            Call::Revoke(_) => Self::Revoke,
            _ => return None,
        })
    }
}

/// The faults still to come, in the order they were given.
#[derive(Default)]
pub(crate) struct Faults(VecDeque<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push_back(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// The first fault meant for this request, counted down.
    pub(crate) fn take(&mut self, target: Option<Target>) -> Option<Fault> {
        let meant = |fault: &Fault| match fault.operation {
            None => target != Some(Target::AccountInfo),
            operation => operation == target,
        };
        let index = self.0.iter().position(meant)?;
        let fault = self.0.get_mut(index)?;
        fault.count = fault.count.saturating_sub(1);
        if fault.count == 0 {
            return self.0.remove(index);
        }
        Some(fault.clone())
    }
}

/// What HubSpot itself says in such a case.
fn ordinary_error(status: StatusCode) -> Box<hs_oauth_core::ApiError> {
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
    let mut error = answers::error(status, code, "error", message);
    if status == StatusCode::TOO_MANY_REQUESTS {
        error.error_type = Some("RATE_LIMIT".to_owned());
        error.policy_name = Some("TEN_SECONDLY_ROLLING".to_owned());
    }
    error
}

/// A day.
const LONGEST_DELAY_MS: u64 = 24 * 60 * 60 * 1000;

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let refused = || D::Error::custom("body must be a JSON object");
    value.is_object().then_some(Some(value)).ok_or_else(refused)
}

fn once() -> u32 {
    1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{Endpoint, Error, NextStep, Operation, Refresh};

    use super::*;
    use crate::settings::Rotation;
    use crate::testing::{Bench, json, refresh_token};

    fn read(json: &str) -> Fault {
        let fault: Fault = serde_json::from_str(json).unwrap();
        fault.check().unwrap();
        fault
    }

    /// What is left of a rotated grant tells whether the request had its effect.
    fn effect(fault: Fault) -> (Response<Vec<u8>>, bool) {
        let mut bench = Bench::with(|settings| settings.rotation = Rotation::Rotate);
        let tokens = bench.install();
        bench.emulator.inject(fault);
        let request = Refresh::new(refresh_token(&tokens)).to_http(&bench.app());
        let answer = bench.send(request);
        (answer, bench.refresh(&tokens).is_err())
    }

    #[test]
    fn each_fault_says_whether_the_request_has_its_effect() {
        let cut = |cut| Delivery { cut, ..Delivery::default() };
        for (fault, acted, delivery) in [
            (r#"{"drop":"before"}"#, false, cut(Some(Cut::NoAnswer))),
            (r#"{"drop":"after"}"#, true, cut(Some(Cut::NoAnswer))),
            (r#"{"truncate":10}"#, true, cut(Some(Cut::Body(10)))),
            (r#"{"truncate":100000}"#, true, cut(None)),
            (r#"{"status":502}"#, false, cut(None)),
            (r#"{"status":502,"effect":true}"#, true, cut(None)),
            (r#"{"raw_body":"<html>"}"#, false, cut(None)),
            (r#"{"status":502,"truncate":3}"#, false, cut(Some(Cut::Body(3)))),
            (r#"{"delay_ms":1500}"#, true, Delivery { delay: Duration::from_millis(1500), cut: None }),
        ] {
            let (answer, has_acted) = effect(read(fault));
            assert_eq!((has_acted, Delivery::of(&answer)), (acted, delivery), "{fault}");
        }
    }

    #[test]
    fn an_ordered_answer_is_given_as_ordered() {
        let (answer, _) =
            effect(read(r#"{"status":503,"body":{"a":[1]},"headers":{"x-a":"b"},"retry_after":9}"#));
        assert_eq!((answer.status().as_u16(), json(&answer)), (503, serde_json::json!({ "a": [1] })));
        assert_eq!(
            (&answer.headers()["x-a"], &answer.headers()["retry-after"]),
            (&"b".parse().unwrap(), &"9".parse().unwrap())
        );
        let (answer, _) =
            effect(read(r#"{"raw_body":"{\"access_token\":","content_type":"application/json"}"#));
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_slice()),
            (200, b"{\"access_token\":".as_slice())
        );
        assert_eq!(answer.headers()["content-type"], "application/json");
        let (answer, _) = effect(read(r#"{"status":521,"raw_body":"down"}"#));
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (521, &"text/html".parse().unwrap())
        );
        let (answer, _) = effect(Fault::status(9999));
        assert_eq!(answer.status(), 500);
    }

    /// HubSpot's error reference: what a client reads from the ordinary body of each status.
    #[test]
    fn a_status_alone_comes_with_a_body_like_hubspots() {
        for (status, step) in [
            (400, NextStep::FixConfiguration),
            (401, NextStep::FixConfiguration),
            (403, NextStep::FixConfiguration),
            (423, NextStep::RetryAfter(Some(Duration::from_secs(2)))),
            (429, NextStep::RetryAfter(Some(Duration::from_secs(10)))),
            (477, NextStep::RetryAfter(None)),
            (503, NextStep::RetryAfter(None)),
        ] {
            let mut bench = Bench::new();
            let tokens = bench.install();
            bench.emulator.inject(Fault::status(status).on(Target::Refresh));
            let Error::Api(error) = bench.refresh(&tokens).unwrap_err() else { panic!("{status}") };
            assert_eq!((error.operation, error.next_step()), (Operation::Refresh, step), "{status}");
            assert!(error.correlation_id.is_some() && error.message.is_some() && error.error.is_some());
        }
    }

    #[test]
    fn faults_meet_what_they_are_meant_for_in_their_order() {
        let mut faults = Faults::default();
        faults.push(Fault::status(501).on(Target::Refresh).times(2));
        faults.push(Fault::status(502));
        faults.push(Fault::status(503).on(Target::AccountInfo));
        let mut next = |target| faults.take(target).and_then(|fault| fault.status);
        assert_eq!(next(Some(Target::Introspect)), Some(502));
        assert_eq!(next(Some(Target::Introspect)), None);
        assert_eq!(next(None), None);
        assert_eq!(next(Some(Target::Refresh)), Some(501));
        assert_eq!(next(Some(Target::Refresh)), Some(501));
        assert_eq!(next(Some(Target::Refresh)), None);
        assert_eq!(next(Some(Target::AccountInfo)), Some(503));
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused() {
        for json in [
            "{}",
            r#"{"operation":"refresh"}"#,
            r#"{"status":503,"count":0}"#,
            r#"{"status":199}"#,
            r#"{"status":600}"#,
            r#"{"drop":"before","status":503}"#,
            r#"{"drop":"after","truncate":1}"#,
            r#"{"delay_ms":1,"retry_after":1}"#,
            r#"{"truncate":1,"effect":true}"#,
            r#"{"status":503,"body":{},"raw_body":""}"#,
            r#"{"status":503,"headers":{"a b":"c"}}"#,
            r#"{"status":503,"headers":{"a":"b\n"}}"#,
            r#"{"status":503,"headers":{"content-length":"1"}}"#,
            r#"{"raw_body":"","content_type":"a\nb"}"#,
            r#"{"delay_ms":86400001}"#,
        ] {
            let fault: Fault = serde_json::from_str(json).unwrap();
            assert!(fault.check().is_err(), "{json}");
        }
        for body in ["null", "5", "\"text\"", "[]", "true"] {
            let fault: Result<Fault, _> = serde_json::from_str(&format!(r#"{{"status":503,"body":{body}}}"#));
            assert!(fault.unwrap_err().to_string().contains("body must be a JSON object"), "{body}");
        }
        read(r#"{"delay_ms":86400000}"#);
        Fault::delay(Duration::MAX).check().unwrap();
    }

    #[test]
    fn what_rust_says_json_says_too() {
        for (fault, json) in [
            (
                Fault::status(503).times(3).on(Target::Revoke),
                r#"{"operation":"revoke","count":3,"status":503}"#,
            ),
            (Fault::drop_before(), r#"{"count":1,"drop":"before"}"#),
            (
                Fault::drop_after().delayed(Duration::from_secs(1)),
                r#"{"count":1,"delay_ms":1000,"drop":"after"}"#,
            ),
            (Fault::truncate(5), r#"{"count":1,"truncate":5}"#),
            (Fault::raw_body("x", "text/plain"), r#"{"count":1,"raw_body":"x","content_type":"text/plain"}"#),
            (
                Fault::status(502).with_effect().retry_after(1),
                r#"{"count":1,"status":502,"retry_after":1,"effect":true}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&fault).unwrap(), json);
            assert_eq!(serde_json::from_str::<Fault>(json).unwrap(), fault);
            fault.check().unwrap();
        }
    }
}
