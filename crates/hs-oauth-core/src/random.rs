use std::time::Duration;

/// A stream of random numbers that all come from 32 random bytes (xoshiro256++).
///
/// For names that no two runs may share and for spreading waits; not for secrets.
#[derive(Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream of these bytes: the same bytes give the same numbers.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        // The stream of nothing but zeros would never leave zero.
        if state == [0; 4] {
            state = [0x9e37_79b9_7f4a_7c15; 4];
        }
        Self(state)
    }

    /// A stream of 32 bytes from the operating system.
    ///
    /// # Errors
    /// If the operating system gives none.
    #[cfg(feature = "os-random")]
    pub fn from_os() -> Result<Self, crate::RandomnessError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(crate::RandomnessError::new)?;
        Ok(Self::new(seed))
    }

    /// The next 64 bits.
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

    /// The next 128 bits.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// A number from 0 to `limit`, both included.
    pub fn up_to(&mut self, limit: u64) -> u64 {
        // The high half of a product is below the bound; the bias is far too small to matter here.
        let product = u128::from(self.next_u64()) * (u128::from(limit) + 1);
        u64::try_from(product >> 64).unwrap_or(limit)
    }

    /// A wait that grows and is spread: `first`, doubled `times` times up to `longest`, and of that anything from half to
    /// one and a half, in whole milliseconds.
    pub fn backoff(&mut self, first: Duration, times: u32, longest: Duration) -> Duration {
        let doubled = first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest);
        let half = u64::try_from(doubled.as_millis() / 2).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        Duration::from_millis(half + self.up_to(half * 2))
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation by Blackman and Vigna, seeded with 1, 2, 3, 4.
    #[test]
    fn the_numbers_are_those_of_the_reference() {
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
    fn a_backoff_doubles_to_its_limit_and_is_spread_around_that() {
        let mut random = Random::new([7; 32]);
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        for (times, middle) in [(0, 100), (1, 200), (3, 800), (4, 1000), (40, 1000), (u32::MAX, 1000)] {
            let waits: Vec<_> = (0..100).map(|_| random.backoff(first, times, longest).as_millis()).collect();
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
