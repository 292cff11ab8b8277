//! One face for both transports, so that every scenario is written once and run over each.

use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{App, Endpoint, Error, RetryPolicy};

#[derive(Clone)]
pub(crate) enum Client {
    Async(Arc<tokio::runtime::Runtime>, hs_oauth_async::Client),
    Blocking(hs_oauth_blocking::Client),
}

impl Client {
    /// The same app over reqwest and over ureq.
    pub(crate) fn both(app: &App) -> [Self; 2] {
        [
            Self::reqwest(hs_oauth_async::Client::new(app.clone()).unwrap()),
            Self::Blocking(hs_oauth_blocking::Client::new(app.clone())),
        ]
    }

    /// An async client with a runtime of its own.
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

    pub(crate) fn retry(self, policy: RetryPolicy) -> Self {
        match self {
            Self::Async(runtime, client) => Self::Async(runtime, client.retry(policy)),
            Self::Blocking(client) => Self::Blocking(client.retry(policy)),
        }
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        match self {
            Self::Async(runtime, client) => Self::Async(runtime, client.timeout(timeout)),
            Self::Blocking(client) => Self::Blocking(client.timeout(timeout)),
        }
    }

    pub(crate) fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output, Error> {
        match self {
            Self::Async(runtime, client) => runtime.block_on(client.call(endpoint)),
            Self::Blocking(client) => client.call(endpoint),
        }
    }
}
