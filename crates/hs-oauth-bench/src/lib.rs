//! The costs of `hs-oauth`, compared with what an application would use instead. Each contestant does the same work, which is counted and
//! timed.
//!
//! Not for applications. [`work`] has the tasks and the contestants, [`counts`] counts instructions and allocations, [`timings`] takes
//! times, [`server`] responds to requests, and [`report`] writes the results with [`chart`]s.

pub mod chart;
mod contestants;
pub mod counts;
pub mod given;
pub mod report;
pub mod server;
pub mod timings;
pub mod work;
