//! What a server says of itself: whether a write to it lasts.

use std::collections::HashMap;

use hs_oauth_store::{StoreError, StoreErrorKind};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};

use crate::error::{is_not_allowed, refused, store_error, unavailable, unexpected_answer};
use crate::{Warning, reply};

/// What a server says of itself. What it does not tell is missing.
#[derive(Debug, Default)]
pub(crate) struct Server {
    info: HashMap<String, String>,
    cluster: HashMap<String, String>,
    appendfsync: Option<String>,
}

/// Why a server is not used.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) error: StoreError,
    /// Whether the next connect may lead to another server, or find this one changed, without anybody's help.
    pub(crate) may_pass: bool,
}

impl Server {
    /// Returns the commands to whose answers [`from_answers`](Self::from_answers) belongs.
    pub(crate) fn commands() -> Pipeline {
        let mut commands = redis::pipe();
        commands.cmd("INFO");
        commands.cmd("CONFIG").arg("GET").arg("appendfsync");
        commands.cmd("CLUSTER").arg("INFO");
        commands
    }

    pub(crate) fn from_answers(answers: Vec<Value>) -> Result<Self, StoreError> {
        let [info, config, cluster] = <[Value; 3]>::try_from(answers).map_err(|_| unexpected_answer())?;
        let info = match info {
            Value::ServerError(error) => {
                let error = RedisError::from(error);
                if !is_not_allowed(&error) {
                    return Err(store_error(&error));
                }
                None
            }
            info => Some(reply::text(info).ok_or_else(unexpected_answer)?),
        };
        Ok(Self {
            info: info.as_deref().map(lines).unwrap_or_default(),
            // A server that is no cluster answers with an error.
            cluster: reply::text(cluster).as_deref().map(lines).unwrap_or_default(),
            appendfsync: setting(config),
        })
    }

    /// Asks the server.
    pub(crate) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, StoreError> {
        let commands = Self::commands();
        let answers = connection.send_packed_commands(&commands, 0, commands.len()).await;
        Self::from_answers(answers.map_err(|error| store_error(&error))?)
    }

    /// Returns the ID that the server gave itself when it started.
    pub(crate) fn run_id(&self) -> Option<&str> {
        self.field("run_id")
    }

    /// Checks that the server is one that may hold tokens.
    pub(crate) fn check(&self, accepts_no_append_only_file: bool) -> Result<(), Unfit> {
        let passing = |error| Err(Unfit { error, may_pass: true });
        let lasting = |text: String| Err(Unfit { error: refused(text), may_pass: false });
        if self.field("loading") == Some("1") {
            return passing(unavailable("Redis is starting and still loads its data"));
        }
        if self.field("role") == Some("slave") {
            return passing(refused("this Redis is a replica: give the store the address of the primary"));
        }
        if self.cluster.get("cluster_state").is_some_and(|state| state != "ok") {
            return passing(unavailable("the Redis cluster is not complete"));
        }
        if let Some(size) = self.cluster.get("cluster_size").filter(|size| *size != "0" && *size != "1") {
            return lasting(format!(
                "this Redis is one of {} nodes of a cluster, and the store needs one that has all keys",
                number(size)
            ));
        }
        if self.field("aof_enabled") == Some("0") && !accepts_no_append_only_file {
            return lasting(
                "Redis loses what it was told last when it ends: set `appendonly yes` and `appendfsync always`, or accept \
                 that with `without_append_only_file`"
                    .to_owned(),
            );
        }
        match self.policy() {
            Some(policy) if policy.starts_with("allkeys-") => lasting(format!(
                "Redis drops tokens when its memory is full (`maxmemory-policy {policy}`): set `maxmemory-policy noeviction`"
            )),
            _ => Ok(()),
        }
    }

    /// Returns what a server that may hold tokens could do better.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        match self.field("aof_enabled") {
            Some("0") => warnings.push(Warning::NoAppendOnlyFile),
            Some(_) => warnings.extend(self.appendfsync_warning()),
            None => warnings.push(Warning::NotChecked("appendonly")),
        }
        match self.policy() {
            Some("noeviction") => {}
            Some(_) => warnings.push(Warning::EvictsKeysThatExpire),
            None => warnings.push(Warning::NotChecked("maxmemory-policy")),
        }
        if self.field("role").is_none() {
            warnings.push(Warning::NotChecked("role"));
        }
        let has_replicas = self.field("connected_slaves").is_some_and(|count| count != "0");
        // The field is there only if both settings are set.
        if has_replicas && self.field("min_slaves_good_slaves").is_none() {
            warnings.push(Warning::ReplicasMayLag);
        }
        let failed = |name| self.field(name) == Some("err");
        if ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"]
            .into_iter()
            .any(failed)
        {
            warnings.push(Warning::LastSaveFailed);
        }
        warnings
    }

    fn appendfsync_warning(&self) -> Option<Warning> {
        match self.appendfsync.as_deref() {
            Some("always") => None,
            Some("everysec") => Some(Warning::SyncedEverySecond),
            Some(_) => Some(Warning::NeverSynced),
            None => Some(Warning::NotChecked("appendfsync")),
        }
    }

    fn policy(&self) -> Option<&str> {
        let is_name = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        self.field("maxmemory_policy").filter(is_name)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }
}

