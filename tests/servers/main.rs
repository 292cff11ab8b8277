//! The stores for fleets over real servers. Each test says which fault it makes, and what must hold under it.

mod command_line;
mod managers;
mod postgres;
mod redis;
mod sealed;
mod writers;
