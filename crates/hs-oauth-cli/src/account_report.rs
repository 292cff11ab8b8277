//! What `list`, `status` and `doctor` show of an account: what its record says, and what HubSpot says if it was asked.

use std::time::Duration;

use hs_oauth_blocking::{
    Account, AccountState, AccountStatus, Entry, NextStep, RenewalPolicy, RetryCause, StoreError, Stored,
    Timestamp, TokenStore, printable,
};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::{duration, store};

/// How an account is at one moment.
#[derive(Debug)]
pub(crate) struct AccountReport {
    pub(crate) account: Account,
    status: Result<AccountStatus, StoreError>,
    now: Timestamp,
    /// What HubSpot says of the refresh token, if it was asked: whether it is active.
    pub(crate) online: Option<bool>,
}

impl AccountReport {
    /// Reads the record of an account. Returns `None` if the account is not connected.
    pub(crate) fn read(store: &dyn TokenStore, account: Account, now: Timestamp) -> Option<Self> {
        let stored = store.load(account).transpose()?;
        Self::of(Entry { account, stored }, now)
    }

    /// Reads the records of all accounts that are connected, in the order of the accounts.
    pub(crate) fn read_all(store: &dyn TokenStore, now: Timestamp) -> Result<Vec<Self>, StoreError> {
        Ok(store::read_all(store, |entry| Self::of(entry, now))?.into_values().collect())
    }

    fn of(Entry { account, stored }: Entry, now: Timestamp) -> Option<Self> {
        let status = |Stored { record, .. }| AccountStatus::new(account, &record, &RenewalPolicy::new(), now);
        let status = stored.map(status);
        match status {
            Ok(AccountStatus { state: AccountState::Disconnected, .. }) => None,
            status => Some(Self { account, status, now, online: None }),
        }
    }

    /// Returns the state in one word: `live`, `backing_off`, `gone`, `revoked` or `unreadable`.
    pub(crate) fn state(&self) -> &'static str {
        match &self.status {
            Err(_) => "unreadable",
            Ok(status) if status.state != AccountState::Live => "gone",
            Ok(_) if self.online == Some(false) => "revoked",
            Ok(status) if status.backoff_until.is_some() => "backing_off",
            Ok(_) => "live",
        }
    }

    /// Returns whether the account has to connect again.
    pub(crate) fn is_gone(&self) -> bool {
        self.next_step() == Some(NextStep::Reauthorize)
    }

    /// Returns what somebody has to do for the account to be well, if anything.
    pub(crate) fn next_step(&self) -> Option<NextStep> {
        match &self.status {
            Err(error) => Some(error.next_step()),
            Ok(_) if self.online == Some(false) => Some(NextStep::Reauthorize),
            Ok(status) => status.next_step(self.now),
        }
    }

    /// Returns how long the access token is still valid, or `None` if there is none.
    fn left(&self) -> Option<Duration> {
        Some(self.status.as_ref().ok()?.expires_at?.since(self.now))
    }

    /// Returns how long nobody may renew the tokens, and why.
    fn back_off(&self) -> Option<(Duration, Option<&RetryCause>)> {
        let status = self.status.as_ref().ok()?;
        Some((status.backoff_until?.since(self.now), status.cause.as_ref()))
    }

    /// Returns everything as an object: that of [`AccountStatus`], with the state in one word, and what follows from it now.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, Failure> {
        let mut object = match self.status.as_ref().map(serde_json::to_value) {
            Ok(Ok(Value::Object(object))) => object,
            Ok(_) => return Err(Failure::Other("the status is no JSON object".to_owned())),
            Err(_) => Map::new(),
        };
        let whole_seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        for (name, value) in [
            ("account", self.account.to_string().into()),
            ("state", self.state().into()),
            ("next_step", self.next_step().map(NextStep::name).into()),
            ("expires_in", self.left().map(|left| left.as_secs()).into()),
            ("retry_after", self.back_off().map(|(wait, _)| whole_seconds(wait)).into()),
            ("active", self.online.into()),
            ("error", self.status.as_ref().err().map(ToString::to_string).into()),
        ] {
            object.insert(name.to_owned(), value);
        }
        Ok(object)
    }

    /// Returns why the record cannot be read, if it cannot.
    pub(crate) fn error(&self) -> Option<String> {
        self.status.as_ref().err().map(ToString::to_string)
    }

    /// Returns the cells of a table's line, as people read them.
    pub(crate) fn cells(&self) -> [String; COLUMNS.len()] {
        let nothing = || "-".to_owned();
        let is_gone = self.is_gone();
        let token = match self.left() {
            _ if is_gone => nothing(),
            None => "at the next use".to_owned(),
            Some(left) if left.is_zero() => "expired".to_owned(),
            Some(left) => format!("{} left", duration::text(left)),
        };
        let status = self.status.as_ref().ok();
        let renewed = status.and_then(|status| status.renewed_at);
        let renewed = renewed.map(|at| format!("{} ago", duration::text(self.now.since(at))));
        let back_off = self.back_off().map(|(wait, cause)| {
            let cause = cause.map(|cause| format!(" ({})", printable(cause.as_str()))).unwrap_or_default();
            format!("{}{cause}", duration::text(wait))
        });
        let state = match status.map(|status| status.state) {
            Some(AccountState::GoneUnsettled) => "gone, lost in a renewal".to_owned(),
            _ => self.state().replace('_', " "),
        };
        let scopes = status.and_then(|status| status.scopes.as_ref());
        let scopes = scopes
            .map(|scopes| scopes.iter().map(|scope| printable(scope.as_str())).collect::<Vec<_>>().join(" "));
        [
            self.account.to_string(),
            state,
            token,
            renewed.unwrap_or_else(nothing),
            back_off.unwrap_or_else(nothing),
            scopes.unwrap_or_else(nothing),
        ]
    }
}

