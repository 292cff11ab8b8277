//! One case: a server that misbehaves, the result that a client must have of it, and the checks that are the same for all cases.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hs_oauth_core::renewal::{GrantState, TokenError};
use hs_oauth_core::{CONNECT_TIMEOUT, Error, NextStep, Problem, RefreshToken, TIMEOUT, TransportErrorKind};

use super::server::{Script, Server};
use super::setup::{
    OLD, Other, SECRET_MARK, Setup, TransportKind, exchange, good_token_response, respond_with, response,
    stored_tokens,
};
use crate::manager::setup::{HUB, Manager, Store, bearer_of, refresh_token};
use crate::wait::wait_until;

/// The next step after a failure that may pass.
pub(crate) const LATER: NextStep = NextStep::RetryAfter(None);
/// The next step after a response that cannot be HubSpot's.
pub(crate) const BUG: NextStep = NextStep::ReportBug;
/// The next step after an error that the app's developer or operator has to remove.
pub(crate) const FIX: NextStep = NextStep::FixConfiguration;

/// The result that a refresh must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// The tokens of a correct response.
    Tokens,
    Transport(TransportErrorKind),
    /// One of these: which of two failures comes first is not certain.
    OneOf([TransportErrorKind; 2]),
    /// An error response with this status.
    ErrorResponse(u16),
    /// A response with these problems.
    Unusable(Vec<Problem>),
    /// A response with these problems, from which this refresh token was rescued.
    RescuedTokens(Vec<Problem>, &'static str),
}

// What is sent in every case: the indices of `Case::connections`.
const REFRESH: usize = 0;
const CODE: usize = 1;

pub(crate) struct Case {
    pub(crate) name: String,
    setup: Box<dyn Fn(TransportKind) -> Setup + Send + Sync>,
    want: [(Want, Option<NextStep>); 2],
    /// How many whole requests the server gets for one refresh, and also for one exchange of a code: 1 unless it reads none.
    requests: usize,
    /// How many connections each transport makes for a refresh and for the exchange of a code.
    connections: [[usize; 2]; 2],
    is_race: bool,
    /// Whether the server lets the client wait until each call ends at the client's own time limit.
    waits: bool,
    /// Whether the client keeps connections that the server then ends.
    keeps_connections: bool,
}

/// The time that a client allows an exchange with a server that lets it wait. On a slow machine too, all that comes before the
/// wait is over by then.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Returns the same for a client that has to wait before it counts as connected. reqwest must not reach its own connect timeout
/// first.
pub(crate) fn connect_limit(transport: TransportKind) -> Duration {
    match transport {
        TransportKind::Async => CONNECT_TIMEOUT * 4 / 5,
        TransportKind::Blocking => LIMIT,
    }
}

/// Returns a case with a plain HTTP server that follows this script, and with default clients.
pub(crate) fn case(
    name: impl Into<String>,
    script: Script,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    case_in(name, move |transport| Setup::plain(transport, script.clone(), TIMEOUT), want, next)
}

/// Returns the same for a script that lets the client wait until it gives up.
pub(crate) fn waiting(
    name: impl Into<String>,
    script: Script,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    case_in(name, move |transport| Setup::plain(transport, script.clone(), LIMIT), want, next).with_wait()
}

pub(crate) fn case_in(
    name: impl Into<String>,
    setup: impl Fn(TransportKind) -> Setup + Send + Sync + 'static,
    want: Want,
    next: impl Into<Option<NextStep>>,
) -> Case {
    let next = next.into();
    Case {
        name: name.into(),
        setup: Box::new(setup),
        want: [(want.clone(), next), (want, next)],
        requests: 1,
        connections: [[1; 2]; 2],
        is_race: false,
        waits: false,
        keeps_connections: false,
    }
}

impl Case {
    /// Sets the result on the blocking transport, where the two HTTP clients differ.
    pub(crate) fn on_blocking(mut self, want: Want, next: impl Into<Option<NextStep>>) -> Self {
        self.want[1] = (want, next.into());
        self
    }

    /// Expects that no request reaches the server, and that it has this many connections: one for each try to exchange a code.
    pub(crate) fn unsent(self, tries: [usize; 2]) -> Self {
        let refresh = tries.map(|tries| tries.min(1));
        self.with_requests(0).with_connections(refresh, tries)
    }

    pub(crate) fn with_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Sets how many connections each transport makes for a refresh, and for a code by the default retry policy.
    pub(crate) fn with_connections(mut self, refresh: [usize; 2], code: [usize; 2]) -> Self {
        self.connections = [refresh, code];
        self
    }

    /// Expects any number of connections: a try may end before or after it counts as connected, and only then is not repeated.
    pub(crate) fn with_race(mut self) -> Self {
        self.is_race = true;
        self
    }

