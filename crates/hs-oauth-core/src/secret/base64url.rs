//! Base64url without padding (RFC 4648 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Passes 32 bytes as base64url, which is 43 characters, to `take`, and then wipes the characters.
pub(super) fn base64url<T>(bytes: &[u8; 32], take: impl FnOnce(&str) -> T) -> T {
    const { assert!(matches!(base64::encoded_len(32, false), Some(43))) };
    // A multiple of 16 bytes, since `from_utf8` checks ASCII that many at a time.
    let mut characters = [0; 48];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut characters);
    debug_assert_eq!(written, Ok(43));
    let text = str::from_utf8(&characters).ok().and_then(|text| text.get(..43)).unwrap_or_default();
    let taken = take(text);
    characters = [0; 48];
    zeroize::optimization_barrier(&characters);
    taken
}
