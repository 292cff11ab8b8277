//! tokio-postgres, with the pool of deadpool-postgres.

use std::error::Error;
use std::time::Instant;

use bytes::BytesMut;
use deadpool_postgres::tokio_postgres;
use deadpool_postgres::tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use deadpool_postgres::{Object, Pool, PoolError};

use super::{Driver, Row, error_text};
use crate::failure::Failure;
use crate::statement::{Statement, Value};

#[derive(Clone, Debug)]
pub(crate) struct Deadpool {
    pub(crate) pool: Pool,
    /// Whether statements are prepared, once for each connection.
    pub(crate) is_prepared: bool,
}

impl Driver for Deadpool {
    type Connection = Object;
    type Row = tokio_postgres::Row;

    fn connections(&self) -> usize {
        self.pool.status().max_size
    }

    async fn connection(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => failure(&error),
            PoolError::Timeout(_) => Failure::Connection("the pool's own time limit has passed".into()),
            PoolError::Closed => Failure::Setup("the pool is closed".into()),
            PoolError::NoRuntimeSpecified => Failure::Setup(
                "the pool has time limits and no runtime: build it with Runtime::Tokio1".into(),
            ),
            // What a hook says may be anything.
            PoolError::PostCreateHook(_) => {
                Failure::Connection("the pool's hook refuses the connection".into())
            }
        })
    }

    async fn query(
        &self,
        connection: &mut Object,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Self::Row>, Failure> {
        let rows = if self.is_prepared {
            let types: Vec<Type> = values.iter().map(Value::sql_type).collect();
            let prepared = connection.prepare_typed_cached(&statement.sql, &types).await;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            match prepared {
                Ok(prepared) => connection.query(&prepared, &values).await,
                Err(error) => Err(error),
            }
        } else {
            let values: Vec<(&(dyn ToSql + Sync), Type)> =
                values.iter().map(|value| (value as _, value.sql_type())).collect();
            connection.query_typed(&statement.sql, &values).await
        };
        rows.map_err(|error| failure(&error))
    }

    async fn batch(&self, connection: &mut Object, sql: &str) -> Result<(), Failure> {
        connection.batch_execute(sql).await.map_err(|error| failure(&error))
    }

    async fn give_back(&self, connection: Object) {
        drop(connection);
    }

    /// The task that holds the socket is aborted, so nothing more is sent.
    fn let_go(&self, connection: Object) {
        drop(Object::take(connection));
    }

    async fn let_go_of_silent(&self, since: Instant) {
        self.pool.retain(|_, metrics| metrics.last_used() < since.elapsed());
    }
}

impl Row for tokio_postgres::Row {
    fn number(&self, column: usize) -> Result<Option<i64>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn flag(&self, column: usize) -> Result<Option<bool>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn text(&self, column: usize) -> Result<Option<&str>, Failure> {
        self.try_get(column).map_err(|error| failure(&error))
    }

    fn json(&self, column: usize) -> Result<Option<&str>, Failure> {
        let json: Option<Json<'_>> = self.try_get(column).map_err(|error| failure(&error))?;
        Ok(json.map(|Json(text)| text))
    }
}

/// JSON as the server sends it: its text. An owner may have given the column the type of a text.
struct Json<'a>(&'a str);

impl<'a> FromSql<'a> for Json<'a> {
    fn from_sql(_: &Type, text: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(str::from_utf8(text)?))
    }

    fn accepts(ty: &Type) -> bool {
        [Type::JSON, Type::TEXT, Type::VARCHAR].contains(ty)
    }
}

impl Value {
    const fn sql_type(&self) -> Type {
        match self {
            Self::BigInt(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Record(_) => Type::JSON,
        }
    }
}

/// The driver writes the `Debug` form of every parameter to `log` at DEBUG. That of a [`Value`] shows no record.
impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::BigInt(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Record(None) => Ok(IsNull::Yes),
            Self::Record(Some(json)) => {
                out.extend_from_slice(json);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::JSON].contains(ty)
    }

    to_sql_checked!();
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(error) => Failure::Server { code: error.code().code().into(), message: error.message().into() },
        None => Failure::Connection(error_text(error)),
    }
}
