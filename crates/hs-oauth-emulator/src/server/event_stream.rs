//! Sends the events of the journal as they come, for as long as the reader reads.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use super::shared::{Phase, Shared};
use crate::events::{self, EventCursor};

/// How long nothing may happen before a comment is sent, by which the server finds out whether the reader is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// Starts to send what comes after a cursor. It ends with the server, or when the receiver is dropped.
pub(super) fn start(
    shared: Arc<Shared>,
    cursor: EventCursor,
    phases: watch::Receiver<Phase>,
) -> Receiver<Bytes> {
    let (sender, receiver) = channel(1);
    tokio::spawn(send(shared, cursor, phases, sender));
    receiver
}

async fn send(
    shared: Arc<Shared>,
    mut cursor: EventCursor,
    mut phases: watch::Receiver<Phase>,
    sender: Sender<Bytes>,
) {
    let mut handled = shared.handled.subscribe();
    handled.mark_changed();
    loop {
        let text = tokio::select! {
            changed = handled.changed() => {
                if changed.is_err() {
                    return;
                }
                let (text, next) = events::after_cursor(&shared.lock().state, cursor);
                cursor = next;
                text
            }
            () = tokio::time::sleep(SILENCE) => ": still here\n\n".to_owned(),
            () = sender.closed() => return,
            _ = phases.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        if !text.is_empty() && sender.send(Bytes::from(text)).await.is_err() {
            return;
        }
    }
}
