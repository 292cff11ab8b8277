//! A call of the store, with a deadline of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hs_oauth_store::StoreError;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::connection::{Connection, Connections};
use crate::error::{CallError, is_no_script, refused, unavailable};
use crate::script::Invocation;

/// What a call does.
pub(crate) trait Work: Send + Sync {
    type Output;

    /// Whether it may be done a second time when the connection was lost.
    const IS_READ: bool;

    fn run(&self, line: &mut Line<'_>) -> impl Future<Output = Result<Self::Output, CallError>> + Send;
}

/// The connection, as one call uses it.
pub(crate) struct Line<'a> {
    runtime: Handle,
    connections: &'a Arc<Connections>,
    connection: Arc<Connection>,
    /// When the caller stops waiting. Nothing is sent after that.
    deadline: Instant,
    /// How long an answer may stay out before the connection counts as dead.
    patience: Duration,
}

/// Does the work, and waits for it until the deadline.
///
/// A caller that gives up cuts off nothing that was sent: see [`Unanswered`].
pub(crate) async fn call<W: Work>(
    connections: &Arc<Connections>,
    deadline: Duration,
    work: W,
) -> Result<W::Output, StoreError> {
    let runtime =
        Handle::try_current().map_err(|_| refused("the store for Redis needs a tokio runtime around it"))?;
    let (patience, deadline) = (deadline, Instant::now() + deadline);
    let connection = connections.open(deadline).await?;
    let mut line = Line { runtime, connections, connection, deadline, patience };
    let mut result = work.run(&mut line).await;
    if W::IS_READ && result.as_ref().is_err_and(CallError::is_lost_connection) {
        line.connection = connections.open(deadline).await?;
        result = work.run(&mut line).await;
    }
    result.map_err(StoreError::from)
}

impl Line<'_> {
    /// Returns the ID that the server gave itself when it started, if it tells.
    pub(crate) fn run_id(&self) -> Option<&str> {
        self.connection.server.run_id()
    }

    pub(crate) fn connections(&self) -> &Connections {
        self.connections
    }

    /// Returns when the caller stops waiting.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sends a command. Returns the answer.
    pub(crate) async fn query(&self, command: Cmd) -> Result<Value, CallError> {
        let mut redis = self.connection.redis.clone();
        self.answer(async move { redis.send_packed_command(&command).await?.extract_error() }).await
    }

    /// Sends as many commands as this at once. Returns the answers, errors among them.
    pub(crate) async fn query_all(&self, commands: Pipeline) -> Result<Vec<Value>, CallError> {
        let mut redis = self.connection.redis.clone();
        self.answer(async move { redis.send_packed_commands(&commands, 0, commands.len()).await }).await
    }

    /// Runs a script. A server that does not have it yet, or no more, gets its code. Returns the answer.
    pub(crate) async fn run(&self, script: Arc<Invocation>) -> Result<Value, CallError> {
        let (mut redis, deadline) = (self.connection.redis.clone(), self.deadline);
        let answer = async move {
            match redis.send_packed_command(&script.by_hash()).await?.extract_error() {
                Err(error) if is_no_script(&error) && Instant::now() < deadline => {
                    redis.send_packed_command(&script.with_code()).await?.extract_error()
                }
                result => result,
            }
        };
        self.answer(answer).await
    }

    async fn answer<T: Send + 'static>(
        &self,
        answer: impl Future<Output = RedisResult<T>> + Send + 'static,
    ) -> Result<T, CallError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.connections.why_not_in_time().into());
        }
        let unanswered = Unanswered {
            answer: Some(Box::pin(answer)),
            // A caller that had to wait for the connection has little time left, which says nothing of the connection.
            limit: self.deadline.max(now + self.patience * 9 / 10),
            connection: Arc::clone(&self.connection),
            connections: Arc::clone(self.connections),
            runtime: self.runtime.clone(),
        };
        match timeout_at(self.deadline, unanswered).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(unavailable("Redis did not answer in time").into()),
        }
    }
}

/// The answer to what was sent. When the caller gives up, it is waited for by a task of its own.
///
/// So nothing that was sent is cut off, and an answer that stays out ends the connection, however little time the caller had left.
struct Unanswered<F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> {
    /// Nothing when it has come.
    answer: Option<Pin<Box<F>>>,
    /// When the connection counts as dead.
    limit: Instant,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    runtime: Handle,
}

impl<F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> Future for Unanswered<F, T> {
    type Output = RedisResult<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RedisResult<T>> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let poll = answer.as_mut().poll(context);
        if let Poll::Ready(answer) = &poll {
            self.answer = None;
            self.connections.note_answer(&self.connection, answer);
        }
        poll
    }
}

impl<F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> Drop for Unanswered<F, T> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let (limit, connection) = (self.limit, Arc::clone(&self.connection));
        let connections = Arc::clone(&self.connections);
        if Instant::now() >= limit {
            return connections.discard(&connection);
        }
        self.runtime.spawn(async move {
            match timeout_at(limit, answer).await {
                Ok(answer) => connections.note_answer(&connection, &answer),
                Err(_) => connections.discard(&connection),
            }
        });
    }
}
