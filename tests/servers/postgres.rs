//! The store in PostgreSQL, over both drivers.

mod check;
mod contract;
mod failover;
mod faults;
mod stores;
mod writers;
