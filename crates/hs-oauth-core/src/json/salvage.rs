//! The search for strings in an object that is not valid JSON.

use super::object::Object;
use super::scalar::Scalar;
use super::text::Text;

/// Fills the scalar fields of `object` that are still absent with the strings that `body` has for them.
///
/// A JSON reader stops at the first error, such as a number that is too large, half of a surrogate pair, or a byte that is not
/// UTF-8. A token after that place may exist nowhere else. So this looks for `"key": "value"` in the outermost object and
/// ignores everything else. It stops at a string that does not end.
#[cold]
pub(super) fn salvage<'a, O: Object<'a>>(body: &'a [u8], object: &mut O) {
    let mut rest = body.trim_ascii_start();
    let (mut depth, mut key) = (0_u32, None);
    if rest.first() != Some(&b'{') {
        return;
    }
    while let Some((byte, after)) = rest.split_first() {
        let whole = rest;
        rest = after;
        match byte {
            b'{' | b'[' => (depth, key) = (depth.saturating_add(1), None),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some((text, after)) = text_length(after).and_then(|end| whole.split_at_checked(end))
                else {
                    return;
                };
                rest = after.trim_ascii_start();
                let text = || serde_json::from_slice::<Text<'a>>(text).ok();
                match (rest.strip_prefix(b":"), key.take()) {
                    _ if depth != 1 => {}
                    (Some(value), _) => {
                        rest = value.trim_ascii_start();
                        key = text().and_then(|Text(name)| O::key(&name));
                    }
                    (None, Some(key)) => {
                        if let (Some(scalar @ Scalar::Absent), Some(Text(text))) =
                            (object.scalar(key), text())
                        {
                            *scalar = Scalar::Text(text);
                        }
                    }
                    (None, None) => {}
                }
            }
            _ => key = None,
        }
    }
}

/// Returns the length of a string with both its quotes, given what follows the opening quote. Returns `None` if it has no end.
fn text_length(after: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = after.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    end.map(|end| end + 2)
}
