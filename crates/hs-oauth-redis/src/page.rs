//! Pages of records, by `SCAN`.
//!
//! `SCAN` returns each key that is there all the while at least once, as long as the same server process answers: the order of the keys is
//! drawn anew when it starts. So a cursor names the process, and at another one, after a restart or a failover, the pages begin anew.

use std::collections::BTreeSet;

use hs_oauth_store::{Account, Cursor, Entry, Page, StoreError};
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::call::{CallConnection, Work};
use crate::error::{CallError, refused, unexpected_answer};
use crate::key::Keys;
use crate::reply;

/// The call that reads a page.
pub(crate) struct ReadPage {
    pub(crate) keys: Keys,
    pub(crate) begin: Option<Place>,
    pub(crate) limit: usize,
}

/// Where a page begins: the process of the server, and its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    run_id: String,
    cursor: u64,
}

/// The most keys that one `SCAN` looks at. Redis does nothing else meanwhile.
const MAX_SCANNED: usize = 1000;

/// How many records are asked for at once, so that other calls on the connection do not wait for a long answer.
const RECORDS_AT_ONCE: usize = 64;

impl Place {
    /// # Errors
    /// [`Refused`](hs_oauth_store::StoreErrorKind::Refused) if the cursor is not one of this store.
    pub(crate) fn from_cursor(cursor: &Cursor) -> Result<Self, StoreError> {
        let place = cursor.as_str().split_once('-').and_then(|(run_id, cursor)| {
            let is_run_id =
                (1..=64).contains(&run_id.len()) && run_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let cursor = cursor.parse().ok().filter(|cursor| *cursor > 0)?;
            is_run_id.then(|| Self { run_id: run_id.to_owned(), cursor })
        });
        place.filter(|place| place.to_cursor() == *cursor).ok_or_else(Cursor::refused)
    }

    fn to_cursor(&self) -> Cursor {
        Cursor::new(format!("{}-{}", self.run_id, self.cursor))
    }
}

impl Work for ReadPage {
    type Output = Page;

    const IS_READ: bool = true;

    async fn run(&self, connection: &CallConnection<'_>) -> Result<Page, CallError> {
        let (accounts, next) = self.scan(connection).await?;
        let mut entries = Vec::with_capacity(accounts.len());
        let accounts: Vec<Account> = accounts.into_iter().collect();
        for accounts in accounts.chunks(RECORDS_AT_ONCE) {
            self.read(connection, accounts, &mut entries).await?;
        }
        Ok(Page { entries, next: next.map(|place| place.to_cursor()) })
    }
}

impl ReadPage {
    /// Returns about as many accounts as the limit says, and where the others are.
    async fn scan(
        &self,
        connection: &CallConnection<'_>,
    ) -> Result<(BTreeSet<Account>, Option<Place>), CallError> {
        let run_id = connection.run_id().ok_or_else(|| {
            refused("the Redis user may not run `INFO`, without which the store cannot read pages: see the README")
        })?;
        let run_id = run_id.to_owned();
        let is_same = |place: &&Place| place.run_id == run_id;
        let mut cursor = self.begin.as_ref().filter(is_same).map_or(0, |place| place.cursor);
        let limit = self.limit.clamp(1, MAX_SCANNED);
        // Among keys of others, a page may find few of its own. It ends early enough to answer in time.
        let now = Instant::now();
        let enough_time = now + connection.deadline().saturating_duration_since(now) / 4;
        let mut accounts = BTreeSet::new();
        loop {
            let (next, keys) = scanned(connection.query(self.command(cursor, limit)).await?)?;
            accounts.extend(keys.iter().filter_map(|key| self.keys.account(key)));
            cursor = next;
            if cursor == 0 || accounts.len() >= limit.div_ceil(2) || Instant::now() >= enough_time {
                break;
            }
        }
        Ok((accounts, (cursor != 0).then_some(Place { run_id, cursor })))
    }

    fn command(&self, cursor: u64, limit: usize) -> Cmd {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(self.keys.pattern()).arg("COUNT").arg(limit);
        command
    }

    /// Reads the records of these accounts. Leaves out those that have none.
    async fn read(
        &self,
        connection: &CallConnection<'_>,
        accounts: &[Account],
        entries: &mut Vec<Entry>,
    ) -> Result<(), CallError> {
        let mut commands = redis::pipe();
        for account in accounts {
            commands.cmd("HMGET").arg(self.keys.key(*account)).arg(&reply::FIELDS);
        }
        let answers = connection.query_all(commands).await?;
        if answers.len() != accounts.len() {
            return Err(unexpected_answer().into());
        }
        for (account, answer) in accounts.iter().zip(answers) {
            let stored = reply::stored(*account, answer).map_err(StoreError::from).transpose();
            entries.extend(stored.map(|stored| Entry { account: *account, stored }));
        }
        Ok(())
    }
}

/// Reads an answer to `SCAN`: the next cursor, and keys.
fn scanned(answer: Value) -> Result<(u64, Vec<String>), CallError> {
    let Value::Array(parts) = answer else { return Err(unexpected_answer().into()) };
    let [cursor, keys] = <[Value; 2]>::try_from(parts).map_err(|_| unexpected_answer())?;
    let cursor = reply::text(cursor).and_then(|text| text.parse().ok()).ok_or_else(unexpected_answer)?;
    let Value::Array(keys) = keys else { return Err(unexpected_answer().into()) };
    Ok((cursor, keys.into_iter().filter_map(reply::text).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_process_of_the_server_and_where_it_goes_on() {
        let place = Place { run_id: "3f".repeat(20), cursor: u64::MAX };
        assert_eq!(Place::from_cursor(&place.to_cursor()).unwrap(), place);
    }

    #[test]
    fn a_text_that_is_not_a_cursor_of_this_store_is_refused() {
        for text in [
            "",
            "-",
            "7",
            "62515-7-",
            "ab-0",
            "ab-",
            "-7",
            "ab-07",
            "ab-+7",
            "a b-7",
            "ab-18446744073709551616",
        ] {
            assert!(Place::from_cursor(&Cursor::new(text)).is_err(), "{text}");
        }
    }
}
