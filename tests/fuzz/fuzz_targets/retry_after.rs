//! Runs [`hs_oauth_fuzz::retry_after::check`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hs_oauth_fuzz::retry_after::check(data));

#[cfg(not(fuzzing))]
fn main() {}
