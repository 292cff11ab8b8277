//! Where every code, token and id comes from: the seed and a counter. The same seed gives the same ones in the same
//! order; nobody without it can tell the next.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac_sha256::Hash;
use hs_oauth_core::{AccessToken, Code, InvalidArgument, RefreshToken};

pub(crate) struct Minter {
    seed: [u8; 32],
    count: u64,
}

impl Minter {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// 130 visible characters; HubSpot's begin with a C too.
    pub(crate) fn access_token(&mut self) -> AccessToken {
        self.mint(|minter| {
            let parts = [(); 3].map(|()| URL_SAFE_NO_PAD.encode(minter.bytes("access token")));
            format!("C{}", parts.concat())
        })
    }

    /// `na1-` and a UUID.
    pub(crate) fn refresh_token(&mut self) -> RefreshToken {
        self.mint(|minter| format!("na1-{}", uuid(minter.bytes("refresh token"))))
    }

    pub(crate) fn code(&mut self) -> Code {
        self.mint(|minter| uuid(minter.bytes("code")))
    }

    pub(crate) fn ticket(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes("ticket"))
    }

    pub(crate) fn correlation_id(&mut self) -> String {
        uuid(self.bytes("correlation id"))
    }

    /// Text that looks like a signature and is none.
    pub(crate) fn signature(&self, of: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.keyed("signature", of.as_bytes()))
    }

    /// Eight digits by which a secret is known again and from which it cannot be found.
    pub(crate) fn fingerprint(&self, secret: &str) -> String {
        let [a, b, c, d, ..] = self.keyed("fingerprint", secret.as_bytes());
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }

    /// What the minter writes always has the form it needs, so the first try succeeds.
    fn mint<T>(&mut self, write: impl Fn(&mut Self) -> String) -> T
    where
        T: TryFrom<String, Error = InvalidArgument>,
    {
        loop {
            if let Ok(minted) = T::try_from(write(self)) {
                return minted;
            }
        }
    }

    fn bytes(&mut self, purpose: &str) -> [u8; 32] {
        self.count = self.count.wrapping_add(1);
        self.keyed(purpose, &self.count.to_be_bytes())
    }

    fn keyed(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        let mut hash = Hash::new();
        hash.update(self.seed);
        hash.update(purpose);
        hash.update([0]);
        hash.update(input);
        hash.finalize()
    }
}

/// A UUID of version 4 (RFC 9562 §5.4).
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
    fn the_same_seed_gives_the_same_tokens_and_another_gives_others() {
        let first = |seed| Minter::new([seed; 32]).access_token();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        let mut minter = Minter::new([1; 32]);
        assert_ne!(minter.refresh_token(), minter.refresh_token());
    }

    /// RFC 9562 §4.1 and §4.2.
    #[test]
    fn ids_are_uuids_with_version_and_variant() {
        let mut minter = Minter::new([3; 32]);
        for _ in 0..64 {
            let id = minter.correlation_id();
            let parts: Vec<_> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4'), "{id}");
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn tokens_have_the_form_of_hubspots() {
        let mut minter = Minter::new([3; 32]);
        let access_token = minter.access_token();
        assert!(access_token.expose().starts_with('C') && access_token.expose().len() == 130);
        assert!(minter.refresh_token().expose().starts_with("na1-"));
    }
}
