//! The tries of a call, the result of one exchange, and what is traced of them, for both clients.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hs_oauth_core::http::Response;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{App, Endpoint, Error, NextStep, RetryPolicy, Timestamp, TransportError, error_text};

#[cfg(feature = "tracing")]
use crate::event::TARGET;

/// The tries of one call.
#[derive(Debug)]
pub struct Tries {
    policy: RetryPolicy,
    timeout: Duration,
    made: u32,
}

/// Why an exchange brought no whole response.
#[derive(Debug)]
pub struct ExchangeError {
    error: TransportError,
    /// The response as far as it arrived, if its head did.
    partial: Option<Box<Response<Vec<u8>>>>,
}

/// Why a call to one of HubSpot's APIs brought no response. `E` is the error type of the HTTP client.
///
/// [`SendError::next_step`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<E: std::error::Error + 'static> {
    /// There is no token to send the request with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request was not sent, since its URL is neither https nor http on loopback.
    #[error("a bearer token goes to https only, or to http on loopback; next: {}", self.next_step())]
    Insecure,
    /// The request could not be built. Nothing was sent.
    #[error("the request could not be built: {}; next: {}", error_text(_0), self.next_step())]
    Request(E),
    /// The request could not be sent, or no response came. HubSpot may have acted on it.
    #[error("the call failed: {}; next: {}", error_text(_0), self.next_step())]
    Http(E),
}

impl<E: std::error::Error + 'static> SendError<E> {
    /// Returns what to do next: that of the token's error; otherwise fix a request that could not be built or must not be sent, and try
    /// again later if no response came.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Token(error) => error.next_step(),
            Self::Insecure | Self::Request(_) => NextStep::FixConfiguration,
            Self::Http(_) => NextStep::RetryAfter(None),
        }
    }
}

/// Returns whether an error of the token manager says why an API rejected the account's token: its grant is gone, or the app is configured
/// wrongly. If so, the caller receives it in place of the response.
pub fn explains_401(error: &TokenError) -> bool {
    matches!(error.next_step(), NextStep::Reauthorize | NextStep::FixConfiguration)
}

impl Tries {
    /// Returns the tries of a call that has not begun. `timeout` is how long one try may take.
    pub const fn new(policy: RetryPolicy, timeout: Duration) -> Self {
        Self { policy, timeout, made: 0 }
    }

    /// Returns how long the next try may take. `elapsed` is the time since the first try began.
    pub fn timeout(&self, elapsed: Duration) -> Duration {
        self.policy.try_timeout(self.timeout, self.made, elapsed)
    }

    /// Counts and traces a try that ended with `result`. Returns how long to wait before the next try, or `None` if there is none and
    /// the caller gets `result`.
    pub fn next_wait<E: Endpoint>(
        &mut self,
        result: &Result<E::Output, Error>,
        elapsed: Duration,
    ) -> Option<Duration> {
        self.made += 1;
        let wait = result.as_ref().err().and_then(|error| {
            // It spreads the waits of many clients. No secret depends on it.
            let random = RandomState::new().hash_one(());
            self.policy.wait(E::OPERATION, error, self.made, elapsed, random)
        });
        trace::<E>(result, self.made, elapsed, wait);
        wait
    }
}

/// Traces a try: how it ended, and how long to wait before the next one. It holds no secret.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is traced"))]
pub fn trace<E: Endpoint>(
    result: &Result<E::Output, Error>,
    tries: u32,
    elapsed: Duration,
    wait: Option<Duration>,
) {
    #[cfg(feature = "tracing")]
    match result {
        Ok(_) => tracing::debug!(target: TARGET, tries, ?elapsed, "answered"),
        Err(error) => tracing::debug!(target: TARGET, tries, ?elapsed, ?wait, %error, "failed"),
    }
}

impl ExchangeError {
    /// Returns the error of an exchange whose response arrived only in part.
    pub fn with_partial(error: TransportError, partial: Response<Vec<u8>>) -> Self {
        Self { error, partial: Some(Box::new(partial)) }
    }

