//! What the store needs of a driver and its pool.

#[cfg(feature = "tokio-postgres")]
pub(crate) mod deadpool;
#[cfg(feature = "sqlx")]
pub(crate) mod sqlx;

use std::time::Instant;

use crate::failure::Failure;
use crate::statement::{Statement, Value};

/// A pool of connections, and how a statement is sent on one of them.
pub(crate) trait Driver: Clone + Send + Sync + 'static {
    type Connection: Send;
    type Row: Row;

    /// Returns how many connections the pool has at most.
    fn connections(&self) -> usize;

    /// Returns a connection. Makes a new one if none is idle. It is not dropped before it is done, except after a long time.
    fn connection(&self) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// Sends one statement.
    fn query(
        &self,
        connection: &mut Self::Connection,
        statement: &Statement,
        values: &[Value],
    ) -> impl Future<Output = Result<Vec<Self::Row>, Failure>> + Send;

    /// Sends statements that have no parameters and return nothing, as one transaction.
    fn batch(
        &self,
        connection: &mut Self::Connection,
        sql: &str,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Gives a connection back to the pool. If this is dropped before it is done, the connection is let go.
    fn give_back(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send;

    /// Closes a connection without another word to the server, and takes it out of the pool.
    fn let_go(&self, connection: Self::Connection);

    /// Closes the idle connections that the server may have forgotten: those on which nothing was heard since then.
    fn let_go_of_silent(&self, since: Instant) -> impl Future<Output = ()> + Send;
}

/// A row of an answer.
pub(crate) trait Row: Send + 'static {
    /// Returns the number in this column.
    fn number(&self, column: usize) -> Result<Option<i64>, Failure>;

    /// Returns the boolean in this column.
    fn flag(&self, column: usize) -> Result<Option<bool>, Failure>;

    /// Returns the text in this column.
    fn text(&self, column: usize) -> Result<Option<&str>, Failure>;

    /// Returns the text of the JSON in this column.
    fn json(&self, column: usize) -> Result<Option<&str>, Failure>;
}

/// Returns the text of an error that has no secret in it, with the texts of its causes.
fn error_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