impl From<StoreError> for Unfit {
    fn from(error: StoreError) -> Self {
        let may_pass = error.kind() != StoreErrorKind::Refused;
        Self { error, may_pass }
    }
}

/// Reads lines of `name:value`.
fn lines(text: &str) -> HashMap<String, String> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect()
}

/// Returns the value in an answer to `CONFIG GET` for one name, or `None` if it is not told.
fn setting(answer: Value) -> Option<String> {
    let value = match answer {
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        Value::Array(values) => values.into_iter().nth(1)?,
        _ => return None,
    };
    reply::text(value)
}

/// Shows a number that a server told, and nothing else.
fn number(text: &str) -> &str {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text } else { "several" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nrun_id:abc\r\n\r\nrole:master\r\nconnected_slaves:0\r\nloading:0\r\naof_enabled:1\r\n\
                        maxmemory_policy:noeviction\r\nrdb_last_bgsave_status:ok\r\n";

    fn server(info: &str, appendfsync: &str) -> Server {
        let bulk = |text: &str| Value::BulkString(text.into());
        let config = Value::Array(vec![bulk("appendfsync"), bulk(appendfsync)]);
        Server::from_answers(vec![bulk(info), config, Value::Nil]).unwrap()
    }

    #[test]
    fn a_server_that_keeps_every_write_is_fit_and_without_a_warning() {
        let server = server(GOOD, "always");
        server.check(false).unwrap();
        assert_eq!((server.warnings(), server.run_id()), (vec![], Some("abc")));
    }

    #[test]
    fn a_server_that_would_lose_tokens_is_unfit_and_the_reason_names_the_setting() {
        for (from, to, text, may_pass) in [
            ("role:master", "role:slave", "a replica", true),
            ("aof_enabled:1", "aof_enabled:0", "`appendonly yes`", false),
            ("noeviction", "allkeys-lru", "maxmemory-policy", false),
        ] {
            let unfit = server(&GOOD.replace(from, to), "always").check(false).unwrap_err();
            assert!(unfit.error.to_string().contains(text), "{}", unfit.error);
            assert_eq!((unfit.error.kind(), unfit.may_pass), (StoreErrorKind::Refused, may_pass), "{text}");
        }
        let starting = server(&GOOD.replace("loading:0", "loading:1"), "always").check(false).unwrap_err();
        assert!(starting.error.kind() == StoreErrorKind::Unavailable && starting.may_pass);
    }

    #[test]
    fn what_may_cost_the_last_second_is_a_warning() {
        let warnings =
            |from: &str, to: &str, appendfsync| server(&GOOD.replace(from, to), appendfsync).warnings();
        assert_eq!(warnings("", "", "everysec"), [Warning::SyncedEverySecond]);
        assert_eq!(warnings("", "", "no"), [Warning::NeverSynced]);
        assert_eq!(warnings("aof_enabled:1", "aof_enabled:0", "always"), [Warning::NoAppendOnlyFile]);
        assert_eq!(warnings("noeviction", "volatile-ttl", "always"), [Warning::EvictsKeysThatExpire]);
        assert_eq!(warnings("slaves:0", "slaves:1", "always"), [Warning::ReplicasMayLag]);
        assert_eq!(warnings("slaves:0", "slaves:1\r\nmin_slaves_good_slaves:1", "always"), []);
        assert_eq!(warnings("status:ok", "status:err", "always"), [Warning::LastSaveFailed]);
    }

    /// Services that rent out Redis forbid `CONFIG`, and leave fields out.
    #[test]
    fn what_a_server_does_not_tell_is_named() {
        let answers = || vec![Value::BulkString(b"role:master\r\n".into()), Value::Nil, Value::Nil];
        let server = Server::from_answers(answers()).unwrap();
        server.check(false).unwrap();
        assert_eq!(
            server.warnings(),
            [Warning::NotChecked("appendonly"), Warning::NotChecked("maxmemory-policy")]
        );
        assert_eq!(self::server(GOOD, "").warnings(), [Warning::NeverSynced]);
    }

    #[test]
    fn a_node_of_a_cluster_is_fit_if_it_has_all_keys() {
        let node = |state: &str, size: &str| Server {
            cluster: lines(&format!("cluster_state:{state}\r\ncluster_size:{size}\r\n")),
            ..server(GOOD, "always")
        };
        node("ok", "1").check(false).unwrap();
        let unfit = |state, size| node(state, size).check(false).unwrap_err().error;
        assert!(unfit("ok", "3").to_string().contains("one of 3 nodes"));
        assert_eq!(unfit("fail", "1").kind(), StoreErrorKind::Unavailable);
    }
}
