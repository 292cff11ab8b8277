//! Random numbers for the identifiers and the waits of a run. No secret depends on them.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use hs_oauth_core::Random;

/// Returns a stream of random numbers that no other run has, in this process or another.
pub fn random() -> Random {
    Random::from_os().unwrap_or_else(|_| {
        // The keys of a hasher differ in every thread and every process.
        let mut seed = [0; 32];
        for (word, number) in seed.as_chunks_mut::<8>().0.iter_mut().zip(0_u64..) {
            *word = RandomState::new().hash_one((number, SystemTime::now())).to_le_bytes();
        }
        Random::new(seed)
    })
}
