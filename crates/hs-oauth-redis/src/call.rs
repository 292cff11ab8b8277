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

    fn run(
        &self,
        connection: &CallConnection<'_>,
    ) -> impl Future<Output = Result<Self::Output, CallError>> + Send;
}

/// The connection, as one call uses it.
pub(crate) struct CallConnection<'a> {
    runtime: Handle,
    connections: &'a Arc<Connections>,
    connection: Arc<Connection>,
    /// When the caller stops waiting. No command is begun after that.
    deadline: Instant,
    /// How much time a call has. When an answer stays out for half of it, new calls take another connection: calls on one that is dead would all
    /// fail, while one that is slow still gives its answers to those that wait.
    timeout: Duration,
}

/// Does the work, and waits for it until the deadline.
///
/// A caller that gives up cuts off nothing that was sent: see [`Unanswered`].
pub(crate) async fn call<W: Work>(
    connections: &Arc<Connections>,
    timeout: Duration,
    work: W,
) -> Result<W::Output, StoreError> {
    let runtime =
        Handle::try_current().map_err(|_| refused("the store for Redis needs a tokio runtime around it"))?;
    let deadline = Instant::now() + timeout;
    let connection = connections.open(deadline).await?;
    let mut connection = CallConnection { runtime, connections, connection, deadline, timeout };
    match work.run(&connection).await {
        Err(error) if W::IS_READ && error.is_lost_connection() => {}
        result => return result.map_err(StoreError::from),
    }
    connection.connection = connections.open(deadline).await?;
    work.run(&connection).await.map_err(StoreError::from)
}

impl CallConnection<'_> {
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
        self.answer_to(Box::pin(async move { redis.send_packed_command(&command).await?.extract_error() }))
            .await
    }

    /// Sends as many commands as this at once. Returns the answers, errors among them.
    pub(crate) async fn query_all(&self, commands: Pipeline) -> Result<Vec<Value>, CallError> {
        let mut redis = self.connection.redis.clone();
        self.answer_to(Box::pin(
            async move { redis.send_packed_commands(&commands, 0, commands.len()).await },
        ))
        .await
    }

    /// Runs a script, and sends its code, too, if the server does not have it. Returns the answer.
    pub(crate) async fn run(&self, script: Arc<Invocation>) -> Result<Value, CallError> {
        let (mut redis, deadline) = (self.connection.redis.clone(), self.deadline);
        let sent = Box::pin(async move {
            match redis.send_packed_command(&script.by_hash()).await?.extract_error() {
                Err(error) if is_no_script(&error) && Instant::now() < deadline => {
                    redis.send_packed_command(&script.with_code()).await?.extract_error()
                }
                result => result,
            }
        });
        self.answer_to(sent).await
    }

    /// Waits for the answer to what this future sends. It is in a box from the start, since each future around it would have room for it twice.
    async fn answer_to<T: Send + 'static>(
        &self,
        sent: Pin<Box<impl Future<Output = RedisResult<T>> + Send + 'static>>,
    ) -> Result<T, CallError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.connections.why_not_in_time().into());
        }
        let mut unanswered = Unanswered {
            answer: Some(sent),
            // The time before the connection was open does not count against it.
            limit: now + self.timeout / 2,
            call: self,
        };
        if let Ok(answer) = timeout_at(self.deadline.min(unanswered.limit), &mut unanswered).await {
            return Ok(answer?);
        }
        if unanswered.limit <= self.deadline {
            self.connections.discard(&self.connection);
            if let Ok(answer) = timeout_at(self.deadline, &mut unanswered).await {
                return Ok(answer?);
            }
            unanswered.answer = None;
        }
        Err(unavailable("Redis did not answer in time").into())
    }
}

/// A command that was sent, and the wait for its answer. When the caller gives up, a task of the store goes on with it.
///
/// So nothing that was sent is cut off, and an answer that stays out ends the connection, however little time the caller had left.
struct Unanswered<'a, F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> {
    /// Nothing when it has come, or when it is waited for no more.
    answer: Option<Pin<Box<F>>>,
    /// Until when the answer has to be there, or the connection counts as dead.
    limit: Instant,
    call: &'a CallConnection<'a>,
}

impl<F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> Future for Unanswered<'_, F, T> {
    type Output = RedisResult<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RedisResult<T>> {
        // Taken out, so that it is dropped if it panics.
        let Some(mut answer) = self.answer.take() else { return Poll::Pending };
        match answer.as_mut().poll(context) {
            Poll::Ready(answer) => {
                self.call.connections.note_answer(&self.call.connection, &answer);
                Poll::Ready(answer)
            }
            Poll::Pending => {
                self.answer = Some(answer);
                Poll::Pending
            }
        }
    }
}

impl<F: Future<Output = RedisResult<T>> + Send + 'static, T: Send> Drop for Unanswered<'_, F, T> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let (limit, call) = (self.limit, self.call);
        let on_drop = DiscardOnDrop(Some((Arc::clone(call.connections), Arc::clone(&call.connection))));
        call.runtime.spawn(async move {
            let mut on_drop = on_drop;
            // Also when the limit has passed, this sees an answer that is there.
            if let Ok(answer) = timeout_at(limit, answer).await
                && let Some((connections, connection)) = on_drop.0.take()
            {
                connections.note_answer(&connection, &answer);
            }
        });
    }
}

/// Discards the connection when it is dropped: at the limit, or when the runtime of the task ends before the answer has come.
struct DiscardOnDrop(Option<(Arc<Connections>, Arc<Connection>)>);

impl Drop for DiscardOnDrop {
    fn drop(&mut self) {
        if let Some((connections, connection)) = &self.0 {
            connections.discard(connection);
        }
    }
}
