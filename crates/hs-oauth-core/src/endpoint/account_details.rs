//! `GET /account-info/{version}/details`, with `v3` as its version for an app on `v1`.

use std::borrow::Cow;

use http::{Method, Request, Response};
use serde::Serialize;

use super::{Endpoint, error_response, request_with_bearer};
use crate::app::App;
use crate::error::{ApiError, Error, Operation, ResponseError};
use crate::json::{self, Scalar, json_object, required};
use crate::next_step::NextStep;
use crate::open_set::open_set;
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::version::Resource;

/// The request for the details of an account, which needs the scope `oauth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAccountDetails {
    access_token: AccessToken,
}

/// What HubSpot says about an account.
///
/// It is serialized with HubSpot's own field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccountDetails {
    /// The hub id of the account.
    #[serde(rename = "portalId")]
    pub portal_id: i64,
    /// The kind of account.
    #[serde(rename = "accountType", skip_serializing_if = "Option::is_none")]
    pub account_type: Option<AccountType>,
    /// The name of the account's time zone, such as `US/Eastern`.
    #[serde(rename = "timeZone", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The account's currency, such as `USD` (ISO 4217).
    #[serde(rename = "companyCurrency", skip_serializing_if = "Option::is_none")]
    pub company_currency: Option<String>,
    /// How far the account's time is ahead of UTC now, as text, such as `-05:00`.
    #[serde(rename = "utcOffset", skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// How far the account's time is ahead of UTC now, in milliseconds. It is negative west of Greenwich.
    #[serde(rename = "utcOffsetMilliseconds", skip_serializing_if = "Option::is_none")]
    pub utc_offset_milliseconds: Option<i64>,
    /// The host of HubSpot's application for this account, such as `app-eu1.hubspot.com`.
    #[serde(rename = "uiDomain", skip_serializing_if = "Option::is_none")]
    pub ui_domain: Option<String>,
    /// The data centre that has the account's data, such as `eu1`.
    #[serde(rename = "dataHostingLocation", skip_serializing_if = "Option::is_none")]
    pub data_hosting_location: Option<String>,
}

open_set! {
    /// A kind of account. This is an open set.
    AccountType {
        /// A customer's account.
        Standard = "STANDARD",
        /// A sandbox of a customer's account.
        Sandbox = "SANDBOX",
        /// A developer's account for tests.
        DeveloperTest = "DEVELOPER_TEST",
        /// A developer's account that has apps.
        AppDeveloper = "APP_DEVELOPER",
    }
}

/// The milliseconds of a day.
const DAY: i128 = 24 * 60 * 60 * 1000;

impl ReadAccountDetails {
    /// Returns a request for the details of the account to which this token belongs.
    pub const fn new(access_token: AccessToken) -> Self {
        Self { access_token }
    }

    /// Returns the access token.
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }
}

impl Endpoint for ReadAccountDetails {
    type Output = AccountDetails;

    const OPERATION: Operation = Operation::AccountDetails;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        request_with_bearer(Method::GET, app.uri(Resource::AccountDetails), &self.access_token)
    }

    fn read_response<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<AccountDetails, Error> {
        if !response.status().is_success() {
            let secrets = [self.access_token.expose(), ""];
            return Err(error_response(Self::OPERATION, app, secrets, sent_at, response).into());
        }
        let mut body = Body::default();
        let outcome = json::read(response.body().as_ref(), &mut body);
        let mut problems = Vec::new();
        let portal_id = required("portalId", body.portal_id, &mut problems, |value| value.as_integer());
        let text = |value: Scalar<'_>| value.into_text().map(Cow::into_owned);
        match portal_id {
            Some(portal_id) if outcome.is_ok() => Ok(AccountDetails {
                portal_id,
                account_type: body.account_type.into_text().map(AccountType::from),
                time_zone: text(body.time_zone),
                company_currency: text(body.company_currency),
                utc_offset: text(body.utc_offset),
                utc_offset_milliseconds: body.utc_offset_milliseconds.as_integer(),
                ui_domain: text(body.ui_domain),
                data_hosting_location: text(body.data_hosting_location),
            }),
            _ => {
                let problems = json::all_problems(outcome, problems);
                Err(ResponseError::new(Self::OPERATION, response, problems).into())
            }
        }
    }
}

