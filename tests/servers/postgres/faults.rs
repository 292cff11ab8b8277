//! Faults of the server and of the network. Under each of them no acknowledged write is lost, no version is given out twice, and the
//! writers go on when the fault is over.

use std::time::Duration;

use super::stores::{MODES, create, store};
use crate::writers::Writers;
use hs_oauth_test_servers::relay::{Network, Relay};
use hs_oauth_test_servers::server::postgres::{Postgres, new_table_name};

/// A server behind a relay, with writers of every mode, two stores each.
struct Setup {
    server: Postgres,
    relay: Relay,
    writers: Vec<Writers>,
}

impl Setup {
    async fn start() -> Self {
        let server = Postgres::start().await;
        let relay = Relay::start(server.address());
        let writers = writers(&server, &Postgres::url(relay.address())).await;
        Self { server, relay, writers }
    }

    /// Waits until every writer has written since now.
    async fn make_progress(&self) {
        for writers in &self.writers {
            writers.make_progress().await;
        }
    }

    /// Ends the writers. Returns how many calls failed.
    async fn end(self) -> usize {
        let mut failures = 0;
        for writers in self.writers {
            failures += writers.end().await;
        }
        failures
    }
}

/// Starts writers on tables of this server's, which they reach through `url`.
async fn writers(server: &Postgres, url: &str) -> Vec<Writers> {
    let mut writers = Vec::new();
    for mode in MODES {
        let table = new_table_name();
        create(&Postgres::url(server.address()), &table).await;
        let stores = vec![store(mode, url, &table, 4), store(mode, url, &table, 4)];
        writers.push(Writers::start(&format!("{mode:?}"), stores).await);
    }
    writers
}

async fn for_a_while(duration: Duration) {
    tokio::time::sleep(duration).await;
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_ended_by_the_server() {
    let setup = Setup::start().await;
    let admin = setup.server.admin().await;
    for _ in 0..5 {
        end_connections(&admin).await;
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

async fn end_connections(admin: &tokio_postgres::Client) {
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity \
                 where backend_type = 'client backend' and pid <> pg_backend_pid()";
    admin.execute(ended, &[]).await.unwrap();
}

/// A frozen host: the kernel still accepts connections, and nobody answers on them.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_frozen_for_three_seconds() {
    let setup = Setup::start().await;
    setup.server.process().freeze();
    for_a_while(3 * SECOND).await;
    setup.server.process().thaw();
    setup.make_progress().await;
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_crashes_and_recovers() {
    let mut setup = Setup::start().await;
    for _ in 0..3 {
        setup.server.crash();
        setup.server.begin();
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_restarted() {
    let mut setup = Setup::start().await;
    setup.server.stop();
    for_a_while(SECOND).await;
    setup.server.begin();
    setup.make_progress().await;
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_reset() {
    let setup = Setup::start().await;
    for _ in 0..5 {
        setup.relay.set_present(Network::Resets);
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

/// For longer than a call may take: what arrives late must not be taken for the answer to something else.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_stalled_and_then_delivered() {
    let setup = Setup::start().await;
    for duration in [SECOND / 2, 3 * SECOND] {
        setup.relay.set_all(Network::Stalls);
        for_a_while(duration).await;
        setup.relay.set_all(Network::Passes);
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_acts_and_its_answers_are_lost() {
    let setup = Setup::start().await;
    for _ in 0..2 {
        setup.relay.set_present(Network::SwallowsAnswers);
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_dead_without_a_word() {
    let setup = Setup::start().await;
    for _ in 0..2 {
        setup.relay.set_present(Network::Swallows);
        setup.make_progress().await;
    }
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_are_dead_too_for_three_seconds() {
    let setup = Setup::start().await;
    setup.relay.set_all(Network::Swallows);
    for_a_while(3 * SECOND).await;
    setup.relay.set_new(Network::Passes);
    setup.make_progress().await;
    assert!(setup.end().await > 0, "the fault was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_happens_in_turn() {
    let mut setup = Setup::start().await;
    let relay = &setup.relay;
    end_connections(&setup.server.admin().await).await;
    for network in [Network::Resets, Network::SwallowsAnswers, Network::Swallows] {
        relay.set_present(network);
        for_a_while(SECOND).await;
    }
    relay.set_all(Network::Stalls);
    setup.server.process().freeze();
    for_a_while(2 * SECOND).await;
    setup.server.process().thaw();
    setup.relay.set_all(Network::Passes);
    setup.server.crash();
    setup.server.begin();
    setup.make_progress().await;
    assert!(setup.end().await > 0, "the fault was one");
}
