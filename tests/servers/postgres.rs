//! The store in PostgreSQL, over both drivers.

mod calls;
mod check;
mod clients;
mod contract;
mod failover;
mod faults;
mod managers;
mod records;
mod secrets;
pub(crate) mod stores;
