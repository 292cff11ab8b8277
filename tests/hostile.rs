//! The hostile world: a server, a proxy or a name service that misbehaves in every way we could think of. For each way, over
//! both transports: the error and its next step, how often and where credentials were sent, and that the tokens held before
//! still work after.

mod ahead;
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
mod reuse;
mod server;
mod status;
mod tls;
mod world;

use case::run;

/// Without the statuses from 400 to 599, which are many cases of one kind.
#[test]
#[allow(clippy::print_stdout, reason = "how many cases there are is asked for")]
fn there_are_more_than_400_cases_and_no_two_have_one_name() {
    let statuses = status::refusals();
    assert_eq!(statuses.len(), 200);
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
    let names: Vec<&String> = cases.iter().flatten().map(|case| &case.name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
    println!("{} cases and 200 statuses over each transport", names.len());
    assert!(names.len() > 400, "{}", names.len());
}
