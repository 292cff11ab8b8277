//! Servers, proxies and name services that misbehave, in more than 400 ways. Each way is tried over both transports. The tests
//! look at the error and its next step, at how often and where credentials were sent, and at the tokens that were stored before:
//! they must still work afterwards.

mod body;
mod callback;
mod case;
mod certificates;
mod compression;
mod connection;
mod framing;
mod name_and_port;
mod proxy;
mod redirect;
mod renewal_ahead;
mod reuse;
mod server;
mod setup;
mod status;
mod tls;

use case::{Case, run, run_waiting};

/// Leaves out the statuses from 400 to 599, which are many cases of one kind.
#[test]
#[allow(clippy::print_stdout, reason = "the number of cases is part of the output")]
fn there_are_more_than_400_cases_and_no_two_have_one_name() {
    let statuses = status::errors();
    assert_eq!(statuses.len(), 200);
    let cases = cases();
    let names: Vec<&String> = cases.iter().map(|case| &case.name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
    println!("{} cases and 200 statuses over each transport", names.len());
    assert!(names.len() > 400, "{}", names.len());
}

/// Runs those cases of all modules in which the server lets the client wait.
#[test]
fn a_client_that_the_server_lets_wait_gives_up_at_its_own_time_limit() {
    run_waiting(&cases());
}

fn cases() -> Vec<Case> {
    let cases = [
        body::cases(),
        compression::cases(),
        connection::cases(),
        framing::cases(),
        name_and_port::cases(),
        proxy::cases(),
        redirect::cases(),
        reuse::cases(),
        status::cases(),
        tls::cases(),
    ];
    cases.into_iter().flatten().collect()
}
