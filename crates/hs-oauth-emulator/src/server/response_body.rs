use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

/// The body of a response, or the beginning of one after which the connection breaks or more comes later.
pub(super) struct ResponseBody {
    bytes: Option<Bytes>,
    /// What comes later, if something does.
    later: Option<Receiver<Bytes>>,
    announced_length: u64,
    ends_early: bool,
    has_yielded: bool,
}

impl ResponseBody {
    pub(super) fn whole(body: Vec<u8>) -> Self {
        Self {
            announced_length: body.len() as u64,
            bytes: Some(Bytes::from(body)).filter(|bytes| !bytes.is_empty()),
            later: None,
            ends_early: false,
            has_yielded: false,
        }
    }

    /// Sends the body, and then what is received, until there is no sender any more.
    pub(super) fn stream(body: Vec<u8>, later: Receiver<Bytes>) -> Self {
        Self { later: Some(later), ..Self::whole(body) }
    }

    /// Announces the whole length, sends the first `length` bytes, and then breaks the connection.
    pub(super) fn truncated(mut body: Vec<u8>, length: usize) -> Self {
        let announced_length = body.len() as u64;
        body.truncate(length);
        Self { announced_length, ends_early: true, ..Self::whole(body) }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(later) = &mut self.later {
            return later.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))));
        }
        if !self.ends_early {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_yielded, true) {
            // Gives hyper a turn to send what it has written so far.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && !self.ends_early && self.later.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.later {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.announced_length),
        }
    }
}
