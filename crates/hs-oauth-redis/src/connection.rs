//! The one connection that all calls of a store share.
//!
//! It is opened by a task of its own, for which all callers wait together, and no caller ends it. A connection on which an answer stayed out,
//! or which broke, is taken out of its place here. Calls that still wait for an answer from it may get it. No new call sends on it, and it
//! closes when the last of them gives up.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hs_oauth_store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::error::{lacks_resp3, needs_other_connection, store_error, unavailable};
use crate::server::{Server, Unfit};

/// The place of the connection, and what opens it.
pub(crate) struct Connections {
    client: Client,
    /// How long a connect may take. No deadline of a caller shortens it.
    connect_timeout: Duration,
    accepts_no_append_only_file: bool,
    state: watch::Sender<State>,
}

/// An open connection.
pub(crate) struct Connection {
    id: u64,
    opened: Instant,
    pub(crate) redis: MultiplexedConnection,
    /// What the server said of itself when the connection was opened.
    pub(crate) server: Arc<Server>,
}

#[derive(Default)]
struct State {
    place: Place,
    backoff: Backoff,
    last_id: u64,
}

#[derive(Default)]
enum Place {
    /// There is no connection, and nobody opens one.
    #[default]
    Empty,
    /// The task with this number opens one. The last try failed with this error.
    Opening(u64, Option<StoreError>),
    Open(Arc<Connection>),
    /// No connection may be used, and nothing changes that but the settings of the server or of the store.
    Refused(StoreError),
}

