//! The declaration of secret types.

use subtle::ConstantTimeEq;

/// Declares the type of a secret, with the name of the argument that errors mention and the bytes that the text may have.
macro_rules! secret_type {
    ($(#[$doc:meta])* $name:ident, $argument:literal, $allowed:expr) => {
        $(#[$doc])*
        ///
        /// `Debug` prints it as `[redacted]`. Serialization writes the text in the clear.
        #[derive(Clone, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns a secret with this text.
            ///
            /// # Errors
            #[doc = concat!("[`InvalidArgument`] for `", $argument, "` if the text is empty, is longer than [`MAX_SECRET_SIZE`]")]
            /// bytes, has a character that is not allowed, or is `.` or `..`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidArgument> {
                let secret = Self(text.into());
                check(&secret.0, $allowed).map_err(|kind| InvalidArgument::new($argument, kind))?;
                Ok(secret)
            }

            /// Returns the secret text. The caller is responsible for where it goes.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// Returns a form that tells secrets apart on a screen and is of no use as a secret: the first four characters and
            /// the length, as in `CKDZ… (72 characters)`. A text of fewer than 24 characters is shown by its length alone.
            pub fn masked(&self) -> String {
                masked(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                drop(wiped(std::mem::take(&mut self.0)));
            }
        }

        impl PartialEq for $name {
            /// Compares in constant time.
            fn eq(&self, other: &Self) -> bool {
                are_equal(self.0.as_bytes(), other.0.as_bytes())
            }
        }

        impl Eq for $name {}

        impl FromStr for $name {
            type Err = InvalidArgument;

            fn from_str(text: &str) -> Result<Self, InvalidArgument> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidArgument;

            fn try_from(text: String) -> Result<Self, InvalidArgument> {
                Self::new(text)
            }
        }

        // Not derived: the derived error would quote a value of another type.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer);
                let text = text.map_err(|_| D::Error::custom(concat!("`", $argument, "` is not a string")))?;
                Self::new(text).map_err(D::Error::custom)
            }
        }
    };
}
pub(super) use secret_type;

/// Overwrites the whole capacity with zeros. This is what `Zeroize` does, but in one step and not byte by byte.
#[inline]
pub fn wipe(bytes: &mut Vec<u8>) {
    let capacity = bytes.capacity();
    bytes.clear();
    bytes.resize(capacity, 0);
    zeroize::optimization_barrier(bytes.as_slice());
}

/// Returns the bytes of the text, overwritten with zeros.
#[inline]
pub(super) fn wiped(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    wipe(&mut bytes);
    bytes
}

/// Returns whether both are the same, in a time that depends on their lengths alone. It compares eight bytes at a time, since `subtle` takes as
/// long for one.
pub(super) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks();
    let (other_words, other_rest) = other.as_chunks();
    if words.len() != other_words.len() {
        return false;
    }
    let pairs = words.iter().zip(other_words);
    let equal = pairs.fold(rest.ct_eq(other_rest), |equal, (word, other)| {
        equal & u64::from_ne_bytes(*word).ct_eq(&u64::from_ne_bytes(*other))
    });
    equal.into()
}

/// Returns the masked form of a secret text.
pub(super) fn masked(text: &str) -> String {
    let shown = if text.len() < 24 { "" } else { text.get(..4).unwrap_or("") };
    format!("{shown}… ({} characters)", text.len())
}
