//! What both clients share: the reading of an exchange, the tries of a call, and what is traced of it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hs_oauth_core::http::Response;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{App, Endpoint, Error, RetryPolicy, Timestamp, TransportError};

/// An exchange that brought no whole response.
#[derive(Debug)]
pub struct ExchangeError {
    error: TransportError,
    partial: Option<Box<Response<Vec<u8>>>>,
}

/// The tries of one call.
#[derive(Debug)]
pub struct Tries {
    policy: RetryPolicy,
    timeout: Duration,
    made: u32,
}

/// Why a call to an API of HubSpot's brought no response. `E` is the error of the HTTP client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<E: std::error::Error + 'static> {
    /// There is no token to send the request with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request would go neither by https nor to loopback, and was not sent.
    #[error("a bearer token goes to https only, or to http on loopback")]
    Insecure,
    /// The request could not be made or sent, or the response did not come.
    #[error("the call failed")]
    Http(#[source] E),
}

impl ExchangeError {
    /// Returns the error of an exchange of whose response only a part came.
    pub fn with_partial(error: TransportError, partial: Response<Vec<u8>>) -> Self {
        Self { error, partial: Some(Box::new(partial)) }
    }

    /// Reads what came of an exchange. `sent_at` is the time just before the request was sent.
    ///
    /// # Errors
    /// The errors of [`Endpoint::read_response`] and [`Endpoint::read_partial_response`], or that of the transport.
    pub fn read<E: Endpoint>(
        result: Result<Response<Vec<u8>>, Self>,
        endpoint: &E,
        app: &App,
        sent_at: Timestamp,
    ) -> Result<E::Output, Error> {
        match result {
            Ok(response) => endpoint.read_response(app, sent_at, &response),
            Err(Self { error, partial: Some(partial) }) => {
                endpoint.read_partial_response(app, sent_at, &*partial, error)
            }
            Err(Self { error, partial: None }) => Err(error.into()),
        }
    }
}

impl From<TransportError> for ExchangeError {
    fn from(error: TransportError) -> Self {
        Self { error, partial: None }
    }
}

impl Tries {
    /// Returns the tries of a call. `timeout` is what one of them may take.
    pub const fn new(policy: RetryPolicy, timeout: Duration) -> Self {
        Self { policy, timeout, made: 0 }
    }

    /// Returns how long the next try may take. `elapsed` is the time since the first began.
    pub fn timeout(&self, elapsed: Duration) -> Duration {
        self.policy.try_timeout(self.timeout, self.made, elapsed)
    }

    /// Counts a try and returns how long to wait before the next one, or `None` if the result goes to the caller.
    pub fn next_wait<E: Endpoint>(
        &mut self,
        result: &Result<E::Output, Error>,
        elapsed: Duration,
    ) -> Option<Duration> {
        self.made += 1;
        // Spreads the waits of many clients. No secret depends on it.
        let random = || RandomState::new().hash_one(());
        let error = result.as_ref().err();
        let wait =
            error.and_then(|error| self.policy.wait(E::OPERATION, error, self.made, elapsed, random()));
        trace::<E>(result, self.made, elapsed, wait);
        wait
    }
}

/// Traces a try: how it ended, and whether there will be another.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is traced"))]
pub fn trace<E: Endpoint>(
    result: &Result<E::Output, Error>,
    tries: u32,
    elapsed: Duration,
    wait: Option<Duration>,
) {
    #[cfg(feature = "tracing")]
    match result {
        Ok(_) => tracing::debug!(tries, ?elapsed, "answered"),
        Err(error) => tracing::debug!(tries, ?elapsed, ?wait, %error, "failed"),
    }
}

/// Returns the span of a call. It holds no secret.
#[cfg(feature = "tracing")]
pub fn span<E: Endpoint>(app: &App) -> tracing::Span {
    tracing::debug_span!(
        "hubspot_oauth",
        operation = E::OPERATION.name(),
        version = %app.version(),
        client_id = app.client_id(),
    )
}
