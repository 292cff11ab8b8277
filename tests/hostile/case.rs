//! One case: a world that misbehaves, what has to come of it, and the three things that are looked at.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hs_oauth_core::renewal::{GrantState, TokenError};
use hs_oauth_core::{Error, NextStep, Problem, RefreshToken, TIMEOUT, TransportErrorKind};

use super::server::{Script, Server};
use super::world::{MARK, OLD, Other, Side, World, answer, exchange, good_tokens, held, say};
use crate::manager::scene::{HUB, Manager, Store, bearer_of, refresh_token};

/// The next step after a failure that may pass.
pub(crate) const LATER: NextStep = NextStep::RetryAfter(None);
/// The next step after an answer that is not HubSpot's.
pub(crate) const BUG: NextStep = NextStep::ReportBug;
/// The next step after what is the app's or the operator's to see to.
pub(crate) const FIX: NextStep = NextStep::FixConfiguration;

/// What a refresh has to end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// The tokens that a well-made answer has.
    Tokens,
    Transport(TransportErrorKind),
    /// One of these, as one thing or another comes first.
    OneOf([TransportErrorKind; 2]),
    /// A refusal with this status.
    Refusal(u16),
    /// An answer with these problems.
    Unusable(Vec<Problem>),
    /// The same, with this refresh token rescued.
    RescuedTokens(Vec<Problem>, &'static str),
}

/// What is sent in every case, in the order of [`Case::connections`].
const REFRESH: usize = 0;
const CODE: usize = 1;

pub(crate) struct Case {
    pub(crate) name: String,
    world: Box<dyn Fn(Side) -> World + Send + Sync>,
    want: [(Want, Option<NextStep>); 2],
    /// How many whole requests the server gets for one refresh, and for one exchange of a code: 1, if it reads it at all.
    requests: usize,
    /// How many connections there are for a refresh, and for a code.
    connections: [[usize; 2]; 2],
    is_race: bool,
}

/// A server with this script on plain HTTP, and clients with defaults.
pub(crate) fn case(
    name: impl Into<String>,
    script: Script,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    case_in(name, move |side| World::plain(side, script.clone(), TIMEOUT), want, next)
}

/// The same, for a script that never ends: the client gives up after a second.
pub(crate) fn endless(
    name: impl Into<String>,
    script: Script,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    case_in(name, move |side| World::plain(side, script.clone(), Duration::from_secs(1)), want, next)
}

pub(crate) fn case_in(
    name: impl Into<String>,
    world: impl Fn(Side) -> World + Send + Sync + 'static,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    let next = next.into();
    Case {
        name: name.into(),
        world: Box::new(world),
        want: [(want.clone(), next), (want, next)],
        requests: 1,
        connections: [[1; 2]; 2],
        is_race: false,
    }
}

impl Case {
    /// Where the two HTTP clients see it differently.
    pub(crate) fn on_blocking(mut self, want: Want, next: impl Into<Option<NextStep>>) -> Self {
        self.want[1] = (want, next.into());
        self
    }

    /// The request never gets as far as the server, and every try for a code is one connection to it.
    pub(crate) fn unsent(self, tries: [usize; 2]) -> Self {
        let refresh = tries.map(|tries| tries.min(1));
        self.requests(0).connections(refresh, tries)
    }

    pub(crate) fn requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// How many connections each transport makes for a refresh, and for a code by its default policy.
    pub(crate) fn connections(mut self, refresh: [usize; 2], code: [usize; 2]) -> Self {
        self.connections = [refresh, code];
        self
    }

    /// Whether a try ends before or after it counts as connected is a matter of luck, and so is how many there are.
    pub(crate) fn race(mut self) -> Self {
        self.is_race = true;
        self
    }

    fn assert_sent(&self, server: &Server, what: usize, side: Side) {
        let (requests, connections) = (server.requests().len(), server.connections());
        let expected = if self.is_race { connections } else { self.connections[what][side as usize] };
        let name = ["refresh", "code"][what];
        assert_eq!(
            (requests, connections),
            (self.requests, expected),
            "requests and connections for a {name}"
        );
    }