    /// Marks a case in which each call ends at the client's own time limit.
    pub(crate) fn with_wait(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Marks a case in which the client keeps connections that the server then ends. The next call waits for that end.
    pub(crate) fn with_kept_connections(mut self) -> Self {
        self.keeps_connections = true;
        self
    }

    fn wait_for_end_of_connections(&self, setup: &Setup) {
        if self.keeps_connections {
            wait_until(|| setup.server.has_ended_all());
            setup.client.notice_closed_connections();
        }
    }

    fn assert_sent(&self, server: &Server, what: usize, transport: TransportKind) {
        let (requests, connections) = (server.requests().len(), server.connections());
        let expected = if self.is_race { connections } else { self.connections[what][transport as usize] };
        let name = ["refresh", "code"][what];
        assert_eq!(
            (requests, connections),
            (self.requests, expected),
            "requests and connections for a {name}"
        );
    }

    fn run(&self, transport: TransportKind) {
        let setup = (self.setup)(transport);
        let index = transport as usize;

        // RFC 6749 §4.1.2: a code must not be used twice.
        match setup.client.call(&exchange()) {
            Ok(tokens) => assert_eq!(tokens.access_token.expose(), "qZx7-new-access"),
            Err(error) => {
                assert_no_secret_in(&error);
                assert!(!matches!(self.want[index].0, Want::Tokens), "no tokens for a code: {error:?}");
                assert_ne!(error.next_step(), NextStep::Reauthorize, "a code is no grant: {error:?}");
            }
        }
        self.assert_sent(&setup.server, CODE, transport);
        self.wait_for_end_of_connections(&setup);

        let store = Arc::new(Store::default());
        let manager = Manager::over(&setup.client, Arc::clone(&store));
        let held = stored_tokens();
        manager.install_tokens_as(HUB, held.clone()).unwrap();
        let result = manager.refresh_now();
        self.assert_sent(&setup.server, REFRESH, transport);
        self.wait_for_end_of_connections(&setup);
        let (want, next) = &self.want[index];
        match (result, want) {
            (Ok(bearer), Want::Tokens) => assert_eq!(bearer, "Bearer qZx7-new-access"),
            (Ok(_), want) => panic!("new tokens where {want:?} was due"),
            (Err(error), want) => {
                assert_eq!(Some(error.next_step()), *next, "{error:?}");
                let TokenError::Call(error) = error else { panic!("{error:?}") };
                assert_no_secret_in(&error);
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

        setup.server.set_script(respond_with(response(200, "", good_token_response())), setup.tls.clone());
        store.rewrite(|record| record.retry = None);
        let another = Manager::over(&setup.good_client, Arc::clone(&store));
        let renewed = another.refresh_now().unwrap();
        assert_eq!(renewed, "Bearer qZx7-good-access");
        assert_eq!(manager.bearer_after_401(&bearer).unwrap(), renewed, "it finds it in the store");
        let requests = setup.server.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].contains(&format!("refresh_token={}", stored.expose())), "{requests:?}");

        for other in &setup.others {
            match other {
                Other::Untouched(server) => {
                    assert_eq!((server.connections(), server.received()), (0, String::new()));
                }
                Other::Blind(server) => {
                    assert!(!server.received().contains(SECRET_MARK), "{}", server.received())
                }
                Other::Refusing(socket) => assert!(socket.local_addr().is_ok()),
                Other::Silent((_, waiting)) => assert!(!waiting.is_empty()),
            }
        }
    }
}

/// Runs cases over both transports, a few at a time, and names all that failed. [`run_waiting`] runs those in which the client
/// waits.
pub(crate) fn run(cases: &[Case]) {
    run_all(cases.iter().filter(|case| !case.waits), 4);
}

/// Runs the cases in which the client waits over both transports, all at the same time.
pub(crate) fn run_waiting(cases: &[Case]) {
    run_all(cases.iter().filter(|case| case.waits), usize::MAX);
}

#[allow(clippy::print_stdout, reason = "the number of cases is part of the output")]
fn run_all<'c>(cases: impl Iterator<Item = &'c Case>, at_once: usize) {
    let runs: Vec<_> =
        cases.flat_map(|case| [(case, TransportKind::Async), (case, TransportKind::Blocking)]).collect();
    let turn = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(runs.len()) {
            scope.spawn(|| {
                while let Some((case, transport)) = runs.get(turn.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case.run(*transport))) {
                        let text = panic.downcast_ref::<String>().map(String::as_str);
                        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
                        failures.lock().unwrap().push(format!(
                            "{transport:?}: {}: {}",
                            case.name,
                            text.replace('\n', " ")
                        ));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{} cases over each transport", runs.len() / 2);
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), runs.len(), failures.join("\n"));
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
            (Self::ErrorResponse(status), Error::Api(error)) => assert_eq!(error.status.as_u16(), *status),
            (Self::Unusable(problems), Error::Response(error)) => {
                assert_eq!((&error.problems, &error.rescued.refresh_token), (problems, &None));
            }
            (Self::RescuedTokens(problems, rescued), Error::Response(response)) => {
                assert_eq!(&response.problems, problems);
                assert_eq!(error.rescued_refresh_token().map(RefreshToken::expose), Some(*rescued));
            }
            (want, error) => panic!("{error:?} where {want:?} was due"),
        }
    }
}

/// Asserts that no part of an error shows a secret.
pub(crate) fn assert_no_secret_in(error: &Error) {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        shown += &format!("{error} {error:?}");
        source = error.source();
    }
    assert!(!shown.contains(SECRET_MARK), "{shown}");
}
