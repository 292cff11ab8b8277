//! Random numbers that are not secret.

use std::time::Duration;

#[cfg(feature = "os-random")]
use crate::next_step::NextStep;

/// A stream of random numbers from a seed of 32 random bytes (xoshiro256++).
///
/// It makes the identifiers of runs and grants unique and spreads waits. It must not be used for secrets.
#[derive(Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// Returns the stream of this seed. The same seed gives the same numbers.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        // From a state of zeros the stream would give nothing but zeros.
        if state == [0; 4] {
            state = [0x9e37_79b9_7f4a_7c15; 4];
        }
        Self(state)
    }

    /// Returns a stream whose seed comes from the operating system.
    ///
    /// # Errors
    /// [`RandomnessError`] if the operating system gives no random bytes.
    #[cfg(feature = "os-random")]
    pub fn from_os() -> Result<Self, RandomnessError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(RandomnessError::new)?;
        Ok(Self::new(seed))
    }

    /// Returns the next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Returns the next 128 random bits.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// Returns a random number from 0 to `limit`, both included.
    pub fn up_to(&mut self, limit: u64) -> u64 {
        // The high half of the product is at most `limit`. The bias is far too small to matter here.
        let product = u128::from(self.next_u64()) * (u128::from(limit) + 1);
        u64::try_from(product >> 64).unwrap_or(limit)
    }

    /// Returns a random wait of whole milliseconds that grows with each failure.
    ///
    /// Its middle is `first`, doubled `times` times, and `max` at most. The wait is between half of that and one and a half of it.
    pub fn backoff(&mut self, first: Duration, times: u32, max: Duration) -> Duration {
        let doubled = first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(max);
        let half = u64::try_from(doubled.as_millis() / 2).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        Duration::from_millis(half + self.up_to(half * 2))
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

/// Why the operating system gave no random bytes.
#[cfg(feature = "os-random")]
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {_0}")]
pub struct RandomnessError(String);

#[cfg(feature = "os-random")]
impl RandomnessError {
    pub(crate) fn new(error: getrandom::Error) -> Self {
        Self(error.to_string())
    }

    /// Returns what to do next: fix the host, whose operating system has no source of randomness.
    pub const fn next_step(&self) -> NextStep {
        NextStep::FixConfiguration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation by Blackman and Vigna, seeded with 1, 2, 3, 4.
    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        let mut seed = [0; 32];
        for (at, byte) in [(0, 1), (8, 2), (16, 3), (24, 4)] {
            seed[at] = byte;
        }
        let mut random = Random::new(seed);
        let numbers: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn a_bounded_number_reaches_both_ends_and_stays_between_them() {
        let mut random = Random::new([7; 32]);
        let numbers: Vec<u64> = (0..200).map(|_| random.up_to(3)).collect();
        for number in 0..=3 {
            assert!(numbers.contains(&number));
        }
        assert!(numbers.iter().all(|number| *number <= 3));
        assert_eq!(random.up_to(0), 0);
        random.up_to(u64::MAX);
    }

    #[test]
    fn a_backoff_doubles_up_to_its_limit_and_is_spread_around_its_middle() {
        let mut random = Random::new([7; 32]);
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(1));
        for (times, middle) in [(0, 100), (1, 200), (3, 800), (4, 1000), (40, 1000), (u32::MAX, 1000)] {
            let waits: Vec<_> = (0..100).map(|_| random.backoff(first, times, max).as_millis()).collect();
            assert!(
                waits.iter().all(|wait| (middle / 2..=middle * 3 / 2).contains(wait)),
                "{times}: {waits:?}"
            );
            assert!(waits.iter().max() > waits.iter().min());
        }
        random.backoff(Duration::MAX, u32::MAX, Duration::MAX);
    }

    #[test]
    fn no_seed_gives_a_stream_of_zeros() {
        assert_ne!(Random::new([0; 32]).next_u64(), 0);
    }
}
