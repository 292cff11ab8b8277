//! The store in PostgreSQL, over both drivers.

mod contract;
pub(crate) mod stores;
