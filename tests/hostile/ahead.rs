//! A token in the last part of its life, which callers go on with while its renewal meets a misbehaving server.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use hs_oauth_core::Event;
use hs_oauth_core::renewal::{GrantState, RenewalPolicy};

use super::server::{Act, Server};
use super::world::{NEW, OLD, Side, answer, app, good_tokens, held, say, tokens};
use crate::manager::scene::{HUB, Manager, Store, bearer_of, now, refresh_token};

/// RENEWAL.md, rule 5 and timing rule 6.
#[test]
fn a_token_is_handed_out_to_its_end_whatever_its_renewal_meets() {
    let cut = tokens().split_once(r#","token_type"#).unwrap().0.to_owned();
    let gone = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
    for (name, script, kept) in [
        ("a reset", vec![Act::Read, Act::Reset], OLD),
        ("an end", vec![Act::Read], OLD),
        ("noise", say([0xaa; 100]), OLD),
        ("a page", say(answer(200, "", "<html>")), OLD),
        ("nothing", say(answer(200, "", "")), OLD),
        ("a part with the refresh token", say(answer(200, "", cut)), NEW),
        ("a lifetime of nothing", say(answer(200, "", tokens().replace("1800", "0"))), NEW),
        ("a token with a line break", say(answer(200, "", tokens().replace("new-access", r"\n"))), NEW),
        ("a redirect", say(answer(307, "location: http://127.0.0.1:1/\r\n", "")), OLD),
        ("a wrong client", say(answer(401, "", r#"{"error":"invalid_client"}"#)), OLD),
        ("an outage that says the grant is gone", say(answer(503, "", gone)), OLD),
        ("a limit", say(answer(429, "retry-after: 3600\r\n", "")), OLD),
    ] {
        for side in [Side::Async, Side::Blocking] {
            let server = Server::start(script.clone());
            let app = app(&server.url());
            let store = Arc::new(Store::default());
            let (tell, events) = channel();
            let on_event = move |event: &Event<'_>| _ = tell.send(event.name().to_owned());
            let policy = RenewalPolicy::new();
            let manager = Manager::new(side as usize, &app, Arc::clone(&store), policy, on_event);
            let mut old = held();
            old.expires_at = now().plus(Duration::from_secs(300));
            manager.install_tokens(HUB, old.clone()).unwrap();

            assert_eq!(manager.bearer().unwrap(), bearer_of(&old), "{side:?}: {name}");
            for expected in ["saved", "failed"] {
                let event = events.recv_timeout(Duration::from_secs(60));
                assert_eq!(event.as_deref(), Ok(expected), "{side:?}: {name}");
            }
            assert_eq!(manager.bearer().unwrap(), bearer_of(&old), "{side:?}: {name}");
            assert_eq!(server.requests().len(), 1, "{side:?}: {name}");
            let record = store.stored().record;
            assert_eq!(record.state, GrantState::Live, "{side:?}: {name}");
            assert_eq!(refresh_token(&store.tokens()).expose(), kept, "{side:?}: {name}");

            server.turn(say(answer(200, "", good_tokens())), None);
            store.rewrite(|record| record.retry = None);
            let another = Manager::new(side as usize, &app, Arc::clone(&store), policy, |_| {});
            assert_eq!(another.bearer().unwrap(), "Bearer qZx7-good-access", "{side:?}: {name}");
            let requests = server.requests().concat();
            assert!(requests.contains(&format!("refresh_token={kept}")), "{side:?}: {name}");
        }
    }
}
