//! Bytes that may hold tokens.

use std::ops::{Deref, DerefMut};
use std::{fmt, io};

use hs_oauth_core::wipe;

/// Bytes that may hold tokens, for the crates of stores. They are overwritten with zeros when they are dropped, their spare capacity too.
///
/// Writing to it leaves no copy behind when it grows; changing the vector itself may.
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Returns an empty buffer with room for so many bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    #[cold]
    fn make_room(&mut self, more: usize) {
        let mut larger = Self::with_capacity((self.len() + more).next_power_of_two());
        larger.extend_from_slice(self);
        *self = larger;
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for SecretBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for SecretBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl io::Write for SecretBytes {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // serde_json writes many texts of a byte each.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.capacity() - self.len() {
            self.make_room(bytes.len());
        }
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_whole_capacity_is_zero_after_a_wipe() {
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(b"canary, then a shorter one");
        bytes.truncate(6);
        let address = bytes.as_ptr();
        wipe(&mut bytes);
        assert_eq!((bytes.as_ptr(), bytes.len()), (address, 100));
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_is_written_is_whole_however_often_the_buffer_grows() {
        let mut bytes = SecretBytes::with_capacity(3);
        for text in ["", "a", "bc", "def", &"x".repeat(100)] {
            bytes.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(**bytes, *format!("abcdef{}", "x".repeat(100)).as_bytes());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SecretBytes::from(b"canary".to_vec())), "SecretBytes([redacted])");
    }
}
