//! Whether a write to this server and this table lasts.

use std::fmt;

use hs_oauth_store::{StoreError, StoreErrorKind};

use crate::driver::Row;
use crate::failure::Failure;
use crate::table::{COMMENT, SCHEMA_VERSION};

/// A way in which the server can lose a write that it has acknowledged. A lost write of a rotated refresh token is a lost account.
///
/// Its text says what can be lost, and which setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// `fsync` is off: when the server's host crashes, everything may be lost.
    FsyncOff,
    /// There are standbys, and none of them is synchronous: a failover loses what the new primary had not received, usually less than a
    /// second.
    AsynchronousStandby,
    /// `synchronous_commit` is `local`: the server does not wait for the synchronous standbys that it has, so a failover loses as much as
    /// one to an asynchronous standby.
    SynchronousCommitLocal,
    /// `synchronous_commit` is `off`. The store's own writes are durable all the same: each sets it on for itself.
    SynchronousCommitOff,
}

impl Warning {
    /// Returns the name for programs and logs, such as `fsync_off`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FsyncOff => "fsync_off",
            Self::AsynchronousStandby => "asynchronous_standby",
            Self::SynchronousCommitLocal => "synchronous_commit_local",
            Self::SynchronousCommitOff => "synchronous_commit_off",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FsyncOff => "fsync is off: a crash of the server's host may lose every record",
            Self::AsynchronousStandby => {
                "no standby is synchronous: a failover loses the last writes (set synchronous_standby_names)"
            }
            Self::SynchronousCommitLocal => {
                "synchronous_commit is local: a failover loses the last writes, although there are synchronous standbys"
            }
            Self::SynchronousCommitOff => {
                "synchronous_commit is off: the store's writes are durable all the same, and other programs' are not"
            }
        })
    }
}

/// What the server says of itself and of the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    is_standby: bool,
    is_read_only: bool,
    synchronous_commit: String,
    has_synchronous_standbys: bool,
    is_fsync_off: bool,
    has_standbys: bool,
    pub(crate) has_table: bool,
    comment: String,
    persistence: String,
}

impl Server {
    pub(crate) fn new(row: &impl Row) -> Result<Self, Failure> {
        let text = |column| Ok(row.text(column)?.unwrap_or_default());
        Ok(Self {
            is_standby: text(0)? == "true",
            is_read_only: text(1)? == "on",
            synchronous_commit: text(2)?.to_owned(),
            has_synchronous_standbys: !text(3)?.is_empty(),
            is_fsync_off: text(4)? == "off",
            has_standbys: text(5)? != "0",
            has_table: row.text(6)?.is_some(),
            comment: text(7)?.to_owned(),
            persistence: text(8)?.to_owned(),
        })
    }

    /// Refuses a server or a table to which a record must not be written.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_standby {
            return Err(standby());
        }
        if self.is_read_only {
            return refused("the session is read-only (see default_transaction_read_only)".into());
        }
        if !self.has_table {
            return refused("there is no such table: create it, with `create()` or with `SCHEMA`".into());
        }
        if let Some(version) = self.schema_version().filter(|version| *version > SCHEMA_VERSION) {
            return refused(format!(
                "the table has version {version} of the schema, which only a newer version of hs-oauth-postgres can use"
            ));
        }
        if self.persistence != "p" {
            return refused("the table is unlogged or temporary: a crash would empty it".into());
        }
        Ok(())
    }

    /// Returns the version in the table's comment, or `None` if somebody has changed the comment.
    fn schema_version(&self) -> Option<u32> {
        self.comment.strip_prefix(COMMENT)?.parse().ok()
    }

    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let is_off = self.synchronous_commit == "off";
        let is_local = self.synchronous_commit == "local" && self.has_synchronous_standbys;
        [
            (self.is_fsync_off, Warning::FsyncOff),
            (self.has_standbys && !self.has_synchronous_standbys, Warning::AsynchronousStandby),
            (is_local, Warning::SynchronousCommitLocal),
            (is_off, Warning::SynchronousCommitOff),
        ]
        .into_iter()
        .filter_map(|(is_so, warning)| is_so.then_some(warning))
        .collect()
    }
}

fn refused(message: String) -> Result<(), StoreError> {
    Err(StoreError::with_source(StoreErrorKind::Refused, message))
}

/// Returns the error for a standby: it may know less than was written, and takes no writes.
pub(crate) fn standby() -> StoreError {
    StoreError::with_source(
        StoreErrorKind::Refused,
        "the server is a standby: connect to the primary, with target_session_attrs=read-write",
    )
}