    fn run(&self, side: Side) {
        let world = (self.world)(side);
        let index = side as usize;

        // RFC 6749 §4.1.2: a code must not be used twice.
        match world.hostile.call(&exchange()) {
            Ok(tokens) => assert_eq!(tokens.access_token.expose(), "qZx7-new-access"),
            Err(error) => {
                clean(&error);
                assert!(!matches!(self.want[index].0, Want::Tokens), "no tokens for a code: {error:?}");
                assert_ne!(error.next_step(), NextStep::Reauthorize, "a code is no grant: {error:?}");
            }
        }
        self.assert_sent(&world.server, CODE, side);

        let store = Arc::new(Store::default());
        let manager = Manager::over(&world.hostile, Arc::clone(&store));
        let held = held();
        manager.install_tokens(HUB, held.clone()).unwrap();
        let result = manager.refresh_now();
        self.assert_sent(&world.server, REFRESH, side);
        let (want, next) = &self.want[index];
        match (result, want) {
            (Ok(bearer), Want::Tokens) => assert_eq!(bearer, "Bearer qZx7-new-access"),
            (Ok(_), want) => panic!("new tokens where {want:?} was due"),
            (Err(error), want) => {
                assert_eq!(Some(error.next_step()), *next, "{error:?}");
                let TokenError::Call(error) = error else { panic!("{error:?}") };
                clean(&error);
                want.check(&error);
            }
        }

        let record = store.stored().record;
        assert_eq!(record.state, GrantState::Live);
        let bearer = manager.bearer().unwrap();
        let stored = refresh_token(&store.tokens());
        match want {
            Want::Tokens => assert_eq!(bearer, "Bearer qZx7-new-access"),
            Want::RescuedTokens(_, rescued) => {
                assert_eq!((&bearer, stored.expose()), (&bearer_of(&held), *rescued));
            }
            _ => assert_eq!((&bearer, stored.expose()), (&bearer_of(&held), OLD)),
        }

        world.server.turn(say(answer(200, "", good_tokens())), world.tls.clone());
        store.rewrite(|record| record.retry = None);
        let another = Manager::over(&world.good, Arc::clone(&store));
        let renewed = another.refresh_now().unwrap();
        assert_eq!(renewed, "Bearer qZx7-good-access");
        assert_eq!(manager.bearer_after_401(&bearer).unwrap(), renewed, "it finds it in the store");
        let requests = world.server.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].contains(&format!("refresh_token={}", stored.expose())), "{requests:?}");

        for other in &world.others {
            match other {
                Other::Untouched(server) => {
                    assert_eq!((server.connections(), server.heard()), (0, String::new()));
                }
                Other::Blind(server) => assert!(!server.heard().contains(MARK), "{}", server.heard()),
                Other::Refusing(socket) => assert!(socket.local_addr().is_ok()),
                Other::Silent((_, waiting)) => assert!(!waiting.is_empty()),
            }
        }
    }
}

/// Runs every case over both transports, several at a time, and names all that failed.
#[allow(clippy::print_stdout, reason = "how many cases there were is asked for")]
pub(crate) fn run(cases: &[Case]) {
    let turn = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                loop {
                    let turn = turn.fetch_add(1, Ordering::SeqCst);
                    let Some(case) = cases.get(turn / 2) else { return };
                    let side = [Side::Async, Side::Blocking][turn % 2];
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case.run(side))) {
                        let text = panic.downcast_ref::<String>().map(String::as_str);
                        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
                        failures.lock().unwrap().push(format!(
                            "{side:?}: {}: {}",
                            case.name,
                            text.replace('\n', " ")
                        ));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{} cases over each transport", cases.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len() * 2, failures.join("\n"));
}

impl Want {
    fn check(&self, error: &Error) {
        match (self, error) {
            (Self::Transport(failure), Error::Transport(error)) => {
                assert_eq!(error.kind(), *failure, "{error:?}");
            }
            (Self::OneOf(failures), Error::Transport(error)) => {
                assert!(failures.contains(&error.kind()), "{error:?}");
            }
            (Self::Refusal(status), Error::Api(error)) => assert_eq!(error.status.as_u16(), *status),
            (Self::Unusable(problems), Error::Response(error)) => {
                assert_eq!((&error.problems, &error.rescued.refresh_token), (problems, &None));
            }
            (Self::RescuedTokens(problems, rescued), Error::Response(answer)) => {
                assert_eq!(&answer.problems, problems);
                assert_eq!(error.rescued_refresh_token().map(RefreshToken::expose), Some(*rescued));
            }
            (want, error) => panic!("{error:?} where {want:?} was due"),
        }
    }
}

/// No part of an error shows a secret.
pub(crate) fn clean(error: &Error) {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        shown += &format!("{error} {error:?}");
        source = error.source();
    }
    assert!(!shown.contains(MARK), "{shown}");
}