    /// Reads the result of an exchange. `sent_at` is the time just before the request was sent.
    ///
    /// # Errors
    /// The errors of [`Endpoint::read_response`] for a whole response, those of [`Endpoint::read_partial_response`] for a part of one,
    /// and the error of the transport if there is no response.
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

/// Returns the span of a call. It holds no secret.
#[cfg(feature = "tracing")]
pub fn span(operation: hs_oauth_core::Operation, app: &App) -> tracing::Span {
    tracing::debug_span!(
        target: TARGET,
        "hubspot_oauth",
        operation = operation.name(),
        version = %app.version(),
        client_id = app.client_id(),
    )
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::StatusCode;
    use hs_oauth_core::{
        AccessToken, ApiError, ClientSecret, ExchangeCode, Operation, Refresh, RefreshToken, TokenSet,
        TransportErrorKind,
    };

    use super::*;

    const SENT_AT: Timestamp = Timestamp::from_secs(1000);

    fn read(result: Result<Response<Vec<u8>>, ExchangeError>) -> Result<TokenSet, Error> {
        let app = App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let refresh = Refresh::new(RefreshToken::new("sent").unwrap());
        ExchangeError::read(result, &refresh, &app, SENT_AT)
    }

    fn response(body: &str) -> Response<Vec<u8>> {
        Response::new(body.as_bytes().to_vec())
    }

    fn interrupted() -> TransportError {
        TransportError::new(TransportErrorKind::Interrupted)
    }

    #[test]
    fn a_whole_response_is_read_with_the_time_at_which_its_request_was_sent() {
        let body = r#"{"access_token":"CK","token_type":"bearer","expires_in":1800}"#;
        let tokens = read(Ok(response(body))).unwrap();
        assert_eq!(tokens.expires_at, SENT_AT.plus(Duration::from_secs(1800)));
    }

    #[test]
    fn the_tokens_in_a_part_of_a_response_are_rescued() {
        let partial = response(r#"{"refresh_token":"new","access_token":"CK","exp"#);
        let error = read(Err(ExchangeError::with_partial(interrupted(), partial))).unwrap_err();
        assert!(matches!(error, Error::Response(_)));
        assert_eq!(error.rescued_refresh_token(), Some(&RefreshToken::new("new").unwrap()));
        let empty = read(Err(ExchangeError::with_partial(interrupted(), response(""))));
        assert!(matches!(empty, Err(Error::Transport(_))), "there is nothing in it");
    }

    #[test]
    fn without_a_response_the_error_is_that_of_the_transport() {
        let Err(Error::Transport(error)) = read(Err(interrupted().into())) else { panic!() };
        assert_eq!(error.kind(), TransportErrorKind::Interrupted);
    }

    #[test]
    fn a_call_is_tried_again_within_the_budget_and_the_last_result_goes_to_the_caller() {
        let second = Duration::from_secs(1);
        let mut tries = Tries::new(RetryPolicy::new(), second * 15);
        let unavailable = || Err(ApiError::new(Operation::Refresh, StatusCode::SERVICE_UNAVAILABLE).into());
        assert_eq!(tries.timeout(second * 9), second * 15, "the first try has the whole timeout");
        assert!(tries.next_wait::<Refresh>(&unavailable(), second).is_some());
        assert_eq!(tries.timeout(second * 2), second * 8, "a further one has the rest of the budget");
        assert!(tries.next_wait::<Refresh>(&unavailable(), second).is_some());
        assert_eq!(tries.next_wait::<Refresh>(&unavailable(), second), None, "three are the most");
    }

    #[test]
    fn the_error_of_a_call_says_what_caused_it_and_what_to_do() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for (error, text, next) in [
            (
                SendError::Token(TokenError::NotInstalled),
                "no tokens are held for this account; next: ask the account to connect the app again",
                NextStep::Reauthorize,
            ),
            (
                SendError::Insecure,
                "a bearer token goes to https only, or to http on loopback; next: fix the app's configuration; the stored \
                 grants stay good",
                NextStep::FixConfiguration,
            ),
            (
                SendError::Request(refused()),
                "the request could not be built: connection refused; next: fix the app's configuration; \
                 the stored grants stay good",
                NextStep::FixConfiguration,
            ),
            (
                SendError::Http(refused()),
                "the call failed: connection refused; next: try again later",
                NextStep::RetryAfter(None),
            ),
        ] {
            assert_eq!((error.to_string().as_str(), error.next_step()), (text, next));
        }
    }

    #[test]
    fn a_call_that_succeeded_or_must_not_be_repeated_has_no_further_try() {
        let tokens = TokenSet::new(AccessToken::new("CK").unwrap(), 1800, SENT_AT);
        let mut tries = Tries::new(RetryPolicy::new(), Duration::from_secs(15));
        assert_eq!(tries.next_wait::<Refresh>(&Ok(tokens), Duration::ZERO), None);
        let mut tries = Tries::new(RetryPolicy::new(), Duration::from_secs(15));
        assert_eq!(tries.next_wait::<ExchangeCode>(&Err(interrupted().into()), Duration::ZERO), None);
        let mut once = Tries::new(RetryPolicy::NEVER, Duration::from_secs(15));
        assert_eq!(once.next_wait::<Refresh>(&Err(interrupted().into()), Duration::ZERO), None);
    }
}
