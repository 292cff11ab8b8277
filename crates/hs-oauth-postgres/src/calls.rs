//! How a call is made: as a task of its own, with a deadline of its own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{timeout, timeout_at};

use crate::driver::Driver;
use crate::failure::Failure;
use crate::statement::{Statement, Value};

/// The calls of a store.
#[derive(Clone, Debug)]
pub(crate) struct Calls<D> {
    driver: D,
    /// One place for each connection of the pool. A caller waits for a place, and may go away at any time. A call that has one goes on.
    places: Arc<Semaphore>,
    pub(crate) deadline: Duration,
    /// How long a new connection may take at most.
    connect_deadline: Duration,
    /// How many connects in a row took too long.
    late_connects: Arc<AtomicU32>,
}

/// What the application may set as a deadline. A time beyond all ends could not be counted from now.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Clone, Debug)]
enum Work {
    Query(Statement, Vec<Value>),
    Batch(String),
}

impl<D: Driver> Calls<D> {
    pub(crate) fn new(driver: D) -> Self {
        Self {
            places: Arc::new(Semaphore::new(driver.connections())),
            driver,
            deadline: Duration::from_secs(2),
            connect_deadline: Duration::from_secs(5),
            late_connects: Arc::default(),
        }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline.clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE);
    }

    pub(crate) fn set_connect_deadline(&mut self, deadline: Duration) {
        self.connect_deadline = deadline.clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE);
    }

    pub(crate) fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Sends a statement, and returns the rows of its answer. A caller that drops this stops nothing that has begun.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        values: Vec<Value>,
    ) -> Result<Vec<D::Row>, Failure> {
        self.query_within(statement, values, self.deadline).await
    }

    /// The same with another deadline, for a second statement of one call.
    pub(crate) async fn query_within(
        &self,
        statement: &Statement,
        values: Vec<Value>,
        within: Duration,
    ) -> Result<Vec<D::Row>, Failure> {
        self.call(Work::Query(statement.clone(), values), within).await
    }

    /// Sends statements that have no parameters and return nothing, as one transaction.
    pub(crate) async fn batch(&self, sql: String, deadline: Duration) -> Result<(), Failure> {
        self.call(Work::Batch(sql), deadline).await.map(drop)
    }

    async fn call(&self, work: Work, within: Duration) -> Result<Vec<D::Row>, Failure> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Failure::Setup("it needs a tokio runtime; `BlockOn` brings one".into()))?;
        let begun = Instant::now();
        let deadline = begun + within;
        let place = timeout_at(deadline.into(), Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = place.await else { return Err(Failure::Late) };
        let (answer, answered) = oneshot::channel();
        let call = Call { calls: self.clone(), work, begun, deadline, answer: Some(answer) };
        // In a box, since tokio moves a future several times and this one is large.
        runtime.spawn(Box::pin(call.run(place)));
        answered.await.unwrap_or_else(|_| {
            Err(Failure::Connection("the call was given up, since its runtime ends".into()))
        })
    }
}

struct Call<D: Driver> {
    calls: Calls<D>,
    work: Work,
    begun: Instant,
    deadline: Instant,
    /// The caller, until it has its answer. It gets one at its deadline, or when the connection on which the answer stayed out is out of the
    /// pool.
    answer: Option<oneshot::Sender<Result<Vec<D::Row>, Failure>>>,
}

impl<D: Driver> Call<D> {
    async fn run(mut self, place: OwnedSemaphorePermit) {
        let mut is_second = false;
        let (result, connection) = loop {
            let (result, connection) = self.attempt().await;
            // A read may be sent again: the server may have closed the connection while it was idle.
            let is_done = connection.is_some() || is_second || !self.is_read();
            if is_done || Instant::now() >= self.deadline {
                break (result, connection);
            }
            is_second = true;
        };
        self.answer(result);
        if let Some(connection) = connection {
            let _ = timeout(self.calls.deadline, self.calls.driver.give_back(connection)).await;
        }
        drop(place);
    }

    /// Makes the call. Returns the connection, too, if it can be used again.
    async fn attempt(&mut self) -> (Result<Vec<D::Row>, Failure>, Option<D::Connection>) {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(failure) => return (Err(failure), None),
        };
        if Instant::now() >= self.deadline {
            return (Err(Failure::Late), Some(connection));
        }
        let sent = timeout_at(self.deadline.into(), pin!(self.send(&mut connection))).await;
        match sent.unwrap_or(Err(Failure::Late)) {
            Err(failure) if failure.ends_connection() => {
                let driver = &self.calls.driver;
                driver.let_go(connection);
                driver.let_go_of_silent(self.begun).await;
                (Err(failure), None)
            }
            result => (result, Some(connection)),
        }
    }

    /// Returns a connection. It goes on after the caller's deadline: if new connections were given up when a server is slow, there would be
    /// ever more of them.
    async fn connection(&mut self) -> Result<D::Connection, Failure> {
        let (driver, late_connects) = (self.calls.driver.clone(), Arc::clone(&self.calls.late_connects));
        let late = late_connects.load(Ordering::SeqCst);
        let limit = connect_limit(self.calls.connect_deadline, late);
        let connecting = pin!(driver.connection());
        let mut connection = pin!(timeout(limit, connecting));
        let connection = match timeout_at(self.deadline.into(), connection.as_mut()).await {
            Ok(connection) => connection,
            Err(_) => {
                self.answer(Err(Failure::Late));
                connection.await
            }
        };
        match connection {
            Ok(Ok(connection)) => {
                late_connects.store(0, Ordering::SeqCst);
                Ok(connection)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => {
                // Those that began together count once.
                let (next, order) = (late.saturating_add(1), Ordering::SeqCst);
                let _ = late_connects.compare_exchange(late, next, order, order);
                Err(Failure::Connection("no connection in time".into()))
            }
        }
    }

    fn answer(&mut self, result: Result<Vec<D::Row>, Failure>) {
        // The caller may have given up.
        let _ = self.answer.take().map(|answer| answer.send(result));
    }

    async fn send(&self, connection: &mut D::Connection) -> Result<Vec<D::Row>, Failure> {
        match &self.work {
            Work::Query(statement, values) => self.calls.driver.query(connection, statement, values).await,
            Work::Batch(sql) => self.calls.driver.batch(connection, sql).await.map(|()| Vec::new()),
        }
    }

    fn is_read(&self) -> bool {
        matches!(&self.work, Work::Query(Statement { is_read: true, .. }, _))
    }
}

/// Returns how long a new connection may take after so many in a row that took too long.
///
/// A connect that the network has swallowed gets no answer, however long it is waited for, while the next one may get through at once. So the
/// first is given up early. A server that is slow gets more time with each.
fn connect_limit(longest: Duration, late: u32) -> Duration {
    (longest / 5).saturating_mul(2 << late.min(2)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_has_less_time_at_first_and_the_whole_time_after_some_that_were_late() {
        let limits = [0, 1, 2, 3, u32::MAX].map(|late| connect_limit(Duration::from_secs(5), late).as_secs());
        assert_eq!(limits, [2, 4, 5, 5, 5]);
        assert_eq!(connect_limit(Duration::MAX, u32::MAX), Duration::MAX);
    }
}
