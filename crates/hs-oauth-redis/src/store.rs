use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_store::{
    Account, AsyncTokenStore, Cursor, Page, Record, SecretBytes, StoreError, Stored, Swapped, async_trait,
    check_account, record_to_json,
};
use redis::{Client, Value};

use crate::call::{CallConnection, Work, call};
use crate::check::Check;
use crate::connection::Connections;
use crate::error::{CallError, unexpected_answer};
use crate::key::Keys;
use crate::page::{Place, ReadPage};
use crate::script::{self, Invocation};
use crate::{Warning, reply};

/// A store in Redis: a hash for each account, with its record and its version.
///
/// It needs Redis 6 or later, a server of its kind such as Valkey, and a tokio runtime with IO and time. A clone shares the connection.
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use hs_oauth_redis::{RedisStore, redis};
///
/// let store = RedisStore::new(redis::Client::open(std::env::var("REDIS_URL")?)?).prefix("my_app")?;
/// for warning in store.warnings().await? {
///     eprintln!("the token store: {warning}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Deadlines
///
/// Each call has a deadline of its own, 2 seconds unless [`deadline`](Self::deadline) says otherwise. All calls share one connection. When
/// an answer stays out for half of a deadline, no new call sends on the connection, and the next one opens another. Calls that were sent on it
/// go on to wait for their answers.
/// One connect runs at a time, and all calls wait for it. The pause between two connects grows to half a second.
///
/// A caller may give up. A task of the store then goes on with the command, which takes effect as a whole or not at all.
///
/// # Versions
///
/// The version of a write is the greater of the last one plus one and the server's clock in microseconds. So it never comes back, not after a
/// removal, which leaves the version behind, and not after a restore or a failover that lost the last writes, as long as the clocks of the
/// servers differ by less than such an interruption takes.
///
/// # Errors
///
/// Every method fails with [`Unavailable`](hs_oauth_store::StoreErrorKind::Unavailable) if Redis does not answer in time, with
/// [`Refused`](hs_oauth_store::StoreErrorKind::Refused) if it is not one that may hold tokens, and with
/// [`Damaged`](hs_oauth_store::StoreErrorKind::Damaged) if an account's key holds something else. No message quotes what was sent or answered.
#[derive(Clone)]
pub struct RedisStore {
    client: Client,
    keys: Keys,
    deadline: Duration,
    accepts_no_append_only_file: bool,
    connections: Arc<Connections>,
}

const DEADLINE: Duration = Duration::from_secs(2);
const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);

impl RedisStore {
    /// Returns a store in the Redis of this client. The first call opens the connection.
    pub fn new(client: Client) -> Self {
        Self {
            connections: Connections::new(client.clone(), DEADLINE, false),
            client,
            keys: Keys::with_default_prefix(),
            deadline: DEADLINE,
            accepts_no_append_only_file: false,
        }
    }

    /// Sets what the keys begin with. The default is `hs_oauth`, so that the key of an account is `hs_oauth:{62515}`.
    ///
    /// # Errors
    /// [`Refused`](hs_oauth_store::StoreErrorKind::Refused) if it is not 1 to 64 of `a-z A-Z 0-9 _ - . :`, or begins with neither a letter
    /// nor `_`.
    pub fn prefix(self, name: &str) -> Result<Self, StoreError> {
        Ok(Self { keys: Keys::new(name)?, ..self })
    }

