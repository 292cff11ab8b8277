//! Runs [`hs_oauth_fuzz::callback_query::check`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hs_oauth_fuzz::callback_query::check(data));

#[cfg(not(fuzzing))]
fn main() {}
