//! Fuzz targets: what a hostile server, browser or disk can send, and what must hold for any such input.
//!
//! **In here**: one module for each target. Its `check` takes an input, and panics if a property does not hold. **Not in here**: where
//! the inputs come from. `fuzz_targets/` has the entry points for libFuzzer. `stable` is a driver without coverage, for stable Rust.

pub mod callback_query;
pub mod emulator_request;
pub mod error_body;
mod fill;
mod http_text;
mod json;
pub mod retry_after;
pub mod stored_record;
pub mod success_body;

/// The name of a target, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order in which the drivers run them.
pub const TARGETS: [Target; 6] = [
    ("success_body", success_body::check),
    ("error_body", error_body::check),
    ("callback_query", callback_query::check),
    ("stored_record", stored_record::check),
    ("retry_after", retry_after::check),
    ("emulator_request", emulator_request::check),
];

const SENT_AT: hs_oauth_core::Timestamp = hs_oauth_core::Timestamp::from_secs(1_790_000_000);
const VERSIONS: [&str; 4] = hs_oauth_emulator::SERVED_VERSIONS;
