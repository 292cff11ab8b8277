use std::fmt;

/// Where a Redis that can be used may lose what it has acknowledged. Its text says what to do.
///
/// A lost write of a refresh token that HubSpot has just replaced is a lost account: the customer has to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// Redis writes to its disk once a second (`appendfsync everysec`). A crash of the machine loses the last second.
    SyncedEverySecond,
    /// Redis leaves it to the operating system when something gets to the disk (`appendfsync no`).
    NeverSynced,
    /// Redis has no append-only file, which
    /// [`RedisStore::without_append_only_file`](crate::RedisStore::without_append_only_file) accepts.
    NoAppendOnlyFile,
    /// Redis drops keys that expire when its memory is full. The keys of this store do not expire.
    EvictsKeysThatExpire,
    /// Redis acknowledges a write that no replica has. A failover loses it.
    ReplicasMayLag,
    /// The last attempt of Redis to save its data failed. Its disk may be full.
    LastSaveFailed,
    /// Redis does not tell this setting, so it was not checked.
    NotChecked(
        /// The name of the setting in Redis' configuration, or `role`.
        &'static str,
    ),
}

impl Warning {
    /// Returns the name for programs and logs, such as `synced_every_second`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyncedEverySecond => "synced_every_second",
            Self::NeverSynced => "never_synced",
            Self::NoAppendOnlyFile => "no_append_only_file",
            Self::EvictsKeysThatExpire => "evicts_keys_that_expire",
            Self::ReplicasMayLag => "replicas_may_lag",
            Self::LastSaveFailed => "last_save_failed",
            Self::NotChecked(_) => "not_checked",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SyncedEverySecond => {
                "a crash of Redis' machine loses the last second of writes: set `appendfsync always`"
            }
            Self::NeverSynced => "a crash of Redis' machine loses up to a minute of writes: set `appendfsync always`",
            Self::NoAppendOnlyFile => {
                "Redis has no append-only file: if it ends, writes are lost unless the service keeps them elsewhere"
            }
            Self::EvictsKeysThatExpire => {
                "Redis drops keys that expire when its memory is full; `maxmemory-policy noeviction` is the safe setting"
            }
            Self::ReplicasMayLag => {
                "a failover loses the writes that no replica has yet: set `min-replicas-to-write 1` and `min-replicas-max-lag`"
            }
            Self::LastSaveFailed => "Redis could not save its data the last time: see whether its disk is full",
            Self::NotChecked(setting) => {
                return write!(f, "Redis does not tell `{setting}`: make sure that it keeps what it has acknowledged");
            }
        })
    }
}
