//! The connections that wait for their client: for a request, for the rest of one, or until the client has read a response.
//! Their number is limited, so that idle connections keep nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The number of connections that may wait for their client. One more closes the one that has waited longest.
pub(super) const MAX_WAITING: usize = 512;

/// The connections that wait for their client.
pub(super) struct Waiting {
    max: usize,
    list: Mutex<List>,
}

/// What closes each connection, by the order in which they began to wait.
#[derive(Default)]
struct List {
    connections: BTreeMap<u64, Arc<Notify>>,
    count: u64,
}

impl Waiting {
    pub(super) fn new(max: usize) -> Self {
        Self { max, list: Mutex::default() }
    }

    /// Closes the connection that has waited longest. Returns false if none waits.
    pub(super) fn close_oldest(&self) -> bool {
        self.lock().close_oldest()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn close_oldest(&mut self) -> bool {
        let oldest = self.connections.pop_first();
        oldest.map(|(_, close)| close.notify_one()).is_some()
    }
}

/// One connection, and its place among those that wait, if it waits. It gives up its place when it is dropped.
pub(super) struct Connection {
    waiting: Arc<Waiting>,
    close: Arc<Notify>,
    place: Mutex<Option<u64>>,
}

impl Connection {
    /// Returns a connection that waits for its first request from now on.
    pub(super) fn new(waiting: Arc<Waiting>) -> Self {
        let connection = Self { waiting, close: Arc::default(), place: Mutex::default() };
        connection.begin_to_wait();
        connection
    }

    /// Takes the last place among the connections that wait, and closes the first of them if there are too many.
    pub(super) fn begin_to_wait(&self) {
        self.stop_waiting();
        let mut list = self.waiting.lock();
        if list.connections.len() >= self.waiting.max {
            list.close_oldest();
        }
        list.count += 1;
        let place = list.count;
        list.connections.insert(place, Arc::clone(&self.close));
        *self.place() = Some(place);
    }

    /// Gives up its place: from now on the client waits for the emulator.
    pub(super) fn stop_waiting(&self) {
        let place = self.place().take();
        place.map(|place| self.waiting.lock().connections.remove(&place));
    }

    /// Returns when the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}