    /// Sets how long a caller waits for a call: from a millisecond to a minute. The default is 2 seconds.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: deadline.clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE), ..self }.with_new_connections()
    }

    /// Accepts a Redis without an append-only file, which is otherwise refused.
    ///
    /// It is meant for services that keep each write in another way before they acknowledge it, and for tests. Any other Redis loses, when it
    /// ends, what it was told since its last snapshot, and with it each account whose refresh token HubSpot replaced meanwhile.
    #[must_use]
    pub fn without_append_only_file(self) -> Self {
        Self { accepts_no_append_only_file: true, ..self }.with_new_connections()
    }

    /// Checks as [`check`](AsyncTokenStore::check) does whether a write would last, and returns the settings by which this Redis may lose
    /// one. Call it when the program starts, and show the warnings to whoever runs Redis.
    ///
    /// # Errors
    /// [`Refused`](hs_oauth_store::StoreErrorKind::Refused) if Redis is a replica or one of several nodes of a cluster, has no append-only
    /// file, drops any key when its memory is full (`maxmemory-policy allkeys-…`), takes no writes since its memory or its disk is
    /// full, or does not let this user do what the store needs. [`Unavailable`](hs_oauth_store::StoreErrorKind::Unavailable) if it
    /// does not answer in time.
    pub async fn warnings(&self) -> Result<Vec<Warning>, StoreError> {
        self.call(Check::new(self.keys.probe())).await
    }

    async fn call<W: Work>(&self, work: W) -> Result<W::Output, StoreError> {
        call(&self.connections, self.deadline, work).await
    }

    fn with_new_connections(self) -> Self {
        let connections =
            Connections::new(self.client.clone(), self.deadline, self.accepts_no_append_only_file);
        Self { connections, ..self }
    }
}

#[async_trait]
impl AsyncTokenStore for RedisStore {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.call(Load { account, key: self.keys.key(account) }).await
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        check_account(account)?;
        let expected = expected.map_or_else(String::new, |version| version.to_string());
        let arguments = [SecretBytes::from(expected.into_bytes()), record_to_json(record)?];
        self.call(Swap(Arc::new(script::SWAP.invocation(self.keys.key(account), arguments)))).await
    }

    /// Reads a page by `SCAN`, which looks at every key of the Redis database: give the store a database or a server with few other keys.
    /// A page has at most about 1000 entries, whatever the limit. After a restart of Redis or a failover, the pages begin anew.
    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let begin = cursor.map(Place::from_cursor).transpose()?;
        self.call(ReadPage { keys: self.keys.clone(), begin, limit }).await
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let arguments = [SecretBytes::from(expected.to_string().into_bytes())];
        self.call(Remove(Arc::new(script::REMOVE.invocation(self.keys.key(account), arguments)))).await
    }

    /// Asks Redis whether a write would last, and writes to the key `<prefix>:{check}`. Its errors are those of
    /// [`warnings`](RedisStore::warnings).
    async fn check(&self) -> Result<(), StoreError> {
        self.warnings().await.map(drop)
    }
}

struct Load {
    account: Account,
    key: String,
}

impl Work for Load {
    type Output = Option<Stored>;

    const IS_READ: bool = true;

    async fn run(&self, connection: &CallConnection<'_>) -> Result<Option<Stored>, CallError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.key).arg(&reply::FIELDS);
        reply::stored(self.account, connection.query(command).await?)
    }
}

/// Its arguments are the version, or nothing if no record is expected, and the record.
struct Swap(Arc<Invocation>);

impl Work for Swap {
    type Output = Swapped;

    /// A second try would conflict with the first one.
    const IS_READ: bool = false;

    async fn run(&self, connection: &CallConnection<'_>) -> Result<Swapped, CallError> {
        match reply::bytes(connection.run(Arc::clone(&self.0)).await?)? {
            None => Ok(Swapped::Conflict),
            Some(version) => Ok(Swapped::Stored(reply::version(&version).ok_or_else(unexpected_answer)?)),
        }
    }
}

/// Its argument is the version.
struct Remove(Arc<Invocation>);

impl Work for Remove {
    type Output = bool;

    /// A second try would not find what the first one removed.
    const IS_READ: bool = false;

    async fn run(&self, connection: &CallConnection<'_>) -> Result<bool, CallError> {
        match connection.run(Arc::clone(&self.0)).await? {
            Value::Int(removed) => Ok(removed == 1),
            _ => Err(unexpected_answer().into()),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.keys.prefix())
            .field("deadline", &self.deadline)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
