//! How an account is, as its record says. Nothing is asked for it but the store.

use std::time::Duration;

use hs_oauth_blocking::{
    Account, GrantState, NextStep, Record, RefreshToken, RenewalPolicy, RetryCause, StoreError, Stored,
    Timestamp, TokenStore, printable,
};
use serde_json::{Value, json};

use crate::duration;
use crate::store;

/// How an account is at one moment.
#[derive(Debug)]
pub(crate) struct AccountStatus {
    pub(crate) account: Account,
    record: Result<Record, StoreError>,
    now: Timestamp,
    /// What HubSpot says of the refresh token, if it was asked: whether it is active.
    pub(crate) online: Option<bool>,
}

impl AccountStatus {
    /// Reads the record of an account. Returns `None` if the account is not connected.
    pub(crate) fn read(store: &dyn TokenStore, account: Account, now: Timestamp) -> Option<Self> {
        let record = match store.load(account) {
            Ok(None) => return None,
            Ok(Some(stored)) if !stored.is_installed() => return None,
            Ok(Some(Stored { record, .. })) => Ok(record),
            Err(error) => Err(error),
        };
        Some(Self { account, record, now, online: None })
    }

    /// Reads the records of all accounts that are connected.
    pub(crate) fn read_all(store: &dyn TokenStore, now: Timestamp) -> Result<Vec<Self>, StoreError> {
        let accounts = store::accounts(store)?;
        Ok(accounts.into_iter().filter_map(|account| Self::read(store, account, now)).collect())
    }

    /// Returns the state in one word: `live`, `backing_off`, `gone`, `revoked` or `unreadable`.
    pub(crate) fn state(&self) -> &'static str {
        match &self.record {
            Err(_) => "unreadable",
            Ok(record) if record.state == GrantState::Gone => "gone",
            Ok(_) if self.online == Some(false) => "revoked",
            Ok(_) if self.back_off().is_some() => "backing_off",
            Ok(_) => "live",
        }
    }

    /// Returns whether the account has to connect again.
    pub(crate) fn is_gone(&self) -> bool {
        self.next_step() == Some(NextStep::Reauthorize)
    }

    /// Returns what somebody has to do for the account to be well, if anything.
    pub(crate) fn next_step(&self) -> Option<NextStep> {
        match (&self.record, self.state()) {
            (Err(error), _) => Some(error.next_step()),
            (Ok(_), "gone" | "revoked") => Some(NextStep::Reauthorize),
            (Ok(_), "backing_off") => {
                let (wait, cause) = self.back_off()?;
                let step =
                    cause.map(|cause| cause.next_step(wait)).unwrap_or(NextStep::RetryAfter(Some(wait)));
                // While the token is good, nobody has to wait for another.
                match step {
                    NextStep::RetryAfter(_) if self.has_usable_token() => None,
                    step => Some(step),
                }
            }
            (Ok(_), _) => None,
        }
    }

    /// Returns the refresh token, if there is one.
    pub(crate) fn refresh_token(&self) -> Option<&RefreshToken> {
        self.record.as_ref().ok()?.tokens.as_ref()?.refresh_token.as_ref()
    }

    /// Returns how long the access token is still valid, or `None` if there is none.
    pub(crate) fn left(&self) -> Option<Duration> {
        let tokens = self.record.as_ref().ok()?.tokens.as_ref()?;
        tokens.has_access_token().then(|| tokens.expires_at.since(self.now))
    }

    /// Returns whether the access token is one that is handed out. It is not within a margin before its end.
    fn has_usable_token(&self) -> bool {
        let tokens = self.record.as_ref().ok().and_then(|record| record.tokens.as_ref());
        tokens.is_some_and(|tokens| self.now < RenewalPolicy::new().schedule(tokens).usable_until)
    }

    /// Returns how long nobody may renew the tokens, and why.
    fn back_off(&self) -> Option<(Duration, Option<&RetryCause>)> {
        let retry = self.record.as_ref().ok()?.retry.as_ref()?;
        (retry.at > self.now).then(|| (retry.at.since(self.now), retry.cause.as_ref()))
    }

    /// Returns when the tokens were last renewed or installed, or `None` if that is not known.
    fn renewed_at(&self) -> Option<Timestamp> {
        let tokens = self.record.as_ref().ok()?.tokens.as_ref()?;
        tokens.has_access_token().then(|| tokens.expires_at.minus(Duration::from_secs(tokens.expires_in)))
    }

    fn scopes(&self) -> Option<Vec<String>> {
        let scopes = self.record.as_ref().ok()?.tokens.as_ref()?.scopes.as_ref()?;
        Some(scopes.iter().map(|scope| printable(scope.as_str())).collect())
    }

    /// Returns everything as an object, under the names that `--json` has. What is not known is null.
    pub(crate) fn object(&self) -> Value {
        let record = self.record.as_ref().ok();
        let retry = record.and_then(|record| record.retry.as_ref());
        let back_off = self.back_off();
        json!({
            "account": self.account,
            "state": self.state(),
            "next_step": self.next_step().map(NextStep::name),
            "expires_at": record.and_then(|record| record.tokens.as_ref()).map(|tokens| tokens.expires_at),
            "expires_in": self.left().map(|left| left.as_secs()),
            "renewed_at": self.renewed_at(),
            "scopes": self.scopes(),
            "client_id": record.and_then(|record| record.client_id.as_ref()),
            "unsettled": record.map(|record| record.unsettled),
            "failures": retry.map(|retry| retry.failures),
            "retry_after": back_off.map(|(wait, _)| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            "retry_cause": back_off.and_then(|(_, cause)| cause).map(RetryCause::as_str),
            "active": self.online,
            "error": self.record.as_ref().err().map(ToString::to_string),
        })
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
        let renewed = self.renewed_at().map(|at| format!("{} ago", duration::text(self.now.since(at))));
        let back_off = self.back_off().map(|(wait, cause)| {
            let cause = cause.map(|cause| format!(" ({})", printable(cause.as_str()))).unwrap_or_default();
            format!("{}{cause}", duration::text(wait))
        });
        let state = match (&self.record, self.state()) {
            (Ok(record), "gone") if record.unsettled => "gone, lost in a renewal".to_owned(),
            (_, state) => state.replace('_', " "),
        };
        [
            self.account.to_string(),
            state,
            token,
            renewed.unwrap_or_else(nothing),
            back_off.unwrap_or_else(nothing),
            self.scopes().map_or_else(nothing, |scopes| scopes.join(" ")),
        ]
    }
}

