//! The Lua scripts. Each takes one key, so that it also runs in a cluster, and writes either everything or nothing.

use std::sync::LazyLock;

use hs_oauth_store::SecretBytes;
use redis::Cmd;

/// A script, and the hash under which a server keeps it.
#[derive(Debug)]
pub(crate) struct Script(redis::Script, &'static str);

/// See `script/swap.lua`.
pub(crate) static SWAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/swap.lua")));
/// See `script/remove.lua`.
pub(crate) static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/remove.lua")));
/// See `script/probe.lua`.
pub(crate) static PROBE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("script/probe.lua")));

/// A script with its key and its arguments.
pub(crate) struct Invocation {
    script: &'static Script,
    key: String,
    arguments: Vec<SecretBytes>,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self(redis::Script::new(code), code)
    }

    pub(crate) fn invocation<const N: usize>(
        &'static self,
        key: String,
        arguments: [SecretBytes; N],
    ) -> Invocation {
        Invocation { script: self, key, arguments: arguments.into() }
    }
}

impl Invocation {
    /// Returns the command for a server that has the script.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", self.script.0.get_hash())
    }

    /// Returns the command that has the script's code.
    pub(crate) fn with_code(&self) -> Cmd {
        self.command("EVAL", self.script.1)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let Self { key, arguments, .. } = self;
        let size =
            arguments.iter().fold(name.len() + script.len() + key.len() + 1, |sum, text| sum + text.len());
        let mut command = Cmd::with_capacity(4 + arguments.len(), size);
        command.arg(name).arg(script).arg(1).arg(key);
        for argument in arguments {
            command.arg(argument.as_slice());
        }
        command
    }
}
