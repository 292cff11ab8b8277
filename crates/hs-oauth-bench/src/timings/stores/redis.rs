//! Redis: the store over it, and its commands as one would send them by hand, over one connection as the store does.

use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_async::{Account, AsyncTokenStore};
use hs_oauth_redis::{RedisStore, redis};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Script, Value};

use super::calls::{Call, Callers, DEADLINE, SharedCall};
use super::given::json;
use super::subject::{Measured, Subject};
use crate::work::Failure;

/// The prototype's loads and swaps a second.
const PROTOTYPE: [u64; 2] = [93_000, 25_500];

/// The script of the store.
const SWAP: &str = include_str!("../../../../hs-oauth-redis/src/script/swap.lua");

/// Measures the store in this Redis, with so many accounts, whose keys it deletes in the end.
pub(super) async fn measure(url: &str, accounts: u64) -> Result<Measured, Failure> {
    let prefix = format!("timings_{}", std::process::id());
    let client = Client::open(url)?;
    let patient = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
    let settings: (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(&mut connection).await?;
    let store = RedisStore::new(client).prefix(&prefix)?.deadline(DEADLINE).without_append_only_file();
    let store: Arc<dyn AsyncTokenStore> = Arc::new(store);
    let mut callers = Callers::new(accounts)?;
    callers.fill(&*store).await?;
    let script = Script::new(SWAP);
    script.prepare_invoke().load_async(&mut connection.clone()).await?;
    let bare = Arc::new(Bare { connection: connection.clone(), prefix, script, json: json() });
    let calls: [SharedCall; 2] =
        [Arc::new(BareLoad(Arc::clone(&bare))), Arc::new(BareSwap(Arc::clone(&bare)))];
    let name = format!("Redis, appendfsync {}", settings.1);
    let measured = Subject::new(&name, store, Some(PROTOTYPE), Some(calls))?.measure(&mut callers).await;
    for account in callers.accounts() {
        redis::cmd("DEL").arg(bare.key(account)).query_async::<()>(&mut connection).await?;
    }
    measured
}

struct Bare {
    connection: MultiplexedConnection,
    prefix: String,
    script: Script,
    json: String,
}

impl Bare {
    fn key(&self, account: Account) -> String {
        format!("{}:{{{account}}}", self.prefix)
    }
}

struct BareLoad(Arc<Bare>);

#[async_trait]
impl Call for BareLoad {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.0.key(account)).arg("version").arg("record");
        match self.0.connection.clone().send_packed_command(&command).await? {
            Value::Array(fields) if !fields.contains(&Value::Nil) => Ok(()),
            _ => Err("the record is gone".into()),
        }
    }
}

struct BareSwap(Arc<Bare>);

#[async_trait]
impl Call for BareSwap {
    async fn make(&self, _: usize, account: Account, version: &mut u64) -> Result<(), Failure> {
        let Bare { connection, script, json, .. } = &*self.0;
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(1).arg(self.0.key(account)).arg(*version).arg(json);
        let Value::BulkString(next) = connection.clone().send_packed_command(&command).await? else {
            return Err("a conflict".into());
        };
        *version = str::from_utf8(&next)?.parse()?;
        Ok(())
    }
}
