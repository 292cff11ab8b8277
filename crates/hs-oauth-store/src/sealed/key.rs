use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// The bytes of a nonce: enough that random ones never meet, however much is written.
pub(super) const NONCE: usize = 24;

const LONGEST_ID: usize = 32;

/// A key that records are sealed with, and the name it goes by in the store. `Debug` shows only the name; the key is wiped when
/// dropped.
pub struct SealingKey {
    id: String,
    // On the heap, where moving it about leaves no copies.
    key: Box<Zeroizing<[u8; 32]>>,
}

/// The keys a store is sealed with: one that seals, and any number that only open.
#[derive(Debug)]
pub struct Keys {
    current: SealingKey,
    others: Vec<SealingKey>,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The name is empty, longer than 32 or has another character than `A-Z a-z 0-9 . _ -`.
    #[error("a key's name is 1 to 32 of A-Z a-z 0-9 . _ -")]
    Id,
    /// Two keys have the same name.
    #[error("two keys have the same name")]
    SameId,
}

impl SealingKey {
    /// Takes 32 random bytes, and a name of 1 to 32 of `A-Z a-z 0-9 . _ -` that stands in every record they seal: not a secret,
    /// and never used for another key.
    ///
    /// # Errors
    /// [`InvalidKey::Id`] if the name is not one.
    pub fn new(id: &str, key: [u8; 32]) -> Result<Self, InvalidKey> {
        let key = Box::new(Zeroizing::new(key));
        match is_id(id) {
            true => Ok(Self { id: id.to_owned(), key }),
            false => Err(InvalidKey::Id),
        }
    }

    /// The name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The ciphertext with its tag; none if `text` is longer than the cipher takes, which is 256 GiB.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], bound_to: &str, text: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: text, aad: bound_to.as_bytes() };
        self.cipher().encrypt(&XNonce::from(*nonce), payload).ok()
    }

    /// The text; none unless it was sealed with this key, this nonce and this binding.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE],
        bound_to: &str,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: bound_to.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
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
    /// The key that seals. It opens, too.
    pub const fn new(current: SealingKey) -> Self {
        Self { current, others: Vec::new() }
    }

    /// Also opens what is sealed with this key: an older one, or the next.
    ///
    /// # Errors
    /// [`InvalidKey::SameId`] if there is a key of that name already.
    pub fn and(mut self, key: SealingKey) -> Result<Self, InvalidKey> {
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

pub(super) fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_is_the_one_of_the_draft() {
        let mut bytes = [0; 32];
        (0x80..).zip(&mut bytes).for_each(|(value, byte)| *byte = value);
        let key = SealingKey::new("test", bytes).unwrap();
        let mut nonce = [0; NONCE];
        (0x40..).zip(&mut nonce).for_each(|(value, byte)| *byte = value);
        let text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                    sunscreen would be it.";
        let bound = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let payload = Payload { msg: text.as_bytes(), aad: &bound };
        let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload).unwrap();
        assert_eq!(sealed[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        assert_eq!(
            sealed[text.len()..],
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49]
        );
    }

    #[test]
    fn a_key_shows_its_name_and_not_itself() {
        let keys = Keys::new(SealingKey::new("2026-09", [65; 32]).unwrap());
        let shown = format!("{keys:?}");
        assert!(shown.contains("2026-09") && shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("65") && !shown.contains("AA"), "{shown}");
    }

    #[test]
    fn a_name_is_short_and_plain_and_no_two_keys_have_the_same() {
        for id in ["", " ", "a b", "a\n", "a/b", "ä", &"a".repeat(33)] {
            assert_eq!(SealingKey::new(id, [0; 32]).unwrap_err(), InvalidKey::Id, "{id}");
        }
        let key = |id: &str| SealingKey::new(id, [0; 32]).unwrap();
        assert!(Keys::new(key(&"a".repeat(32))).and(key("A.b_c-9")).is_ok());
        assert_eq!(Keys::new(key("a")).and(key("a")).unwrap_err(), InvalidKey::SameId);
        assert_eq!(Keys::new(key("a")).and(key("b")).unwrap().and(key("b")).unwrap_err(), InvalidKey::SameId);
    }
}
