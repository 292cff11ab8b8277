//! sqlx, with its own pool.

use std::time::{Duration, Instant};

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::types::Type;
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool, Postgres, Row as _};
use tokio::time::timeout;

use super::{Driver, Row, error_text};
use crate::failure::Failure;
use crate::statement::{Statement, Value};

#[derive(Clone, Debug)]
pub(crate) struct Sqlx {
    pub(crate) pool: PgPool,
    /// Whether statements are prepared, once for each connection.
    pub(crate) is_prepared: bool,
}

/// How long the server may take to answer on an idle connection that may be forgotten.
const PING: Duration = Duration::from_secs(1);

/// Begins a transaction for a statement that has parameters and is not prepared by name. The driver sends such a statement in two parts, and pgbouncer would
/// give the second part to another connection. If the client is no more, the server ends the transaction by itself.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'";

impl Driver for Sqlx {
    type Connection = PoolConnection<Postgres>;
    type Row = PgRow;

    fn connections(&self) -> usize {
        self.pool.options().get_max_connections() as usize
    }

    async fn connection(&self) -> Result<Self::Connection, Failure> {
        // An idle connection as it is: the pool would first wait for an answer on it, for any time.
        if let Some(connection) = self.pool.try_acquire() {
            return Ok(connection);
        }
        self.pool.acquire().await.map_err(|error| failure(&error))
    }

    async fn query(
        &self,
        connection: &mut Self::Connection,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<PgRow>, Failure> {
        if self.is_prepared {
            let rows = bound(statement, values).fetch_all(&mut **connection).await;
            return rows.map_err(|error| failure(&error));
        }
        if let Some(sql) = without_parameters(statement, values) {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut **connection).await;
            return rows.map_err(|error| failure(&error));
        }
        let query = bound(statement, values).persistent(false);
        self.batch(connection, BEGIN).await?;
        match query.fetch_all(&mut **connection).await {
            Ok(rows) => {
                self.batch(connection, "commit").await?;
                Ok(rows)
            }
            Err(error) => {
                self.batch(connection, "rollback").await?;
                Err(failure(&error))
            }
        }
    }

    async fn batch(&self, connection: &mut Self::Connection, sql: &str) -> Result<(), Failure> {
        let sent = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        sent.map(drop).map_err(|error| failure(&error))
    }

    /// The pool asks the server whether the connection still works, and would wait for the answer for any time.
    async fn give_back(&self, mut connection: Self::Connection) {
        connection.return_to_pool().await;
    }

    fn let_go(&self, connection: Self::Connection) {
        drop(connection.detach());
    }

    async fn let_go_of_silent(&self, _: Instant) {
        let mut idle = Vec::new();
        while let Some(connection) = self.pool.try_acquire() {
            idle.push(connection);
        }
        for mut connection in idle {
            let pool = self.clone();
            tokio::spawn(async move {
                match timeout(PING, connection.ping()).await {
                    Ok(Ok(())) => {
                        let _ = timeout(PING, pool.give_back(connection)).await;
                    }
                    _ => pool.let_go(connection),
                }
            });
        }
    }
}

/// Returns a statement that only reads, with its values in their places, if all of them are numbers. The driver sends such a text at once, so it
/// needs no transaction. A record never gets into a text: the server logs those of statements that fail.
fn without_parameters(statement: &Statement, values: &[Value]) -> Option<String> {
    let mut sql = statement.is_read.then(|| statement.sql.to_string())?;
    for (index, value) in values.iter().enumerate() {
        let Value::BigInt(number) = value else { return None };
        // As the literal of a bigint: in plain digits, the lowest number would be a numeric, for which there is no index.
        sql = sql.replace(&format!("${}", index + 1), &format!("'{number}'::bigint"));
    }
    Some(sql)
}

fn bound<'q>(statement: &Statement, values: &'q [Value]) -> Query<'q, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
    values.iter().fold(query, |query, value| match value {
        Value::BigInt(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Record(json) => query.bind(json.as_deref().map(|json| Json(json))),
    })
}

/// JSON as it is sent: its text.
struct Json<'a>(&'a [u8]);

impl Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        const JSON: Oid = Oid(114);
        PgTypeInfo::with_oid(JSON)
    }
}

impl Encode<'_, Postgres> for Json<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0);
        Ok(IsNull::No)
    }
}

impl Row for PgRow {
    fn number(&self, column: usize) -> Result<Option<i64>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn flag(&self, column: usize) -> Result<Option<bool>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn text(&self, column: usize) -> Result<Option<&str>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    /// Reads it unchecked: sqlx does not read JSON as text, although the server sends it as text.
    fn json(&self, column: usize) -> Result<Option<&str>, Failure> {
        self.try_get_unchecked(column).map_err(|error| failure(&error))
    }
}

fn failure(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(error) => Failure::Server {
            code: error.code().unwrap_or_default().into_owned(),
            message: error.message().to_owned(),
        },
        sqlx::Error::Io(error) => Failure::Connection(error_text(error)),
        sqlx::Error::Tls(error) => Failure::Connection(error_text(&**error)),
        sqlx::Error::PoolTimedOut => Failure::Connection("the pool's own time limit has passed".into()),
        sqlx::Error::PoolClosed => Failure::Setup("the pool is closed".into()),
        sqlx::Error::Configuration(_) => Failure::Setup("the pool's options are not valid".into()),
        // The texts of the others may have a part of what was read in them.
        _ => Failure::Connection("the driver does not understand the server".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Statements;
    use crate::table::Table;

    #[test]
    fn a_read_by_numbers_is_a_text_without_parameters() {
        let statements = Statements::new(&Table::default());
        let sql = without_parameters(&statements.load, &[Value::BigInt(62_515), Value::BigInt(0)]).unwrap();
        assert!(sql.ends_with("where hub_id = '62515'::bigint and user_id = '0'::bigint"), "{sql}");
        let values = [Value::BigInt(62_515), Value::BigInt(i64::MIN), Value::BigInt(10)];
        let sql = without_parameters(&statements.page, &values).unwrap();
        assert!(sql.contains("> ('62515'::bigint, '-9223372036854775808'::bigint)"), "{sql}");
        assert!(!sql.contains('$'));
    }

    #[test]
    fn neither_a_write_nor_a_text_is_put_into_a_statement() {
        let statements = Statements::new(&Table::default());
        let key = [Value::BigInt(62_515), Value::BigInt(0), Value::BigInt(1)];
        assert!(without_parameters(&statements.remove, &key).is_none());
        assert!(without_parameters(&statements.server, &[Value::Text("tokens".into())]).is_none());
    }
}
