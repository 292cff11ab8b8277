//! What `hs-oauth` costs, beside what one would use instead: the same work done by everyone, counted and timed.
//!
//! Not for applications. [`work`] is what is done, and by whom; [`counts`] counts it, [`timings`] times it, [`server`] answers to
//! it, and [`report`] writes down what came of it, with [`chart`]s.

pub mod chart;
mod contestants;
pub mod counts;
pub mod given;
pub mod report;
pub mod server;
pub mod timings;
pub mod work;
