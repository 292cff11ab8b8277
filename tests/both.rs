//! One interface for both transports, so that a test is written once and runs over each.

use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{App, Endpoint, Error, RetryPolicy};

#[derive(Clone)]
pub(crate) enum Client {
    Async(Arc<tokio::runtime::Runtime>, hs_oauth_async::Client),
    Blocking(hs_oauth_blocking::Client),
}

impl Client {
    /// Returns a client over reqwest and one over ureq for the same app.
    pub(crate) fn both(app: &App) -> [Self; 2] {
        [
            Self::reqwest(hs_oauth_async::Client::new(app.clone()).unwrap()),
            Self::Blocking(hs_oauth_blocking::Client::new(app.clone())),
        ]
    }

    /// Returns an async client with a runtime of its own.
    pub(crate) fn reqwest(client: hs_oauth_async::Client) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self::Async(Arc::new(runtime), client)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Async(..) => "async",
            Self::Blocking(..) => "blocking",
        }
    }

    pub(crate) fn with_retry_policy(self, policy: RetryPolicy) -> Self {
        match self {
            Self::Async(runtime, client) => Self::Async(runtime, client.with_retry_policy(policy)),
            Self::Blocking(client) => Self::Blocking(client.with_retry_policy(policy)),
        }
    }

    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        match self {
            Self::Async(runtime, client) => Self::Async(runtime, client.with_timeout(timeout)),
            Self::Blocking(client) => Self::Blocking(client.with_timeout(timeout)),
        }
    }

    /// Lets the async client notice what has happened to its kept connections. Its runtime runs during calls only.
    pub(crate) fn notice_closed_connections(&self) {
        if let Self::Async(runtime, _) = self {
            runtime.block_on(async {
                // Each turn collects all events of the system and runs all tasks that they wake.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    pub(crate) fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output, Error> {
        match self {
            Self::Async(runtime, client) => runtime.block_on(client.call(endpoint)),
            Self::Blocking(client) => client.call(endpoint),
        }
    }
}
