//! Runs [`hs_oauth_fuzz::emulator_request::check`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hs_oauth_fuzz::emulator_request::check(data));

#[cfg(not(fuzzing))]
fn main() {}
