use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::target::Target;

/// Something that goes wrong with the next matching request, or with the next few.
///
/// A fault is made with these functions or read from JSON. It affects the next request to the token API, whatever the
/// request asks for, unless [`Fault::with_target`] limits it to one operation. Effects can be combined: a fault can
/// both delay a response and give it the status 503.
///
/// ```
/// use hs_oauth_emulator::{Fault, Target};
///
/// let outage = Fault::status(503).with_retry_after(2).with_target(Target::Refresh).with_count(3);
/// let same: Fault = serde_json::from_str(r#"{"operation":"refresh","count":3,"status":503,"retry_after":2}"#)?;
/// assert_eq!(outage, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(rename = "operation", skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
    #[serde(default = "once")]
    pub(super) count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) delay_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drop: Option<DropTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truncate: Option<usize>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) members: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, deserialize_with = "json_object", skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) effect: bool,
}

/// Whether the connection breaks before or after the request has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DropTime {
    Before,
    After,
}

impl Fault {
    /// Returns a fault that gives the response this HTTP status and an error in HubSpot's shape. The request has no
    /// effect. A status outside 200 to 599 counts as 500.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::NONE }
    }

    /// Returns a fault that gives the response exactly this body, and the status 200 unless [`Fault::with_status`] gives
    /// it another one. The request has no effect.
    pub fn raw_body(body: impl Into<String>, content_type: impl Into<String>) -> Self {
        Self { raw_body: Some(body.into()), content_type: Some(content_type.into()), ..Self::NONE }
    }

    /// Returns a fault that delivers the right response late. The request has its effect at once. A delay of more than
    /// a day counts as a day.
    pub fn delay(delay: Duration) -> Self {
        Self::NONE.with_delay(delay)
    }

    /// Returns a fault that breaks the connection before the request has an effect.
    pub fn drop_before() -> Self {
        Self { drop: Some(DropTime::Before), ..Self::NONE }
    }

    /// Returns a fault that lets the request have its effect and then breaks the connection without a response.
    pub fn drop_after() -> Self {
        Self { drop: Some(DropTime::After), ..Self::NONE }
    }

    /// Returns a fault that lets the request have its effect and breaks the connection after this many bytes of the
    /// response's body. A body that is not longer than that arrives whole.
    pub fn truncate(bytes: usize) -> Self {
        Self { truncate: Some(bytes), ..Self::NONE }
    }

    /// Returns a fault that lets the request have its effect and changes one member of the JSON in the right response. The
    /// member is added if the response has none of this name. A response that is not a JSON object stays as it is.
    ///
    /// ```
    /// use hs_oauth_emulator::{Fault, Target};
    ///
    /// let other_account = Fault::member("hub_id", 7).with_member("user_id", 8).with_target(Target::Refresh);
    /// let same: Fault = serde_json::from_str(r#"{"operation":"refresh","members":{"hub_id":7,"user_id":8}}"#)?;
    /// assert_eq!(other_account, same);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// A value that cannot be written as JSON counts as `null`.
    pub fn member(name: impl Into<String>, value: impl Serialize) -> Self {
        Self::NONE.with_member(name, value)
    }

    /// Limits the fault to this operation.
    #[must_use]
    pub fn with_target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Makes the fault affect the next `count` matching requests instead of one.
    #[must_use]
    pub fn with_count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Makes the response late too. A delay of more than a day counts as a day.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.as_millis()).map_or(MAX_DELAY_MS, |ms| ms.min(MAX_DELAY_MS));
        self
    }

    /// Changes one more member of the JSON in the right response, as [`Fault::member`] does.
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.members.insert(name.into(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Gives the response of [`Fault::raw_body`] this HTTP status. A status outside 200 to 599 counts as 500.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the header `Retry-After`, in seconds, to the response of [`Fault::status`] or [`Fault::raw_body`].
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Lets the request have its effect although [`Fault::status`] or [`Fault::raw_body`] replaces the response. A
    /// gateway that loses the response and makes one of its own behaves like this.
    #[must_use]
    pub fn with_effect(mut self) -> Self {
        self.effect = true;
        self
    }

    const NONE: Self = Self {
        target: None,
        count: 1,
        delay_ms: 0,
        drop: None,
        truncate: None,
        members: BTreeMap::new(),
        status: None,
        body: None,
        raw_body: None,
        content_type: None,
        headers: BTreeMap::new(),
        retry_after: None,
        effect: false,
    };

    /// Checks a fault that was read from JSON. The error says which fields contradict each other or have an impossible
    /// value.
    pub(crate) fn check(&self) -> Result<(), Cow<'static, str>> {
        let replaces = self.replaces_response();
        let changes = !self.members.is_empty();
        if !replaces && !changes && self.drop.is_none() && self.truncate.is_none() && self.delay_ms == 0 {
            return Err("a fault needs one of status, raw_body, members, delay_ms, drop and truncate".into());
        }
        if self.delay_ms > MAX_DELAY_MS {
            return Err(format!("delay_ms can be at most {MAX_DELAY_MS}").into());
        }
        if self.count == 0 {
            return Err("count must be at least 1".into());
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("status must be 200 to 599".into());
        }
        if self.drop.is_some() && (replaces || changes || self.truncate.is_some()) {
            return Err("drop leaves nothing for status, raw_body, members and truncate".into());
        }
        if replaces && changes {
            return Err("members change the right response, which status and raw_body replace".into());
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
            let can_be_set = HeaderName::try_from(name)
                .is_ok_and(|name| name != CONTENT_LENGTH && name != TRANSFER_ENCODING);
            if !can_be_set || HeaderValue::try_from(value).is_err() {
                return Err(format!("the header {name} cannot be set so").into());
            }
        }
        Ok(())
    }

    /// Returns whether the fault makes a response of its own, instead of delivering the right one badly.
    pub(super) fn replaces_response(&self) -> bool {
        self.status.is_some() || self.raw_body.is_some()
    }
}

