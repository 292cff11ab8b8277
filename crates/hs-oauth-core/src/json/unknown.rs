//! Fields of a stored object that a later version of this library wrote.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields of a stored object that this version of the library does not know.
///
/// A later version wrote them. A renewal writes those of the record and of its tokens back unchanged. A new lease, a new back-off, an
/// install or a disconnect starts without them. `Debug` shows their names only, since a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(Map<String, Value>);

impl UnknownFields {
    /// Returns whether there are no unknown fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the field of this name as a `T`. Returns `None` if there is no such field, or if it cannot be read as a `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// Returns whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets a field and returns `true`, or returns `false` and sets nothing if `value` cannot be written as JSON.
    ///
    /// This is for a layer above a store that keeps data of its own in the record. The name must not be that of a known field
    /// of the object, or the object could not be read back.
    pub fn insert(&mut self, name: &str, value: &impl Serialize) -> bool {
        match serde_json::to_value(value) {
            Ok(value) => {
                self.0.insert(name.to_owned(), value);
                true
            }
            Err(_) => false,
        }
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
