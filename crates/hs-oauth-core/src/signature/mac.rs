//! What each version of a signature covers, and how it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::{HMAC, Hash};

use super::RequestSignatureVersion;

/// A SHA-256 or an HMAC of it.
pub(super) type Mac = [u8; 32];

/// What is signed of a request.
#[derive(Clone, Copy)]
pub(super) struct Signed<'r> {
    pub(super) method: &'r str,
    pub(super) url: &'r str,
    pub(super) body: &'r [u8],
    /// The time as it stands in the header, which only `v3` signs.
    pub(super) timestamp: &'r [u8],
}

impl Signed<'_> {
    pub(super) fn mac(&self, version: RequestSignatureVersion, secret: &[u8]) -> Mac {
        match version {
            RequestSignatureVersion::V1 => hash([secret, self.body]),
            RequestSignatureVersion::V2 => {
                hash([secret, self.method.as_bytes(), self.url.as_bytes(), self.body])
            }
            RequestSignatureVersion::V3 => {
                let mut mac = HMAC::new(secret);
                mac.update(self.method);
                decode(self.url.as_bytes(), |piece| mac.update(piece));
                mac.update(self.body);
                mac.update(self.timestamp);
                mac.finalize()
            }
        }
    }
}

fn hash<const N: usize>(pieces: [&[u8]; N]) -> Mac {
    let mut hash = Hash::new();
    pieces.iter().for_each(|piece| hash.update(piece));
    hash.finalize()
}

/// Passes the URL to `take` in pieces, with the escapes decoded that `v3` decodes.
fn decode(url: &[u8], mut take: impl FnMut(&[u8])) {
    let mut rest = url;
    // What comes before `from` has been searched.
    let mut from = 0;
    while let Some(at) = rest.iter().skip(from).position(|byte| *byte == b'%') {
        let (before, escape) = rest.split_at(from + at);
        match escape.split_first_chunk().and_then(|(escape, rest)| Some((decoded(escape)?, rest))) {
            Some((byte, after)) => {
                take(before);
                take(&[byte]);
                (rest, from) = (after, 0);
            }
            None => from += at + 1,
        }
    }
    take(rest);
}

/// Returns the character of an escape, or `None` if `v3` leaves it as it is ("Validating requests" in HubSpot's documentation).
fn decoded(escape: &[u8; 3]) -> Option<u8> {
    Some(match &escape.map(|byte| byte.to_ascii_uppercase()) {
        b"%3A" => b':',
        b"%2F" => b'/',
        b"%3F" => b'?',
        b"%40" => b'@',
        b"%21" => b'!',
        b"%24" => b'$',
        b"%27" => b'\'',
        b"%28" => b'(',
        b"%29" => b')',
        b"%2A" => b'*',
        b"%2C" => b',',
        b"%3B" => b';',
        _ => return None,
    })
}

/// Writes a signature as its version has it: hex in lower case, or base64 for `v3`.
pub(super) fn write(version: RequestSignatureVersion, mac: &Mac) -> String {
    match version {
        RequestSignatureVersion::V3 => STANDARD.encode(mac),
        _ => mac.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Reads a signature. Returns `None` if its version does not write it like this: it is read in one form only.
pub(super) fn read(version: RequestSignatureVersion, text: &[u8]) -> Option<Mac> {
    let mut mac = [0; 32];
    if version == RequestSignatureVersion::V3 {
        // Bits that are left over must be zero, and the padding must be there.
        let written = STANDARD.decode_slice(text, &mut mac).ok()?;
        return (written == mac.len()).then_some(mac);
    }
    let (pairs, []) = text.as_chunks() else { return None };
    if pairs.len() != mac.len() {
        return None;
    }
    for (byte, [high, low]) in mac.iter_mut().zip(pairs) {
        *byte = from_hex_digit(*high)? << 4 | from_hex_digit(*low)?;
    }
    Some(mac)
}

fn from_hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