/// A deadline that is shorter than this does not make connects shorter.
const SHORTEST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A deadline that is longer than this does not make connects longer. A server that is there needs far less.
const LONGEST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Connections {
    pub(crate) fn new(client: Client, deadline: Duration, accepts_no_append_only_file: bool) -> Arc<Self> {
        Arc::new(Self {
            client,
            connect_timeout: deadline.clamp(SHORTEST_CONNECT_TIMEOUT, LONGEST_CONNECT_TIMEOUT),
            accepts_no_append_only_file,
            state: watch::Sender::default(),
        })
    }

    pub(crate) fn accepts_no_append_only_file(&self) -> bool {
        self.accepts_no_append_only_file
    }

    /// Returns the connection. Waits until it is open, or until the deadline.
    pub(crate) async fn open(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Connection>, StoreError> {
        loop {
            if let Place::Open(connection) = &self.state.borrow().place {
                return Ok(Arc::clone(connection));
            }
            self.begin_to_open();
            let mut states = self.state.subscribe();
            let is_decided = |state: &State| !matches!(state.place, Place::Opening(..));
            // The sender is in `self`, so it is not closed.
            if let Ok(Ok(state)) = timeout_at(deadline, states.wait_for(is_decided)).await {
                match &state.place {
                    Place::Open(connection) => return Ok(Arc::clone(connection)),
                    Place::Refused(error) => return Err(error.clone()),
                    Place::Empty | Place::Opening(..) => {}
                }
            }
            // A runtime that ends takes no new task.
            tokio::task::yield_now().await;
            if Instant::now() >= deadline {
                return Err(self.why_not_in_time());
            }
        }
    }

    /// Takes the connection out of its place if this answer says that another one may do better.
    pub(crate) fn note_answer<T>(&self, connection: &Connection, answer: &RedisResult<T>) {
        if answer.as_ref().is_err_and(needs_other_connection) {
            self.discard(connection);
        }
    }

    /// Takes the connection out of its place, if it is still there.
    pub(crate) fn discard(&self, connection: &Connection) {
        self.discard_id(connection.id);
    }

    fn discard_id(&self, id: u64) {
        self.state.send_if_modified(|state| match &state.place {
            Place::Open(connection) if connection.id == id => {
                let now = Instant::now();
                state.backoff.failed(now, now.saturating_duration_since(connection.opened), jitter());
                state.place = Place::Empty;
                true
            }
            _ => false,
        });
    }

    /// Starts the task that opens a connection, unless there is one.
    fn begin_to_open(self: &Arc<Self>) {
        let mut task = None;
        self.state.send_if_modified(|state| {
            let may_begin = match &state.place {
                Place::Empty => true,
                Place::Refused(_) => state.backoff.not_before(Instant::now()).is_none(),
                Place::Opening(..) | Place::Open(_) => false,
            };
            if may_begin {
                state.last_id = state.last_id.saturating_add(1);
                state.place = Place::Opening(state.last_id, None);
                task = Some(OpeningTask { connections: Arc::clone(self), id: state.last_id });
            }
            may_begin
        });
        if let Some(task) = task {
            tokio::spawn(task.run());
        }
    }

    /// Returns the error of a call whose deadline has come: why there is no connection, if there is none.
    pub(crate) fn why_not_in_time(&self) -> StoreError {
        match &self.state.borrow().place {
            Place::Opening(_, Some(error)) | Place::Refused(error) => error.clone(),
            Place::Opening(_, None) => unavailable("no connection to Redis could be opened in time"),
            Place::Empty | Place::Open(_) => unavailable("Redis did not answer in time"),
        }
    }

    async fn connect(self: &Arc<Self>, id: u64) -> Result<Connection, Unfit> {
        let mut redis = self.connect_to_redis(id).await.map_err(|error| store_error(&error))?;
        let server = Server::ask(&mut redis).await?;
        server.check(self.accepts_no_append_only_file)?;
        Ok(Connection { id, opened: Instant::now(), redis, server: Arc::new(server) })
    }

    /// Opens a connection with RESP3, for only then the driver tells when it breaks, also while nobody uses it.
    async fn connect_to_redis(self: &Arc<Self>, id: u64) -> Result<MultiplexedConnection, RedisError> {
        // The time-outs of the driver leave the connection in use.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let info = self.client.get_connection_info();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.clone().set_redis_settings(settings))?;
        let connections = Arc::downgrade(self);
        let telling = config.clone().set_push_sender(move |push| discard_if_broken(&connections, id, &push));
        match client.get_multiplexed_async_connection_with_config(&telling).await {
            Err(error) if lacks_resp3(&error) => {
                self.client.get_multiplexed_async_connection_with_config(&config).await
            }
            result => result,
        }
    }
}

fn discard_if_broken(
    connections: &Weak<Connections>,
    id: u64,
    push: &PushInfo,
) -> Result<(), redis::aio::SendError> {
    if let (PushKind::Disconnection, Some(connections)) = (&push.kind, connections.upgrade()) {
        connections.discard_id(id);
    }
    Ok(())
}

/// The task that opens a connection. It goes on as long as someone waits for it.
struct OpeningTask {
    connections: Arc<Connections>,
    id: u64,
}

impl OpeningTask {
    async fn run(self) {
        loop {
            let not_before = self.connections.state.borrow().backoff.not_before(Instant::now());
            if let Some(at) = not_before {
                sleep_until(at).await;
            }
            let connect = self.connections.connect(self.id);
            let result = match timeout(self.connections.connect_timeout, connect).await {
                Ok(result) => result,
                Err(_) => Err(unavailable("Redis does not answer a new connection").into()),
            };
            if self.has_ended(result) {
                return;
            }
        }
    }

    /// Puts the outcome into the place of the connection. Returns whether that was the last try.
    fn has_ended(&self, result: Result<Connection, Unfit>) -> bool {
        let is_waited_for = self.connections.state.receiver_count() > 0;
        let mut has_ended = true;
        self.connections.state.send_modify(|state| {
            if result.is_err() {
                state.backoff.failed(Instant::now(), Duration::ZERO, jitter());
            }
            state.place = match result {
                Ok(connection) => Place::Open(Arc::new(connection)),
                Err(Unfit { error, may_pass: false }) => Place::Refused(error),
                Err(Unfit { error, .. }) if is_waited_for => {
                    has_ended = false;
                    Place::Opening(self.id, Some(error))
                }
                Err(_) => Place::Empty,
            };
        });
        has_ended
    }
}

impl Drop for OpeningTask {
    /// A task that ends with its runtime leaves the work to the next one.
    fn drop(&mut self) {
        self.connections.state.send_if_modified(|state| {
            let is_mine = matches!(state.place, Place::Opening(id, _) if id == self.id);
            if is_mine {
                state.place = Place::Empty;
            }
            is_mine
        });
    }
}

/// Returns a number by which the connects of many processes differ.
fn jitter() -> u32 {
    // Without random bytes they do not differ, which is no reason to fail.
    getrandom::u32().unwrap_or_default()
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the rest, which holds the password.
        let address = self.client.get_connection_info().addr().to_string();
        f.debug_struct("Connections").field("address", &address).finish_non_exhaustive()
    }
}
