//! A token in the last part of its life. Callers go on with it while its renewal fails at a misbehaving server.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use hs_oauth_async::Event;
use hs_oauth_core::renewal::{GrantState, RenewalPolicy};

use super::server::{Act, Server};
use super::setup::{
    NEW, OLD, TransportKind, app, good_token_response, respond_with, response, stored_tokens, token_response,
};
use crate::manager::setup::{HUB, Manager, Store, bearer_of, now, refresh_token};

/// RENEWAL.md, rule 5 and timing rule 6.
#[test]
fn a_token_is_handed_out_to_its_end_whatever_happens_to_its_renewal() {
    let cut = token_response().split_once(r#","token_type"#).unwrap().0.to_owned();
    let gone = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
    for (name, script, kept) in [
        ("a reset", vec![Act::Read, Act::Reset], OLD),
        ("an end", vec![Act::Read], OLD),
        ("noise", respond_with([0xaa; 100]), OLD),
        ("a page", respond_with(response(200, "", "<html>")), OLD),
        ("nothing", respond_with(response(200, "", "")), OLD),
        ("a part with the refresh token", respond_with(response(200, "", cut)), NEW),
        (
            "a lifetime of nothing",
            respond_with(response(200, "", token_response().replace("1800", "0"))),
            NEW,
        ),
        (
            "a token with a line break",
            respond_with(response(200, "", token_response().replace("new-access", r"\n"))),
            NEW,
        ),
        ("a redirect", respond_with(response(307, "location: http://127.0.0.1:1/\r\n", "")), OLD),
        ("a wrong client", respond_with(response(401, "", r#"{"error":"invalid_client"}"#)), OLD),
        ("an outage that says the grant is gone", respond_with(response(503, "", gone)), OLD),
        ("a limit", respond_with(response(429, "retry-after: 3600\r\n", "")), OLD),
    ] {
        for transport in [TransportKind::Async, TransportKind::Blocking] {
            let server = Server::start(script.clone());
            let app = app(&server.url());
            let store = Arc::new(Store::default());
            let (sender, events) = channel();
            let on_event = move |event: &Event<'_>| _ = sender.send(event.name().to_owned());
            let policy = RenewalPolicy::new();
            let manager = Manager::new(transport as usize, &app, Arc::clone(&store), policy, on_event);
            let mut old = stored_tokens();
            old.expires_at = now().plus(Duration::from_secs(300));
            manager.install_tokens_as(HUB, old.clone()).unwrap();

            assert_eq!(manager.bearer().unwrap(), bearer_of(&old), "{transport:?}: {name}");
            for expected in ["installed", "failed"] {
                let event = events.recv_timeout(Duration::from_secs(60));
                assert_eq!(event.as_deref(), Ok(expected), "{transport:?}: {name}");
            }
            // On a slow machine the wait before the next try could be over already.
            let next_hour = now().plus(Duration::from_secs(3600));
            store.rewrite(|record| record.retry.as_mut().unwrap().at = next_hour);
            assert_eq!(manager.bearer().unwrap(), bearer_of(&old), "{transport:?}: {name}");
            assert!(manager.shutdown().is_empty(), "{transport:?}: {name}");
            assert_eq!(server.requests().len(), 1, "{transport:?}: {name}");
            let record = store.stored().record;
            assert_eq!(record.state, GrantState::Live, "{transport:?}: {name}");
            assert_eq!(refresh_token(&store.tokens()).expose(), kept, "{transport:?}: {name}");

            server.set_script(respond_with(response(200, "", good_token_response())), None);
            store.rewrite(|record| record.retry = None);
            let another = Manager::new(transport as usize, &app, Arc::clone(&store), policy, |_| {});
            assert_eq!(another.bearer().unwrap(), "Bearer qZx7-good-access", "{transport:?}: {name}");
            let requests = server.requests().concat();
            assert!(requests.contains(&format!("refresh_token={kept}")), "{transport:?}: {name}");
        }
    }
}
