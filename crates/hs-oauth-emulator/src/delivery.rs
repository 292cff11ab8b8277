use std::time::Duration;

use http::Response;

/// What an answer suffers on its way, among the extensions of the [`Response`]. A transport or a simulation that hands
/// answers on without looking has no delays and no broken connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How long the answer takes.
    pub delay: Duration,
    /// Where the connection breaks, if it does.
    pub cut: Option<Cut>,
}

/// Where a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the answer: the client gets nothing. Whether the request had its effect, the client cannot tell.
    NoAnswer,
    /// After this many bytes of the body; the headers promise the whole.
    Body(usize),
}

impl Delivery {
    /// What this answer suffers on its way; nothing if the extensions do not say.
    pub fn of<B>(response: &Response<B>) -> Self {
        response.extensions().get().copied().unwrap_or_default()
    }
}
