//! Timings, one file for each section of the report. They are reported and never checked, since they depend on what else the machine does.

pub mod accounts;
pub mod bearers;
pub mod clock;
pub mod growth;
pub mod loopback;
pub mod minute;
pub mod program;
#[cfg(feature = "stores")]
pub mod stores;
pub mod storms;
pub mod trees;
