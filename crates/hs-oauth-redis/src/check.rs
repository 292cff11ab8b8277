//! The check of a server: what it says of itself, and a write.

use std::sync::Arc;

use crate::Warning;
use crate::call::{CallConnection, Work};
use crate::error::CallError;
use crate::script::{self, Invocation};
use crate::server::Server;

/// The call that asks a server what it is, and writes to it.
pub(crate) struct Check(Arc<Invocation>);

impl Check {
    /// Returns the call that writes to this key.
    pub(crate) fn new(key: String) -> Self {
        Self(Arc::new(script::PROBE.invocation(key, [])))
    }
}

impl Work for Check {
    type Output = Vec<Warning>;

    /// A second write does no harm.
    const IS_READ: bool = true;

    async fn run(&self, connection: &CallConnection<'_>) -> Result<Vec<Warning>, CallError> {
        let server = Server::from_answers(connection.query_all(Server::commands()).await?)?;
        server.check(connection.connections().accepts_no_append_only_file()).map_err(|unfit| unfit.error)?;
        connection.run(Arc::clone(&self.0)).await?;
        Ok(server.warnings())
    }
}