impl AccountDetails {
    /// Returns when the day of the account ends that `now` is in: its next midnight. Returns `None` if HubSpot did not say how far its
    /// time is from UTC.
    ///
    /// A `DAILY` rate limit of the account ends then. On the two days of a year on which the account's clocks change, it may be an hour
    /// off.
    pub fn day_ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        let written = || self.utc_offset.as_deref().and_then(milliseconds_of);
        let offset = i128::from(self.utc_offset_milliseconds.or_else(written)?);
        let since_midnight = (i128::from(now.as_millis()) + offset).rem_euclid(DAY);
        let end = i128::from(now.as_millis()) + DAY - since_midnight;
        Some(Timestamp::from_millis(u64::try_from(end).unwrap_or(u64::MAX)))
    }

    /// Returns what to do after an error response to a call for this account, which came at `now`: that of [`ApiError::next_step`], which does
    /// not know the account. The wait after a `DAILY` 429 without `Retry-After` ends with the account's day, and not after an hour.
    pub fn next_step_after(&self, error: &ApiError, now: Timestamp) -> NextStep {
        let is_daily = error.policy_name.as_deref() == Some("DAILY") && error.retry_after.is_none();
        match (error.next_step(), self.day_ends_at(now)) {
            (NextStep::RetryAfter(Some(_)), Some(end)) if error.status == 429 && is_daily => {
                NextStep::RetryAfter(Some(end.since(now)))
            }
            (next, _) => next,
        }
    }
}

/// Returns the milliseconds of an offset from UTC that is written as `-05:00`.
fn milliseconds_of(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |digits: &str, limit: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number: &i64| is_number && *number < limit)
    };
    let size = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000;
    match offset.as_bytes().first()? {
        b'+' => Some(size),
        b'-' => Some(-size),
        _ => None,
    }
}

