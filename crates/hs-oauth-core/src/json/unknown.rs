use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields of a stored object that this version of the library does not know.
///
/// A later version wrote them. A renewal keeps them as they are; an install or a disconnect begins without them. `Debug` shows
/// their names only, since a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(Map<String, Value>);

impl UnknownFields {
    /// Returns whether there is no unknown field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the field of this name as a `T`. Returns `None` if there is no such field or if it is no `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// Returns whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets a field, for a layer above a store that keeps something of its own in the record. Returns whether `value` can be
    /// written as JSON; if it cannot, nothing is set.
    ///
    /// The name must not be one that the object itself has: the object could not be read back.
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
