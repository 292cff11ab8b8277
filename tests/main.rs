//! Tests that need several crates. They are one binary, and each module is named after what it proves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod both;
mod canary;
mod documents;
mod engine;
mod hostile;
mod manager;
mod raw_server;
mod round_trip;
mod scenarios;
mod simulation;
mod specifications;
mod transport;
mod wait;
