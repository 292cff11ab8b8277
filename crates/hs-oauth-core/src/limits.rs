//! The limits of a request and its response. They are the same in every transport.

use std::time::Duration;

/// The most bytes that the body of a response may have, after its chunks are joined and its compression is undone: 1 MiB. HubSpot's
/// bodies have a few thousand.
pub const MAX_RESPONSE_SIZE: usize = 1024 * 1024;

/// The time that connecting may take, with name resolution and TLS: 5 seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that one request may take, from connecting to the last byte of the response: 15 seconds.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The time that a store may take for one call, as long as it is not known how long the stored tokens live: 30 seconds.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(30);