/// The columns of the table.
const COLUMNS: [&str; 6] = ["ACCOUNT", "STATE", "TOKEN", "RENEWED", "BACK-OFF", "SCOPES"];

/// Returns the exit status that asks for the most urgent next step of these accounts, or 0 if all are well: the lowest one, so that an
/// account that has to connect again is not hidden behind one that only waits.
pub(crate) fn exit_status(accounts: &[AccountReport]) -> u8 {
    accounts.iter().filter_map(AccountReport::next_step).map(Failure::status_of).min().unwrap_or(0)
}

/// Returns the objects of accounts, for `--json`.
pub(crate) fn objects(accounts: &[AccountReport]) -> Result<Vec<Map<String, Value>>, Failure> {
    accounts.iter().map(AccountReport::object).collect()
}

/// Returns a table of accounts, with a line for each.
pub(crate) fn table(accounts: &[AccountReport]) -> String {
    let lines: Vec<_> =
        [COLUMNS.map(str::to_owned)].into_iter().chain(accounts.iter().map(AccountReport::cells)).collect();
    let mut widths = [0; COLUMNS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &[String; COLUMNS.len()]| {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use hs_oauth_blocking::{AccessToken, MemoryStore, Record, StoreErrorKind, TokenSet};
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn status(change: Value) -> AccountReport {
        status_at(NOW, change)
    }

    fn status_at(now: Timestamp, change: Value) -> AccountReport {
        let mut tokens =
            TokenSet::new(AccessToken::new("a").unwrap(), 1800, NOW.minus(Duration::from_secs(600)));
        tokens.refresh_token = Some("r".parse().unwrap());
        tokens.scopes = Some("oauth tickets".parse().unwrap());
        let mut object = json!({"format": 1, "grant": "000000000123456789abcdef01234567", "state": "live", "tokens": tokens});
        for (name, value) in change.as_object().unwrap() {
            object[name] = value.clone();
        }
        let record: Record = serde_json::from_value(object).unwrap();
        let store = MemoryStore::new();
        store.swap(Account::hub(7), None, &record).unwrap();
        AccountReport::read(&store, Account::hub(7), now).unwrap()
    }

    fn retry(seconds: u64, cause: &str) -> Value {
        json!({"retry": {"at": NOW.plus(Duration::from_secs(seconds)), "failures": 2, "cause": cause}})
    }

    #[test]
    fn the_state_is_read_from_the_record_and_says_what_to_do() {
        let late = |change| status_at(NOW.plus(Duration::from_secs(1200)), change);
        let wait = |seconds| Some(NextStep::RetryAfter(Some(Duration::from_secs(seconds))));
        for (status, state, next_step) in [
            (status(json!({})), "live", None),
            (late(json!({})), "live", None),
            (status(json!({"state": "gone"})), "gone", Some(NextStep::Reauthorize)),
            // The old token is still good, so nobody waits.
            (status(retry(90, "unavailable")), "backing_off", None),
            (late(retry(1290, "unavailable")), "backing_off", wait(90)),
            (status(retry(90, "client_refused")), "backing_off", Some(NextStep::FixConfiguration)),
            (late(retry(90, "unavailable")), "live", None),
        ] {
            assert_eq!((status.state(), status.next_step()), (state, next_step), "{status:?}");
        }
        let revoked = AccountReport { online: Some(false), ..status(json!({})) };
        assert_eq!((revoked.state(), revoked.is_gone()), ("revoked", true));
    }

    #[test]
    fn the_exit_status_is_that_of_the_most_urgent_account() {
        let unreadable = |kind| AccountReport {
            status: Err(StoreError::with_source(kind, "a reason")),
            ..status(json!({}))
        };
        for (accounts, expected) in [
            (vec![], 0),
            (vec![status(json!({})), status(retry(90, "unavailable"))], 0),
            (
                vec![
                    status(json!({})),
                    status(json!({"state": "gone"})),
                    status(retry(90, "client_refused")),
                ],
                3,
            ),
            (vec![status(retry(90, "client_refused")), unreadable(StoreErrorKind::Unavailable)], 4),
            (vec![unreadable(StoreErrorKind::Damaged)], 4),
            (vec![status(json!({})), unreadable(StoreErrorKind::Unavailable)], 5),
        ] {
            assert_eq!(exit_status(&accounts), expected, "{accounts:?}");
        }
    }

    #[test]
    fn an_object_has_every_name_whatever_is_known() {
        let object = status(json!({"state": "gone", "unsettled": true})).object().unwrap();
        let live = AccountReport { online: Some(true), ..status(retry(90, "unavailable")) }.object().unwrap();
        assert!(live.keys().eq(object.keys()), "{live:?} {object:?}");
        for (name, value) in [
            ("account", json!("7")),
            ("state", json!("backing_off")),
            ("next_step", json!(null)),
            ("scopes", json!(["oauth", "tickets"])),
            ("renewed_at", json!(NOW.minus(Duration::from_secs(600)))),
            ("expires_in", json!(1200)),
            ("retry_after", json!(90)),
            ("failures", json!(2)),
            ("cause", json!("unavailable")),
            ("active", json!(true)),
            ("error", json!(null)),
        ] {
            assert_eq!(live[name], value, "{name}");
        }
        assert_eq!((&object["state"], &object["next_step"]), (&json!("gone"), &json!("reauthorize")));
        let unreadable = AccountReport {
            status: Err(StoreError::with_source(StoreErrorKind::Damaged, "a reason")),
            ..status(json!({}))
        };
        let object = unreadable.object().unwrap();
        assert_eq!((&object["account"], &object["state"]), (&json!("7"), &json!("unreadable")));
        assert!(object["error"].as_str().unwrap().contains("a reason"), "{object:?}");
    }

    #[test]
    fn people_read_a_table_with_times_that_are_left_or_over() {
        let lost = status(json!({"state": "gone", "unsettled": true}));
        assert_eq!(
            table(&[status(json!({})), status(retry(90, "no_response")), lost]),
            "ACCOUNT  STATE                    TOKEN     RENEWED  BACK-OFF             SCOPES\n\
             7        live                     20m left  10m ago  -                    oauth tickets\n\
             7        backing off              20m left  10m ago  1m 30s (no_response)  oauth tickets\n\
             7        gone, lost in a renewal  -         10m ago  -                    oauth tickets\n"
                .replace("BACK-OFF             SCOPES", "BACK-OFF              SCOPES")
                .replace("-                    oauth", "-                     oauth")
        );
    }

    #[test]
    fn an_account_that_was_disconnected_is_not_there() {
        let store = MemoryStore::new();
        let record: Record = serde_json::from_value(
            json!({"format": 1, "grant": "000000000123456789abcdef01234567", "state": "disconnected"}),
        )
        .unwrap();
        store.swap(Account::hub(7), None, &record).unwrap();
        assert!(AccountReport::read(&store, Account::hub(7), NOW).is_none());
        assert!(AccountReport::read_all(&store, NOW).unwrap().is_empty());
    }
}
