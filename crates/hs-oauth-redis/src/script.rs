//! The Lua scripts. Each takes one key, so that it also runs in a cluster, and writes either everything or nothing.

use std::sync::LazyLock;

use redis::{Cmd, ServerErrorKind, Value};

use crate::call::Line;
use crate::error::CallError;

/// A script, and the hash under which a server keeps it.
#[derive(Debug)]
pub(crate) struct Script(redis::Script, &'static str);

/// See `script/swap.lua`.
pub(crate) static SWAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/swap.lua")));
/// See `script/remove.lua`.
pub(crate) static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/remove.lua")));
/// See `script/probe.lua`.
pub(crate) static PROBE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/probe.lua")));

impl Script {
    fn new(code: &'static str) -> Self {
        Self(redis::Script::new(code), code)
    }

    /// Runs the script on the key. A server that does not have it yet, or no more, gets its code.
    pub(crate) async fn run(
        &self,
        line: &mut Line<'_>,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<Value, CallError> {
        let Self(script, code) = self;
        match line.query(&command("EVALSHA", script.get_hash(), key, arguments)).await {
            Err(CallError::Redis(error)) if error.kind() == ServerErrorKind::NoScript.into() => {
                line.query(&command("EVAL", code, key, arguments)).await
            }
            result => result,
        }
    }
}

fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let size = arguments.iter().fold(name.len() + script.len() + key.len() + 1, |sum, text| sum + text.len());
    let mut command = Cmd::with_capacity(4 + arguments.len(), size);
    command.arg(name).arg(script).arg(1).arg(key);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
