//! JSON, read by serde_json alone, to compare with.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The members of a JSON object as they were written, repeated keys included.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Returns the object in a body. None if serde_json cannot represent it, or if it has a key twice.
pub(crate) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    let Pairs(pairs) = serde_json::from_slice(without_byte_order_mark(body)).ok()?;
    let count = pairs.len();
    let object: Map<String, Value> = pairs.into_iter().collect();
    (object.len() == count).then_some(object)
}

/// Returns whether a body is one whole JSON text. It may be nested deeply, and its numbers may be large.
pub(crate) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_byte_order_mark(body)).is_ok()
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
