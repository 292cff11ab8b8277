//! Throw-away servers of Debian's packages, and a network in front of them that misbehaves when it is asked to.
//!
//! Tests and benchmarks use this. A server that cannot be started, and a condition that does not come true, are panics that say why.

pub mod relay;
pub mod server;
pub mod wait;
