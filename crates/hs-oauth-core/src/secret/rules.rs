//! The rules for the text of a secret: its size and its characters.

use crate::invalid_argument::InvalidArgumentKind;
use crate::text::all_bytes;

/// The largest size of a secret, in bytes: 16 KiB.
///
/// HubSpot's access tokens grow over time, and 512 characters must fit. A token of `v1` travels in a URL, where each byte may become
/// three, and a URL must not be longer than 64 KiB.
pub const MAX_SECRET_SIZE: usize = 16 * 1024;

/// Checks a text that may become a part of a URL path. `allowed` says which bytes it may have.
pub(crate) fn check(text: &str, allowed: impl Fn(u8) -> bool) -> Result<(), InvalidArgumentKind> {
    match text {
        "" => Err(InvalidArgumentKind::Missing),
        "." | ".." => Err(InvalidArgumentKind::DotSegment),
        _ if text.len() > MAX_SECRET_SIZE => Err(InvalidArgumentKind::TooLong { limit: MAX_SECRET_SIZE }),
        _ if all_bytes(text, &allowed) => Ok(()),
        _ => Err(InvalidArgumentKind::Character {
            at: text.bytes().position(|byte| !allowed(byte)).unwrap_or(text.len()),
        }),
    }
}

/// Returns whether this is a VSCHAR of RFC 6749 appendix A other than the space. A header carries such bytes unchanged.
#[inline]
pub(crate) fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// Returns whether this is a VSCHAR of RFC 6749 appendix A.
#[inline]
pub(crate) fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// Returns `true`, for secrets that may have any byte.
#[inline]
pub(super) fn is_any(_: u8) -> bool {
    true
}
