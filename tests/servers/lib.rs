//! Throw-away servers of Debian's packages, a network in front of them that misbehaves when it is asked to, and the faults that they can have.
//!
//! Tests and benchmarks use this. A server that cannot be started, and a condition that does not come true, are panics that say why.

pub mod program;
pub mod relay;
pub mod server;
pub mod site;
pub mod wait;
