//! A call of the store: a task of its own with a deadline of its own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_store::StoreError;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::{Connection, Connections};
use crate::error::{CallError, needs_other_connection, refused, unavailable};

/// What a call does.
pub(crate) trait Work: Send + Sync + 'static {
    type Output: Send + 'static;

    /// Whether it may be done a second time when the connection was lost.
    const IS_READ: bool;

    fn run(&self, line: &mut Line<'_>) -> impl Future<Output = Result<Self::Output, CallError>> + Send;
}

/// The connection, as one call uses it.
pub(crate) struct Line<'a> {
    connections: &'a Connections,
    connection: Connection,
    /// When the caller stops waiting. Nothing is sent after that.
    deadline: Instant,
    /// How long an answer may stay out before the connection counts as dead.
    patience: Duration,
}

/// Does the work in a task of its own. Waits for it until the deadline.
///
/// The task goes on when its caller gives up. What it has sent by then is not cut off, and an answer that stays out for as long as
/// a deadline ends the connection, however little time the caller had left.
pub(crate) async fn call<W: Work>(
    connections: &Arc<Connections>,
    deadline: Duration,
    work: W,
) -> Result<W::Output, StoreError> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(refused("the store for Redis needs a tokio runtime around it"));
    };
    let connections = Arc::clone(connections);
    let (sender, receiver) = oneshot::channel();
    runtime.spawn(async move {
        let patience = deadline;
        let deadline = Instant::now() + patience;
        let mut run = pin!(run(&connections, deadline, patience, work));
        let result = timeout_at(deadline, run.as_mut()).await;
        let is_over = result.is_ok();
        // The caller may have given up.
        let _ = sender.send(result.unwrap_or_else(|_| Err(connections.why_not_in_time().into())));
        if !is_over {
            let _ = run.await;
        }
    });
    match receiver.await {
        Ok(result) => result.map_err(StoreError::from),
        Err(_) => Err(unavailable("the call ended with its runtime, or it panicked")),
    }
}

async fn run<W: Work>(
    connections: &Arc<Connections>,
    deadline: Instant,
    patience: Duration,
    work: W,
) -> Result<W::Output, CallError> {
    let connection = connections.open(deadline).await?;
    let mut line = Line { connections, connection, deadline, patience };
    match work.run(&mut line).await {
        Err(error) if W::IS_READ && error.is_lost_connection() => {
            line.connection = connections.open(deadline).await?;
            work.run(&mut line).await
        }
        result => result,
    }
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
    pub(crate) async fn query(&mut self, command: &Cmd) -> Result<Value, CallError> {
        self.check_deadline()?;
        let answer = timeout(self.patience, self.connection.redis.send_packed_command(command)).await;
        self.answered(answer.map(|answer| answer.and_then(Value::extract_error)))
    }

    /// Sends as many commands as this at once. Returns the answers, errors among them.
    pub(crate) async fn query_all(&mut self, commands: &Pipeline) -> Result<Vec<Value>, CallError> {
        self.check_deadline()?;
        let answers = self.connection.redis.send_packed_commands(commands, 0, commands.len());
        let answers = timeout(self.patience, answers).await;
        self.answered(answers)
    }

    fn check_deadline(&self) -> Result<(), CallError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(self.connections.why_not_in_time().into()) }
    }

    fn answered<T>(
        &self,
        answer: Result<RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, CallError> {
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.into(),
            Err(_) => CallError::Store(unavailable("Redis did not answer in time")),
        };
        let is_over = match &error {
            CallError::Redis(error) => needs_other_connection(error),
            CallError::Store(_) => true,
        };
        if is_over {
            self.connections.discard(&self.connection);
        }
        Err(error)
    }
}
