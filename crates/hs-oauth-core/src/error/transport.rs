//! Errors of the exchange with HubSpot that left no complete response.

use std::fmt;
use std::sync::Arc;

use super::NextStep;
use crate::text::error_text;

/// The error of an exchange that ended without a complete response. Transports make it with [`TransportError::new`] or
/// [`TransportError::with_source`].
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The way in which an exchange ended without a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host's name could not be resolved to an address. The request was never sent.
    Resolve,
    /// No connection could be made. The request was never sent.
    Connect,
    /// The network reports that the host cannot be reached. It may report this after the request was sent.
    Unreachable,
    /// No trusted TLS session could be made: the certificate is not trusted, or there is no common version. An HTTP client may also report
    /// this for a session that broke later, when the server may have acted.
    Tls,
    /// The server does not speak TLS: an `https` address leads to a port for plain http. An HTTP client may also report this for a session
    /// into which something else spoke later, when the server may have acted.
    NotTls,
    /// No connection was made within the connect timeout. The request was never sent.
    ConnectTimeout,
    /// No complete response arrived within the total timeout. The server may have acted.
    Timeout,
    /// The connection broke, or the response is not HTTP. The server may have acted.
    Interrupted,
    /// The response is larger than the transport accepts. The server has acted.
    ResponseTooLarge,
    /// The HTTP client followed a redirect, which it must not do. The credentials may have gone to another address.
    Redirected,
    /// The HTTP client could not be set up or did not accept the request. The request was never sent.
    Client,
}

impl TransportError {
    /// Returns an error of this kind without a source.
    pub const fn new(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Returns an error of this kind with the HTTP client's error that caused it.
    ///
    /// `source` and its own sources are part of the error's message. So none of them must hold a URL, since a URL of `v1` holds a token.
    pub fn with_source(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(Arc::from(source.into())) }
    }

    /// Returns the way in which the exchange ended.
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Returns the HTTP client's error, for example to downcast it. Its text is a part of this error's message.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// Returns what to do next: try again later if the network failed. Otherwise [`NextStep::ReportBug`] for a response that is too
    /// large, and [`NextStep::FixConfiguration`] if the address or the HTTP client is at fault.
    pub const fn next_step(&self) -> NextStep {
        match self.kind {
            TransportErrorKind::Resolve
            | TransportErrorKind::Connect
            | TransportErrorKind::Unreachable
            | TransportErrorKind::Tls
            | TransportErrorKind::ConnectTimeout
            | TransportErrorKind::Timeout
            | TransportErrorKind::Interrupted => NextStep::RetryAfter(None),
            TransportErrorKind::ResponseTooLarge => NextStep::ReportBug,
            TransportErrorKind::NotTls | TransportErrorKind::Redirected | TransportErrorKind::Client => {
                NextStep::FixConfiguration
            }
        }
    }
}

impl TransportErrorKind {
    /// Returns the kind's name for programs and logs: `resolve`, `connect`, `unreachable`, `tls`, `not_tls`, `connect_timeout`, `timeout`,
    /// `interrupted`, `answer_too_large`, `redirected` or `client`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::NotTls => "not_tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::ResponseTooLarge => "answer_too_large",
            Self::Redirected => "redirected",
            Self::Client => "client",
        }
    }

    /// Returns whether it is certain that the request was never sent, so that even an authorization code may be sent again.
    pub const fn surely_unsent(self) -> bool {
        matches!(self, Self::Resolve | Self::Connect | Self::ConnectTimeout | Self::Client)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        if let Some(source) = &self.source {
            write!(f, ": {}", error_text(&**source))?;
        }
        write!(f, "; next: {}", self.next_step())
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host's name could not be resolved",
            Self::Connect => "could not connect",
            Self::Unreachable => "the host cannot be reached",
            Self::Tls => "could not set up a trusted TLS session",
            Self::NotTls => "the address is https, and the server does not speak TLS there",
            Self::ConnectTimeout => "timed out while connecting",
            Self::Timeout => "timed out before the whole answer was there",
            Self::Interrupted => "the connection broke before the whole answer was there",
            Self::ResponseTooLarge => "the answer is too large",
            Self::Redirected => "the HTTP client followed a redirect, which it must be set up not to do",
            Self::Client => "the HTTP client could not be set up or did not take the request",
        })
    }
}

// Not derived: the source is part of the message, so `source` does not return it a second time.
impl std::error::Error for TransportError {}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn the_message_has_the_cause_once_and_the_cause_can_be_downcast() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = TransportError::with_source(TransportErrorKind::Connect, refused());
        assert_eq!(error.to_string(), "could not connect: connection refused; next: try again later");
        assert!(error.source().is_none());
        let cause = error.cause().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
        let without = TransportError::new(TransportErrorKind::Timeout);
        assert_eq!(without.to_string(), "timed out before the whole answer was there; next: try again later");
    }
}
