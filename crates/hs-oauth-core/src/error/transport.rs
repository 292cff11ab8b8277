use std::fmt;
use std::sync::Arc;

use super::NextStep;

/// An exchange that ended without a whole answer. A transport makes it; core decides what it means.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Where an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host's name has no address.
    Resolve,
    /// No connection. The request never left.
    Connect,
    /// The network says that the host cannot be reached; it may say so after the request was sent.
    Unreachable,
    /// No TLS session that can be trusted: a certificate that is not, no common version, or what answers does not speak TLS.
    /// An HTTP client may also say so of a session that broke later, when the server may have acted.
    Tls,
    /// No connection within the connect timeout. The request never left.
    ConnectTimeout,
    /// No whole answer within the total timeout. The server may have acted.
    Timeout,
    /// The connection broke, or what came is not HTTP. The server may have acted.
    Interrupted,
    /// The answer is larger than the transport takes. The server has acted.
    ResponseTooLarge,
    /// The HTTP client followed a redirect, which it must not: the credentials may have gone to another address.
    Redirected,
    /// The HTTP client could not be set up, or did not take the request. It never left.
    Client,
}

impl TransportError {
    /// A failure without more to tell.
    pub const fn new(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// A failure and what the HTTP client said. Whoever prints an error with its sources shows `source`: it must hold no URL,
    /// since a URL of `v1` holds a token.
    pub fn with_source(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(Arc::from(source.into())) }
    }

    /// Where the exchange ended.
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// What to do next: wait and try again where the network failed, else look at what answered.
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
            TransportErrorKind::Redirected | TransportErrorKind::Client => NextStep::FixConfiguration,
        }
    }
}

impl TransportErrorKind {
    /// The failure's name for programs and logs: `resolve`, `connect`, `unreachable`, `tls`, `connect_timeout`, `timeout`, `interrupted`,
    /// `answer_too_large`, `redirected` or `client`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::ResponseTooLarge => "answer_too_large",
            Self::Redirected => "redirected",
            Self::Client => "client",
        }
    }

    /// Whether the request surely never reached the server, so that even an authorization code may be sent again.
    pub const fn surely_unsent(self) -> bool {
        matches!(self, Self::Resolve | Self::Connect | Self::ConnectTimeout | Self::Client)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; next: {}", self.kind, self.next_step())
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host's name could not be resolved",
            Self::Connect => "could not connect",
            Self::Unreachable => "the host cannot be reached",
            Self::Tls => "could not set up a trusted TLS session",
            Self::ConnectTimeout => "timed out while connecting",
            Self::Timeout => "timed out before the whole answer was there",
            Self::Interrupted => "the connection broke before the whole answer was there",
            Self::ResponseTooLarge => "the answer is too large",
            Self::Redirected => "the HTTP client followed a redirect, which it must be set up not to do",
            Self::Client => "the HTTP client could not be set up or did not take the request",
        })
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
