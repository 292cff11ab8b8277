//! Runs [`hs_oauth_fuzz::success_body::check`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hs_oauth_fuzz::success_body::check(data));

#[cfg(not(fuzzing))]
fn main() {}
