//! The journal as a stream of server-sent events, `GET /_emulator/events` (HTML standard, "Server-sent events").

use std::fmt::Write;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};

use crate::responses;
use crate::state::State;

/// The number of earlier requests that a reader gets who has missed some.
const MAX_MISSED: usize = 100;

/// How far a reader of the stream has read. It is among the extensions of the response, and the server sends what [`after_cursor`] returns
/// from then on. Anything else that delivers the response ends the stream, and the reader asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventCursor {
    /// The number of the last request that was sent.
    request: u64,
    /// The number of changes that were not requests to HubSpot.
    change: u64,
}

/// Returns the stream so far: what came after the request with the number in `Last-Event-ID`, or else in the query parameter `after`.
/// Without these, it begins with what comes next.
pub(crate) fn respond(state: &State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let header = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let query = request.uri().query().unwrap_or("");
    let after = form_urlencoded::parse(query.as_bytes()).find(|pair| pair.0 == "after");
    let after = header.and_then(|id| id.parse().ok()).or(after.and_then(|pair| pair.1.parse().ok()));
    let newest = state.journal.newest_number();
    let cursor = EventCursor { request: after.unwrap_or(newest).min(newest), change: state.changes };
    let (events, cursor) = after_cursor(state, cursor);
    // A reader that has to ask again waits a second.
    let mut response = Response::new(format!("retry: 1000\n\n{events}").into_bytes());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(cursor);
    response
}

/// Returns the events after a cursor, and the cursor after them. There is none if nothing has happened.
pub(crate) fn after_cursor(state: &State, cursor: EventCursor) -> (String, EventCursor) {
    let newest = state.journal.newest_number();
    let missed = usize::try_from(newest.saturating_sub(cursor.request)).unwrap_or(usize::MAX);
    let mut events = String::new();
    let entries = state.journal.iter().rev().take(missed.min(MAX_MISSED)).collect::<Vec<_>>();
    for entry in entries.into_iter().rev().filter(|entry| entry.number > cursor.request) {
        let json = serde_json::to_string(entry).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(events, "id: {}\nevent: request\ndata: {json}\n\n", entry.number);
    }
    if state.changes != cursor.change {
        events.push_str("event: change\ndata: {}\n\n");
    }
    (events, EventCursor { request: newest, change: state.changes })
}

/// Returns the response to a request that is not `GET`.
pub(crate) fn method_not_allowed(state: &mut State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    responses::method_not_allowed(&mut state.token_generator, request.method(), "GET, HEAD, OPTIONS")
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;
    use crate::testing::Harness;

    fn events(harness: &mut Harness, path: &str, last_id: Option<&str>) -> (String, EventCursor) {
        let mut request = Request::get(format!("/_emulator/events{path}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = harness.send(request.body(Vec::new()).unwrap());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let cursor = *response.extensions().get::<EventCursor>().unwrap();
        (String::from_utf8(response.into_body()).unwrap(), cursor)
    }

    #[test]
    fn the_stream_begins_after_the_request_that_the_reader_has_read_last() {
        let mut harness = Harness::new();
        for path in ["/one", "/two", "/three"] {
            harness.get(path);
        }
        let (text, cursor) = events(&mut harness, "", None);
        assert_eq!(text, "retry: 1000\n\n");
        let (text, _) = events(&mut harness, "?after=1", None);
        let parts: Vec<_> = text.split("\n\n").collect();
        assert_eq!(parts.len(), 4, "{text}");
        assert!(parts[1].starts_with("id: 2\nevent: request\ndata: {\"number\":2,"), "{text}");
        assert!(parts[2].contains("\"path\":\"/three\"") && parts[3].is_empty(), "{text}");
        // A browser that has lost the connection sends the header.
        assert!(!events(&mut harness, "?after=1", Some("2")).0.contains("/two"));
        assert_eq!(events(&mut harness, "?after=99", None).0, "retry: 1000\n\n");

        harness.get("/four");
        let (text, cursor) = after_cursor(&harness.emulator.state, cursor);
        assert!(text.starts_with("id: 4\n") && !text.contains("change"), "{text}");
        assert_eq!(after_cursor(&harness.emulator.state, cursor).0, "");
    }

    #[test]
    fn a_change_through_the_control_api_is_an_event_without_an_id() {
        let mut harness = Harness::new();
        let (_, cursor) = events(&mut harness, "", None);
        harness.control(Method::GET, "/clock", "");
        assert_eq!(after_cursor(&harness.emulator.state, cursor).0, "");
        harness.control(Method::POST, "/clock", r#"{"advance":1}"#);
        let (text, cursor) = after_cursor(&harness.emulator.state, cursor);
        assert_eq!(text, "event: change\ndata: {}\n\n");
        harness.emulator.reset();
        harness.emulator.clear_journal();
        assert_eq!(after_cursor(&harness.emulator.state, cursor).0, "event: change\ndata: {}\n\n");
        assert_eq!(harness.control(Method::POST, "/events", "{}").0, 405);
    }

    #[test]
    fn who_has_missed_many_requests_gets_the_newest_ones() {
        let mut harness = Harness::new();
        for _ in 0..MAX_MISSED + 20 {
            harness.get("/x");
        }
        let (text, _) = events(&mut harness, "?after=0", None);
        assert_eq!(text.matches("event: request").count(), MAX_MISSED);
        assert!(text.contains("id: 21\n") && text.contains("id: 120\n"), "{text}");
    }
}
