use std::time::Duration;

use http::Response;

/// How a response is to be delivered: how late, and whether the connection breaks on the way.
///
/// The emulator puts this value into the extensions of a [`Response`]. A transport or a simulation that ignores it
/// delivers every response at once and whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How long to wait before the response is delivered.
    pub delay: Duration,
    /// Where the connection breaks; `None` if the response arrives whole.
    pub cut: Option<Cut>,
}

/// The place in a response where the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the response: the client receives nothing. It cannot tell whether the request had its effect.
    NoResponse,
    /// After this many bytes of the body. The headers still announce the length of the whole body.
    Body(usize),
}

impl Delivery {
    /// Returns how to deliver `response`. Without a value in its extensions, that is at once and whole.
    pub fn from_response<B>(response: &Response<B>) -> Self {
        response.extensions().get().copied().unwrap_or_default()
    }
}