/// The columns of the table.
const COLUMNS: [&str; 6] = ["ACCOUNT", "STATE", "TOKEN", "RENEWED", "BACK-OFF", "SCOPES"];

/// Returns a table of accounts, with a line for each.
pub(crate) fn table(accounts: &[AccountStatus]) -> String {
    let lines: Vec<_> =
        [COLUMNS.map(str::to_owned)].into_iter().chain(accounts.iter().map(AccountStatus::cells)).collect();
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
    use hs_oauth_blocking::{AccessToken, MemoryStore, TokenSet};
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn status(change: Value) -> AccountStatus {
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
        AccountStatus::read(&store, Account::hub(7), NOW).unwrap()
    }

    fn retry(seconds: u64, cause: &str) -> Value {
        json!({"retry": {"at": NOW.plus(Duration::from_secs(seconds)), "failures": 2, "cause": cause}})
    }

    #[test]
    fn the_state_is_read_from_the_record_and_says_what_to_do() {
        let late =
            |status: AccountStatus| AccountStatus { now: NOW.plus(Duration::from_secs(1200)), ..status };
        let wait = |seconds| Some(NextStep::RetryAfter(Some(Duration::from_secs(seconds))));
        for (status, state, next_step) in [
            (status(json!({})), "live", None),
            (late(status(json!({}))), "live", None),
            (status(json!({"state": "gone"})), "gone", Some(NextStep::Reauthorize)),
            // The old token is still good, so nobody waits.
            (status(retry(90, "unavailable")), "backing_off", None),
            (late(status(retry(1290, "unavailable"))), "backing_off", wait(90)),
            (status(retry(90, "client_refused")), "backing_off", Some(NextStep::FixConfiguration)),
            (late(status(retry(90, "unavailable"))), "live", None),
        ] {
            assert_eq!((status.state(), status.next_step()), (state, next_step), "{status:?}");
        }
        let revoked = AccountStatus { online: Some(false), ..status(json!({})) };
        assert_eq!((revoked.state(), revoked.is_gone()), ("revoked", true));
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
        assert!(AccountStatus::read(&store, Account::hub(7), NOW).is_none());
        assert!(AccountStatus::read_all(&store, NOW).unwrap().is_empty());
    }
}
