//! The store over any driver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hs_oauth_store::{
    Account, Cursor, Entry, Page, Record, SecretBytes, StoreError, StoreErrorKind, Stored, Swapped,
    check_account, record_from_json, record_to_json,
};

use crate::Warning;
use crate::calls::Calls;
use crate::driver::{Driver, Row};
use crate::failure::Failure;
use crate::server::{Server, standby};
use crate::statement::{Statement, Statements, Value};
use crate::table::Table;

#[derive(Clone, Debug)]
pub(crate) struct Store<D> {
    pub(crate) calls: Calls<D>,
    table: Table,
    statements: Arc<Statements>,
}

/// The greatest version, which every language reads exactly.
const MAX_VERSION: u64 = 1 << 53;

/// How many records are read at once at most. A record with its tokens has up to a few kilobytes.
const MAX_PAGE: usize = 1000;

/// The account of the row to which `check` writes. It has no record, so nobody sees it.
const CHECKED: Account = Account::hub(0);

/// The lock that is held while the table is created: "hs-oauth" in ASCII.
const CREATION_LOCK: i64 = 0x6873_2d6f_6175_7468;

/// How long the creation of the table may take, which waits for all others that create it.
const CREATION_DEADLINE: Duration = Duration::from_secs(30);

impl<D: Driver> Store<D> {
    pub(crate) fn new(driver: D) -> Self {
        let table = Table::default();
        Self { calls: Calls::new(driver), statements: Statements::new(&table).into(), table }
    }

    pub(crate) fn with_table(mut self, name: &str) -> Result<Self, StoreError> {
        self.table = Table::new(name)?;
        self.statements = Statements::new(&self.table).into();
        Ok(self)
    }

    pub(crate) async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        // Nothing is ever stored for it, and 0 stands for a hub in the table.
        if check_account(account).is_err() {
            return Ok(None);
        }
        let begun = Instant::now();
        let mut rows = self.calls.query(&self.statements.load, parameters(account, [])).await?;
        // That there is nothing counts only if a primary says so.
        if rows.is_empty() {
            let (statement, rest) = (&self.statements.load_or_nothing, self.rest(begun));
            rows = self.calls.query_within(statement, parameters(account, []), rest).await?;
        }
        let row = rows.first().ok_or_else(unexpected)?;
        if row.flag(0)? != Some(false) {
            return Err(standby());
        }
        match (row.number(1)?, row.json(2)?) {
            (Some(version), Some(json)) => stored(account, version, json).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        check_account(account)?;
        let json = Arc::new(record_to_json(record)?);
        let written = match expected.map(i64::try_from) {
            None => {
                let values = parameters(account, [Value::Record(Some(Arc::clone(&json)))]);
                self.written(&self.statements.create, values, self.calls.deadline).await
            }
            Some(Ok(expected)) => self.replace(account, expected, &json).await,
            // No record has such a version.
            Some(Err(_)) => return Ok(Swapped::Conflict),
        };
        match written {
            Ok(Some(row)) => Ok(Swapped::Stored(version(row.number(0)?)?)),
            Ok(None) => Ok(Swapped::Conflict),
            Err(failure) => Err(failure.without_texts_of(&json).into()),
        }
    }