/// The longest delay in milliseconds: a day.
const MAX_DELAY_MS: u64 = 24 * 60 * 60 * 1000;

fn json_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let not_an_object = || D::Error::custom("body must be a JSON object");
    value.is_object().then_some(Some(value)).ok_or_else(not_an_object)
}

fn once() -> u32 {
    1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Fault {
        let fault: Fault = serde_json::from_str(json).unwrap();
        fault.check().unwrap();
        fault
    }

    #[test]
    fn a_fault_with_contradictory_or_impossible_fields_is_refused() {
        for json in [
            "{}",
            r#"{"operation":"refresh"}"#,
            r#"{"status":503,"count":0}"#,
            r#"{"status":199}"#,
            r#"{"status":600}"#,
            r#"{"drop":"before","status":503}"#,
            r#"{"drop":"after","truncate":1}"#,
            r#"{"members":{}}"#,
            r#"{"drop":"after","members":{"hub_id":7}}"#,
            r#"{"status":503,"members":{"hub_id":7}}"#,
            r#"{"raw_body":"","members":{"hub_id":7}}"#,
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
    fn a_fault_made_in_rust_has_the_same_form_in_json() {
        for (fault, json) in [
            (
                Fault::status(503).with_count(3).with_target(Target::Revoke),
                r#"{"operation":"revoke","count":3,"status":503}"#,
            ),
            (Fault::drop_before(), r#"{"count":1,"drop":"before"}"#),
            (
                Fault::drop_after().with_delay(Duration::from_secs(1)),
                r#"{"count":1,"delay_ms":1000,"drop":"after"}"#,
            ),
            (Fault::truncate(5), r#"{"count":1,"truncate":5}"#),
            (Fault::raw_body("x", "text/plain"), r#"{"count":1,"raw_body":"x","content_type":"text/plain"}"#),
            (
                Fault::raw_body("{}", "application/json").with_status(403),
                r#"{"count":1,"status":403,"raw_body":"{}","content_type":"application/json"}"#,
            ),
            (
                Fault::member("hub_id", 7).with_member("user_id", "8"),
                r#"{"count":1,"members":{"hub_id":7,"user_id":"8"}}"#,
            ),
            (
                Fault::status(502).with_effect().with_retry_after(1),
                r#"{"count":1,"status":502,"retry_after":1,"effect":true}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&fault).unwrap(), json);
            assert_eq!(serde_json::from_str::<Fault>(json).unwrap(), fault);
            fault.check().unwrap();
        }
    }
}
