//! Generates every code, token and id from a seed and a counter. The same seed gives the same values in the same order.
//! Without the seed, nobody can predict the next one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac_sha256::Hash;
use hs_oauth_core::{AccessToken, Code, InvalidArgument, RefreshToken};

pub(crate) struct TokenGenerator {
    seed: [u8; 32],
    count: u64,
}

impl TokenGenerator {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// Returns how many values were generated so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Goes on after this many values, unless it is further already.
    pub(crate) fn skip_to(&mut self, count: u64) {
        self.count = self.count.max(count);
    }

    /// Returns an access token of 130 printable characters. It begins with a `C`, as HubSpot's do.
    pub(crate) fn access_token(&mut self) -> AccessToken {
        self.generate(|generator| {
            let parts = [(); 3].map(|()| URL_SAFE_NO_PAD.encode(generator.bytes("access token")));
            format!("C{}", parts.concat())
        })
    }

    /// Returns a refresh token: `na1-` and a UUID.
    pub(crate) fn refresh_token(&mut self) -> RefreshToken {
        self.generate(|generator| format!("na1-{}", uuid(generator.bytes("refresh token"))))
    }

    pub(crate) fn code(&mut self) -> Code {
        self.generate(|generator| uuid(generator.bytes("code")))
    }

    pub(crate) fn ticket(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes("ticket"))
    }

    pub(crate) fn correlation_id(&mut self) -> String {
        uuid(self.bytes("correlation id"))
    }

    /// Returns text that looks like a signature of `token`. Nobody can verify it.
    pub(crate) fn signature(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.hash("signature", token.as_bytes()))
    }

    /// Returns eight hexadecimal digits. The same secret has the same digits, but the secret cannot be found from them.
    pub(crate) fn fingerprint(&self, secret: &str) -> String {
        let [a, b, c, d, ..] = self.hash("fingerprint", secret.as_bytes());
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }

    /// Returns the first text of `write` that is a valid `T`. Every text that the generator writes is valid, so the
    /// first try succeeds.
    fn generate<T>(&mut self, write: impl Fn(&mut Self) -> String) -> T
    where
        T: TryFrom<String, Error = InvalidArgument>,
    {
        loop {
            if let Ok(generated) = T::try_from(write(self)) {
                return generated;
            }
        }
    }

    /// Counts one up and returns the hash of the new count.
    fn bytes(&mut self, purpose: &str) -> [u8; 32] {
        self.count = self.count.wrapping_add(1);
        self.hash(purpose, &self.count.to_be_bytes())
    }

    /// Returns the hash of the seed, the purpose and the input. Values for different purposes have nothing in common.
    fn hash(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        let mut hash = Hash::new();
        hash.update(self.seed);
        hash.update(purpose);
        hash.update([0]);
        hash.update(input);
        hash.finalize()
    }
}

/// Formats the first 16 bytes as a UUID of version 4 (RFC 9562 §5.4).
fn uuid(bytes: [u8; 32]) -> String {
    let bits = bytes.first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let part = |shift: u32, digits: u32| bits >> shift & ((1 << (4 * digits)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_another_seed_gives_others() {
        let first = |seed| TokenGenerator::new([seed; 32]).access_token();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        let mut generator = TokenGenerator::new([1; 32]);
        assert_ne!(generator.refresh_token(), generator.refresh_token());
    }

    /// RFC 9562 §4.1 and §4.2.
    #[test]
    fn ids_are_uuids_with_a_version_and_a_variant() {
        let mut generator = TokenGenerator::new([3; 32]);
        for _ in 0..64 {
            let id = generator.correlation_id();
            let parts: Vec<_> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4'), "{id}");
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn tokens_have_the_form_of_hubspots_tokens() {
        let mut generator = TokenGenerator::new([3; 32]);
        let access_token = generator.access_token();
        assert!(access_token.expose().starts_with('C') && access_token.expose().len() == 130);
        assert!(generator.refresh_token().expose().starts_with("na1-"));
    }
}