    pub(crate) async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let Ok(expected) = i64::try_from(expected) else { return Ok(false) };
        if check_account(account).is_err() {
            return Ok(false);
        }
        let values = parameters(account, [Value::BigInt(expected)]);
        Ok(self.written(&self.statements.remove, values, self.calls.deadline).await?.is_some())
    }

    /// Replaces the record of this version. Returns the row, or `None` if the version is another one.
    async fn replace(
        &self,
        account: Account,
        expected: i64,
        json: &Arc<SecretBytes>,
    ) -> Result<Option<D::Row>, Failure> {
        let next = expected.saturating_add(1);
        let values = || {
            let record = Value::Record(Some(Arc::clone(json)));
            parameters(account, [Value::BigInt(expected), Value::BigInt(next), record])
        };
        let begun = Instant::now();
        let replaced = self.written(&self.statements.replace, values(), self.calls.deadline).await?;
        if replaced.is_some() {
            return Ok(replaced);
        }
        // Either the version is another one, or commits do not last.
        self.written(&self.statements.replace_durably, values(), self.rest(begun)).await
    }

    /// Returns the row that a write has written, or `None` if it has written nothing.
    async fn written(
        &self,
        statement: &Statement,
        values: Vec<Value>,
        within: Duration,
    ) -> Result<Option<D::Row>, Failure> {
        match self.calls.query_within(statement, values, within).await {
            Err(failure) if failure.is_conflict() => Ok(None),
            rows => Ok(rows?.pop()),
        }
    }

    /// The pages are in the order of the accounts.
    pub(crate) async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut values = match cursor {
            None => vec![Value::BigInt(0), Value::BigInt(i64::MIN)],
            Some(cursor) => parameters(cursor.account()?, []),
        };
        values.push(Value::BigInt(i64::try_from(limit).unwrap_or(i64::MAX)));
        let rows = self.calls.query(&self.statements.page, values).await?;
        let entries: Vec<Entry> = rows.iter().map(entry).collect::<Result<_, _>>()?;
        let next = entries.last().filter(|_| entries.len() == limit);
        let next = next.map(|last| Cursor::after(last.account));
        Ok(Page { entries, next })
    }

    /// Returns the time that is left of a call.
    fn rest(&self, begun: Instant) -> Duration {
        self.calls.deadline.saturating_sub(begun.elapsed())
    }

    /// Asks the server about itself, and writes to it.
    pub(crate) async fn check(&self) -> Result<Server, StoreError> {
        let server = self.server().await?;
        server.check()?;
        let values = parameters(CHECKED, [Value::Record(None)]);
        self.written(&self.statements.create, values, self.calls.deadline).await?;
        Ok(server)
    }

    pub(crate) async fn warnings(&self) -> Result<Vec<Warning>, StoreError> {
        self.check().await.map(|server| server.warnings())
    }

    async fn server(&self) -> Result<Server, StoreError> {
        let values = vec![Value::Text(self.table.as_sql().to_owned())];
        let rows = self.calls.query(&self.statements.server, values).await?;
        Ok(Server::new(rows.first().ok_or_else(unexpected)?)?)
    }

    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        // Who may not create it can still find it there.
        let server = self.server().await?;
        if server.has_table {
            return server.check();
        }
        let sql = format!("select pg_advisory_xact_lock({CREATION_LOCK}); {}", self.table.schema());
        Ok(self.calls.batch(sql, CREATION_DEADLINE).await?)
    }
}

/// Returns the parameters of a statement: the key of an account, and the others.
fn parameters<const N: usize>(account: Account, others: [Value; N]) -> Vec<Value> {
    let key = [account.hub_id, account.user_id.unwrap_or(0)].map(Value::BigInt);
    key.into_iter().chain(others).collect()
}

fn entry(row: &impl Row) -> Result<Entry, StoreError> {
    let number = |column| row.number(column)?.ok_or_else(unexpected);
    let (hub_id, user_id) = (number(0)?, number(1)?);
    let account = if user_id == 0 { Account::hub(hub_id) } else { Account::user(hub_id, user_id) };
    let json = row.json(3)?.ok_or_else(unexpected)?;
    Ok(Entry { account, stored: stored(account, number(2)?, json) })
}

fn stored(account: Account, number: i64, json: &str) -> Result<Stored, StoreError> {
    let version = version(Some(number))?;
    Ok(Stored { version, record: record_from_json(account, json.as_bytes())? })
}

fn version(number: Option<i64>) -> Result<u64, StoreError> {
    let version = number.and_then(|number| u64::try_from(number).ok());
    version.filter(|version| (1..=MAX_VERSION).contains(version)).ok_or_else(|| {
        StoreError::with_source(StoreErrorKind::Damaged, "the version is not one that this store gives out")
    })
}

/// Returns the failure of an answer that the statement cannot have.
fn unexpected() -> Failure {
    Failure::Setup("the server's answer is not what was asked for".into())
}
