//! Runs [`hs_oauth_fuzz::stored_record::check`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hs_oauth_fuzz::stored_record::check(data));

#[cfg(not(fuzzing))]
fn main() {}
