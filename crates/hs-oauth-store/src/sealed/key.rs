use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hs_oauth_core::NextStep;
use zeroize::Zeroizing;

use crate::secret_bytes::SecretBytes;

/// The size of a nonce in bytes. It is large enough that random nonces never repeat, however much is written.
pub(super) const NONCE_SIZE: usize = 24;

/// The longest key ID, in bytes.
const MAX_ID_SIZE: usize = 32;

/// A key that seals records, with the ID that names it in the store. `Debug` shows only the ID. The key is wiped when it is
/// dropped.
pub struct SealingKey {
    id: String,
    // On the heap, so that moving a `SealingKey` leaves no copy of the key behind.
    key: Box<Zeroizing<[u8; 32]>>,
}

/// The keys of a sealed store: the current key, which seals and opens, and any number of other keys, which only open.
#[derive(Debug)]
pub struct Keys {
    current: SealingKey,
    others: Vec<SealingKey>,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The ID is empty, is longer than 32 bytes, or has a character other than `A-Z a-z 0-9 . _ -`.
    #[error("a key ID must have 1 to 32 characters of A-Z a-z 0-9 . _ -")]
    Id,
    /// Two keys have the same ID.
    #[error("two keys have the same ID")]
    SameId,
}

impl InvalidKey {
    /// Returns what to do next: fix the configuration of the keys.
    pub const fn next_step(&self) -> NextStep {
        NextStep::FixConfiguration
    }
}

impl SealingKey {
    /// Creates a key from 32 random bytes and an ID.
    ///
    /// The ID has 1 to 32 characters of `A-Z a-z 0-9 . _ -`. It is stored with every record that the key seals, so it must not
    /// be a secret. Never use the ID of one key for another key.
    ///
    /// # Errors
    /// [`InvalidKey::Id`] if the ID does not have that form.
    pub fn new(id: &str, key: [u8; 32]) -> Result<Self, InvalidKey> {
        let key = Box::new(Zeroizing::new(key));
        match is_id(id) {
            true => Ok(Self { id: id.to_owned(), key }),
            false => Err(InvalidKey::Id),
        }
    }

    /// Returns the ID that names this key in the store.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the ciphertext with its tag, or `None` if `text` is longer than the cipher allows (256 GiB).
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_SIZE],
        associated_data: &str,
        text: &[u8],
    ) -> Option<Vec<u8>> {
        let payload = Payload { msg: text, aad: associated_data.as_bytes() };
        self.cipher().encrypt(&XNonce::from(*nonce), payload).ok()
    }

    /// Returns the text, or `None` if it was not sealed with this key, this nonce and this associated data.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_SIZE],
        associated_data: &str,
        ciphertext: &[u8],
    ) -> Option<SecretBytes> {
        let payload = Payload { msg: ciphertext, aad: associated_data.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok().map(SecretBytes::from)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&**self.key).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).field("key", &format_args!("[redacted]")).finish()
    }
}

impl Keys {
    /// Creates a set of keys with `current` as the key that seals. It also opens.
    pub const fn new(current: SealingKey) -> Self {
        Self { current, others: Vec::new() }
    }

    /// Adds a key that only opens: an older key, or the next one.
    ///
    /// # Errors
    /// [`InvalidKey::SameId`] if the set already has a key with that ID.
    pub fn with_key(mut self, key: SealingKey) -> Result<Self, InvalidKey> {
        if self.find(&key.id).is_some() {
            return Err(InvalidKey::SameId);
        }
        self.others.push(key);
        Ok(self)
    }

    pub(super) const fn current(&self) -> &SealingKey {
        &self.current
    }

    pub(super) fn find(&self, id: &str) -> Option<&SealingKey> {
        [&self.current].into_iter().chain(&self.others).find(|key| key.id == id)
    }
}

/// Returns whether `id` has the form of a key ID.
pub(super) fn is_id(id: &str) -> bool {
    (1..=MAX_ID_SIZE).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_gives_the_ciphertext_of_the_draft() {
        let mut bytes = [0; 32];
        (0x80..).zip(&mut bytes).for_each(|(value, byte)| *byte = value);
        let key = SealingKey::new("test", bytes).unwrap();
        let mut nonce = [0; NONCE_SIZE];
        (0x40..).zip(&mut nonce).for_each(|(value, byte)| *byte = value);
        let text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                    sunscreen would be it.";
        let associated_data = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let payload = Payload { msg: text.as_bytes(), aad: &associated_data };
        let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload).unwrap();
        assert_eq!(sealed[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        assert_eq!(
            sealed[text.len()..],
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49]
        );
    }

    #[test]
    fn debug_shows_the_id_of_a_key_and_not_the_key() {
        let keys = Keys::new(SealingKey::new("2026-09", [65; 32]).unwrap());
        let shown = format!("{keys:?}");
        assert!(shown.contains("2026-09") && shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("65") && !shown.contains("AA"), "{shown}");
    }

    #[test]
    fn a_key_id_is_short_and_plain_and_no_two_keys_have_the_same_id() {
        for id in ["", " ", "a b", "a\n", "a/b", "ä", &"a".repeat(33)] {
            assert_eq!(SealingKey::new(id, [0; 32]).unwrap_err(), InvalidKey::Id, "{id}");
        }
        let key = |id: &str| SealingKey::new(id, [0; 32]).unwrap();
        assert!(Keys::new(key(&"a".repeat(32))).with_key(key("A.b_c-9")).is_ok());
        assert_eq!(Keys::new(key("a")).with_key(key("a")).unwrap_err(), InvalidKey::SameId);
        assert_eq!(
            Keys::new(key("a")).with_key(key("b")).unwrap().with_key(key("b")).unwrap_err(),
            InvalidKey::SameId
        );
    }
}