json_object! {
    struct Body<'a> {
        scalars {
            portal_id = "portalId",
            account_type = "accountType",
            time_zone = "timeZone",
            company_currency = "companyCurrency",
            utc_offset = "utcOffset",
            utc_offset_milliseconds = "utcOffsetMilliseconds",
            ui_domain = "uiDomain",
            data_hosting_location = "dataHostingLocation",
        }
        others {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn read(body: &str) -> Result<AccountDetails, Error> {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let request = ReadAccountDetails::new(AccessToken::new("CK-1").unwrap());
        request.read_response(&app, NOW, &Response::new(body))
    }

    /// HubSpot's "Account information".
    #[test]
    fn the_details_of_an_account_are_read_and_written_field_by_field() {
        let body = concat!(
            r#"{"portalId":62515,"accountType":"STANDARD","timeZone":"US/Eastern","companyCurrency":"USD","#,
            r#""utcOffset":"-05:00","utcOffsetMilliseconds":-18000000,"uiDomain":"app.hubspot.com","#,
            r#""dataHostingLocation":"na1"}"#
        );
        let details = read(body).unwrap();
        assert_eq!(details.portal_id, 62515);
        assert_eq!(details.account_type, Some(AccountType::Standard));
        assert_eq!(details.time_zone.as_deref(), Some("US/Eastern"));
        assert_eq!(details.company_currency.as_deref(), Some("USD"));
        assert_eq!(details.utc_offset.as_deref(), Some("-05:00"));
        assert_eq!(details.utc_offset_milliseconds, Some(-18_000_000));
        assert_eq!(details.ui_domain.as_deref(), Some("app.hubspot.com"));
        assert_eq!(details.data_hosting_location.as_deref(), Some("na1"));
        assert_eq!(serde_json::to_string(&details).unwrap(), body);
    }

    #[test]
    fn only_the_hub_id_is_required_and_a_field_of_another_type_costs_no_other() {
        let details = read(r#"{"portalId":7,"timeZone":7,"additionalCurrencies":[{}]}"#).unwrap();
        assert_eq!((details.portal_id, details.time_zone), (7, None));
        for (body, says) in [("{}", "`portalId`"), (r#"{"portalId":"x"}"#, "`portalId`"), ("", "empty")] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_kind_of_account_is_written_as_hubspot_writes_it() {
        for name in ["STANDARD", "SANDBOX", "DEVELOPER_TEST", "APP_DEVELOPER", "SOMETHING_NEW"] {
            let kind = AccountType::from(Cow::Borrowed(name));
            assert_eq!(kind.as_str(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
            assert_eq!(matches!(kind, AccountType::Other(_)), name == "SOMETHING_NEW");
        }
    }

    /// HubSpot's "API usage guidelines": a daily limit resets at midnight in the account's time zone.
    #[test]
    fn the_day_of_an_account_ends_at_its_own_midnight() {
        let at = |date: &str| Timestamp::from(httpdate::parse_http_date(date).unwrap());
        let hours = |hours: i64| hours * 3_600_000;
        let now = at("Mon, 21 Sep 2026 14:13:20 GMT");
        for (offset, end) in [
            (0, "Tue, 22 Sep 2026 00:00:00 GMT"),
            (hours(-5), "Tue, 22 Sep 2026 05:00:00 GMT"),
            (hours(2), "Mon, 21 Sep 2026 22:00:00 GMT"),
            (hours(9), "Mon, 21 Sep 2026 15:00:00 GMT"),
            // In Auckland it is Tuesday already.
            (hours(12), "Tue, 22 Sep 2026 12:00:00 GMT"),
            (hours(10), "Tue, 22 Sep 2026 14:00:00 GMT"),
            (hours(-11), "Tue, 22 Sep 2026 11:00:00 GMT"),
            (hours(5) + 1_800_000, "Mon, 21 Sep 2026 18:30:00 GMT"),
        ] {
            let details = read(&format!(r#"{{"portalId":1,"utcOffsetMilliseconds":{offset}}}"#)).unwrap();
            assert_eq!(details.day_ends_at(now), Some(at(end)), "{offset}");
        }
        let utc = read(r#"{"portalId":1,"utcOffsetMilliseconds":0}"#).unwrap();
        let midnight = at("Tue, 22 Sep 2026 00:00:00 GMT");
        assert_eq!(utc.day_ends_at(midnight), Some(at("Wed, 23 Sep 2026 00:00:00 GMT")), "a new day");
        assert_eq!(read(r#"{"portalId":1}"#).unwrap().day_ends_at(now), None);
    }

    /// Every field but the hub id may be absent, so one of the two offsets is enough.
    #[test]
    fn the_day_of_an_account_is_known_by_either_offset() {
        let at = |date: &str| Some(Timestamp::from(httpdate::parse_http_date(date).unwrap()));
        let now = at("Mon, 21 Sep 2026 14:13:20 GMT").unwrap();
        let end = |offset: &str| {
            read(&format!(r#"{{"portalId":1,"utcOffset":"{offset}"}}"#)).unwrap().day_ends_at(now)
        };
        for (offset, expected) in [
            ("-05:00", at("Tue, 22 Sep 2026 05:00:00 GMT")),
            ("+05:30", at("Mon, 21 Sep 2026 18:30:00 GMT")),
            ("+00:00", at("Tue, 22 Sep 2026 00:00:00 GMT")),
            ("-00:30", at("Tue, 22 Sep 2026 00:30:00 GMT")),
        ] {
            assert_eq!(end(offset), expected, "{offset}");
        }
        for offset in
            ["", "05:00", "-5", "-05", "-5:00", "+05:3x", "+0530", "+-5:00", "+24:00", "+05:60", "+05:00:00"]
        {
            assert_eq!(end(offset), None, "{offset}");
        }
        let both = read(r#"{"portalId":1,"utcOffset":"+09:00","utcOffsetMilliseconds":0}"#).unwrap();
        assert_eq!(both.day_ends_at(now), at("Tue, 22 Sep 2026 00:00:00 GMT"), "the number is exact");
    }

    /// HubSpot's "API usage guidelines".
    #[test]
    fn only_the_wait_after_a_daily_limit_without_retry_after_ends_at_the_midnight_of_the_account() {
        let details = read(r#"{"portalId":1,"utcOffsetMilliseconds":-18000000}"#).unwrap();
        // 00:00 in Greenwich, 19:00 in New York.
        let now = Timestamp::from_secs(20_718 * 24 * 3600);
        let mut daily = ApiError::new(Operation::Introspect, http::StatusCode::TOO_MANY_REQUESTS);
        daily.policy_name = Some("DAILY".to_owned());
        let wait = |hours: u64| NextStep::RetryAfter(Some(std::time::Duration::from_secs(hours * 3600)));
        assert_eq!((daily.next_step(), details.next_step_after(&daily, now)), (wait(1), wait(5)));

        let unknown = read(r#"{"portalId":1}"#).unwrap();
        assert_eq!(unknown.next_step_after(&daily, now), wait(1));
        let mut asked = daily.clone();
        asked.retry_after = Some(std::time::Duration::from_secs(7200));
        let mut other = daily.clone();
        other.policy_name = Some("TEN_SECONDLY_ROLLING".to_owned());
        let mut outage = daily;
        outage.status = http::StatusCode::BAD_GATEWAY;
        for error in [asked, other, outage] {
            assert_eq!(details.next_step_after(&error, now), error.next_step());
        }
    }

    #[test]
    fn a_wrong_offset_gives_a_moment_within_a_day_and_no_panic() {
        for offset in [i64::MIN, i64::MAX, -1, 1] {
            let details = read(&format!(r#"{{"portalId":1,"utcOffsetMilliseconds":{offset}}}"#)).unwrap();
            let end = details.day_ends_at(NOW).unwrap();
            assert!(end > NOW && end.since(NOW).as_secs() <= 24 * 3600, "{offset}");
            assert!(details.day_ends_at(Timestamp::from_millis(u64::MAX)).is_some());
        }
    }
}
