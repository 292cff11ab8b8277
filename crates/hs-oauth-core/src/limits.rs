//! What a transport allows an exchange, the same in every one of them.

use std::time::Duration;

/// The most bytes of an answer's body, after chunks are joined and compression is undone: 1 MiB. HubSpot's have a few
/// thousand.
pub const MAX_RESPONSE_SIZE: usize = 1024 * 1024;

/// The time a connection may take, name resolution and TLS included: 5 seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time one exchange may take, from connecting to the last byte of the answer: 15 seconds.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The time a store may take for one call while no record has said how long its tokens live: 30 seconds.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(30);
