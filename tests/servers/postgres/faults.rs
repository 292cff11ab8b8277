//! Faults of the server and of the network. Under each of them no acknowledged write is lost, no version is given out twice, and the
//! writers go on when the fault is over.

use std::time::Duration;

use hs_oauth_test_servers::relay::Network;
use hs_oauth_test_servers::server::postgres::{Postgres, new_table_name};
use hs_oauth_test_servers::site::{Fault, Server, Site};

use super::stores::{MODES, create, store};
use crate::writers::Writers;

/// A server behind a relay, with writers of every mode, two stores each.
struct Setup {
    site: Site,
    writers: Vec<Writers>,
}

impl Setup {
    async fn start() -> Self {
        let site = Site::new(Server::Postgres(Postgres::start().await));
        let writers = writers(&site).await;
        Self { site, writers }
    }

    /// Makes a fault, again and again, and waits each time until every writer has written again.
    async fn survives(mut self, fault: Fault, times: usize) {
        for _ in 0..times {
            self.site.make(fault).await;
            self.make_progress().await;
        }
        assert!(self.end().await > 0, "the fault was one");
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

/// Starts writers on tables of their own.
async fn writers(site: &Site) -> Vec<Writers> {
    let mut writers = Vec::new();
    for mode in MODES {
        let table = new_table_name();
        create(&Postgres::url(site.server.address()), &table).await;
        let stores = vec![store(mode, &site.url(), &table, 4), store(mode, &site.url(), &table, 4)];
        writers.push(Writers::start(&format!("{mode:?}"), stores).await);
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_ended_by_the_server() {
    Setup::start().await.survives(Fault::ConnectionsEnded, 5).await;
}

/// A frozen host: the kernel still accepts connections, and nobody answers on them.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_frozen_for_three_seconds() {
    Setup::start().await.survives(Fault::Frozen, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_crashes_and_recovers() {
    Setup::start().await.survives(Fault::Crash, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_restarted() {
    Setup::start().await.survives(Fault::Restart, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_reset() {
    Setup::start().await.survives(Fault::Reset, 5).await;
}

/// For longer than a call may take: what arrives late must not be taken for the answer to something else.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_stalled_and_then_delivered() {
    let setup = Setup::start().await;
    setup.site.relay.set_all(Network::Stalls);
    tokio::time::sleep(Duration::from_millis(500)).await;
    setup.site.relay.set_all(Network::Passes);
    setup.make_progress().await;
    setup.survives(Fault::Stalled, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_acts_and_its_answers_are_lost() {
    Setup::start().await.survives(Fault::AnswersLost, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_dead_without_a_word() {
    Setup::start().await.survives(Fault::Dead, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_are_dead_too_for_three_seconds() {
    Setup::start().await.survives(Fault::NewDeadToo, 1).await;
}

/// The next fault comes while the writers still have the one before.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_happens_in_turn() {
    let mut setup = Setup::start().await;
    for fault in Fault::that_lose_nothing() {
        setup.site.make(fault).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    setup.make_progress().await;
    assert!(setup.end().await > 0, "the fault was one");
}
