//! What an error of Redis means for the store. Neither an answer nor the text of a server's error gets into a message: both may quote what
//! was sent, tokens among it.

use hs_oauth_store::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Redis answered with an error, or the connection was lost.
    Redis(RedisError),
    /// Redis was not asked, did not answer in time, or answered what was not expected.
    Store(StoreError),
}

impl CallError {
    /// Returns whether the connection was lost: the command was done, or not, or will be.
    pub(crate) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Redis(error) if is_lost_connection(error))
    }
}

impl From<RedisError> for CallError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Redis(error) => store_error(&error),
            CallError::Store(error) => error,
        }
    }
}

/// Returns the error of a store that does not answer.
pub(crate) fn unavailable(message: impl Into<String>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, message.into())
}

/// Returns the error of a store that cannot be used as it is set up.
pub(crate) fn refused(message: impl Into<String>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Refused, message.into())
}

/// Returns the error for what only a server of another kind, or something else in its place, answers.
pub(crate) fn unexpected_answer() -> StoreError {
    unavailable("Redis gave an answer of a type that was not expected")
}

/// Returns whether nothing more can come over the connection.
pub(crate) fn is_lost_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == ErrorKind::Parse
}

/// Returns whether another connection may do better: this one is lost, or leads to a server that became a replica.
pub(crate) fn needs_other_connection(error: &RedisError) -> bool {
    is_lost_connection(error)
        || matches!(server_code(error), Some("READONLY" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS"))
}

/// Returns the store's error for an error of the client.
pub(crate) fn store_error(error: &RedisError) -> StoreError {
    match error.kind() {
        // The text of an error of the operating system or of TLS.
        ErrorKind::Io => unavailable(format!("the connection to Redis failed: {error}")),
        ErrorKind::Parse => unavailable("what answers does not speak the protocol of Redis"),
        ErrorKind::AuthenticationFailed => refused("Redis refuses the user name or the password"),
        ErrorKind::InvalidClientConfig => {
            refused("the address of Redis leads to no server, or asks for TLS without it")
        }
        ErrorKind::UnexpectedReturnType => unexpected_answer(),
        _ => match server_code(error) {
            Some(code) => server_error(code, error.detail().unwrap_or_default()),
            None => unavailable(format!("the client for Redis failed: {}", error.category())),
        },
    }
}

/// Returns the code of a server's error. Before Redis 7, the code of an error within a script is in the text.
fn server_code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let in_script = ["READONLY", "MISCONF", "OOM", "NOREPLICAS", "WRONGTYPE", "MASTERDOWN", "NOPERM"];
    let detail = error.detail().filter(|_| code == "ERR").unwrap_or_default();
    Some(in_script.into_iter().find(|code| detail.contains(&format!(": -{code} "))).unwrap_or(code))
}

fn server_error(code: &str, detail: &str) -> StoreError {
    match code {
        "LOADING" => unavailable("Redis is starting and still loads its data"),
        "BUSY" | "UNKILLABLE" => unavailable("Redis is busy with a script of somebody else"),
        "TRYAGAIN" | "CLUSTERDOWN" => unavailable("the Redis cluster is not complete"),
        "READONLY" | "MASTERDOWN" => unavailable("this Redis is a replica, which takes no writes"),
        "NOREPLICAS" => unavailable(
            "Redis takes no writes, since fewer replicas are connected than `min-replicas-to-write` asks for",
        ),
        "ERR" if detail.starts_with("max number of clients") => {
            unavailable("Redis has as many clients as `maxclients` allows")
        }
        "ERR" if detail.starts_with("unknown command") => {
            refused("Redis lacks a command that the store needs")
        }
        "MISCONF" => {
            refused("Redis takes no writes, since it cannot save its data: see whether its disk is full")
        }
        "OOM" => refused("Redis takes no writes, since its memory is full: raise `maxmemory`"),
        "NOAUTH" | "WRONGPASS" => refused("Redis refuses the user name or the password"),
        "NOPERM" => refused(
            "the Redis user may not run a command, or not use a key, that the store needs: see the README",
        ),
        "MOVED" | "ASK" | "CROSSSLOT" => refused(
            "this Redis is one of several nodes of a cluster, and the store needs one that has all keys",
        ),
        "WRONGTYPE" => StoreError::with_source(
            StoreErrorKind::Damaged,
            "the account's key in Redis holds something other than a record",
        ),
        "VERSION" => StoreError::with_source(
            StoreErrorKind::Damaged,
            "the account's version in Redis is not a number up to 2^53",
        ),
        code if is_code(code) => unavailable(format!("Redis answers with the error {code}")),
        _ => unavailable("Redis answers with an error"),
    }
}

/// Returns whether the text can be nothing but a code.
fn is_code(text: &str) -> bool {
    text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns whether a connect failed because the server, or a proxy in front of it, knows the older protocol only.
pub(crate) fn lacks_resp3(error: &RedisError) -> bool {
    error.kind() == ErrorKind::RESP3NotSupported || error.code() == Some("NOPROTO") || is_not_allowed(error)
}

/// Returns whether the server does not have the script.
pub(crate) fn is_no_script(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::NoScript.into()
}

/// Returns whether the server does not know the command, or does not let this user run it.
pub(crate) fn is_not_allowed(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::NoPerm.into()
        || error.code() == Some("ERR") && error.detail().unwrap_or_default().starts_with("unknown command")
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    /// Returns the error for what a server sends.
    fn error(line: &str) -> StoreError {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes());
        store_error(&value.and_then(Value::extract_error).unwrap_err())
    }

    #[test]
    fn an_error_of_the_server_is_known_by_its_code() {
        for (line, kind, text) in [
            ("LOADING Redis is loading the dataset in memory", StoreErrorKind::Unavailable, "starting"),
            ("READONLY You can't write against a read only replica.", StoreErrorKind::Unavailable, "replica"),
            ("NOREPLICAS Not enough good replicas to write.", StoreErrorKind::Unavailable, "min-replicas"),
            ("ERR max number of clients reached", StoreErrorKind::Unavailable, "maxclients"),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                StoreErrorKind::Refused,
                "disk",
            ),
            ("OOM command not allowed when used memory > 'maxmemory'.", StoreErrorKind::Refused, "maxmemory"),
            ("NOPERM this user has no permissions to run", StoreErrorKind::Refused, "README"),
            ("NOAUTH Authentication required.", StoreErrorKind::Refused, "password"),
            ("MOVED 3999 127.0.0.1:6381", StoreErrorKind::Refused, "cluster"),
            ("WRONGTYPE Operation against a key", StoreErrorKind::Damaged, "something other"),
            ("VERSION is too great", StoreErrorKind::Damaged, "2^53"),
        ] {
            let error = error(line);
            assert!(error.kind() == kind && error.to_string().contains(text), "{line}: {error}");
        }
    }

    /// Redis 6 puts the error of a command within a script into the text of another one.
    #[test]
    fn an_error_within_a_script_is_known_by_its_own_code() {
        let line = "ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You can't write";
        assert!(error(line).to_string().contains("replica"));
    }

    #[test]
    fn a_message_shows_nothing_of_what_was_sent_or_answered() {
        for line in [
            "ERR unknown command 'EVALSHA', with args beginning with: 'secret'",
            "ERR secret",
            "secret",
            "SECRET-1",
            "VERYLONGSECRETOFCAPITALS secret",
        ] {
            let error = error(line).to_string().to_lowercase();
            assert!(!error.contains("secret"), "{error}");
        }
        let not_resp = parse_redis_value(b"secret\r\n").unwrap_err();
        assert!(!store_error(&not_resp).to_string().contains("secret"));
    }
}
