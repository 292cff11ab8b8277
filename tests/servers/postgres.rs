//! The store in PostgreSQL, over both drivers.

mod contract;
mod faults;
mod stores;
mod writers;
