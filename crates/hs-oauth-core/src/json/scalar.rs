//! Fields that hold a string, an integer or a boolean, and the filling of fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::text::Text;
use crate::secret::is_printable;
use crate::text::all_bytes;

/// A field whose value is a boolean, an integer or a string.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// The field is missing or null.
    #[default]
    Absent,
    Bool(bool),
    /// An integer that fits 64 bits.
    Integer(i64),
    Text(Cow<'a, str>),
    /// Another number, an array or an object.
    Other,
}

impl<'a> Scalar<'a> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns whether the value is of no use: absent, an empty string, or of another type.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Absent | Self::Other => true,
            Self::Text(text) => text.is_empty(),
            Self::Bool(_) | Self::Integer(_) => false,
        }
    }

    /// Takes a later value of the same field if it is worth more than the present one.
    ///
    /// Of two values, one may be a token and the other not. So a string that is not empty is replaced only by another one that can
    /// be a token. An empty string is replaced by any value, and everything else by any value that is not blank.
    #[cold]
    fn repeat(&mut self, later: Self) {
        let is_replaced = match (&*self, &later) {
            (Self::Text(text), Self::Text(later)) => {
                text.is_empty() || !later.is_empty() && all_bytes(later, is_printable)
            }
            (Self::Text(text), _) => text.is_empty(),
            _ => !later.is_blank(),
        };
        if is_replaced {
            *self = later;
        }
    }

    /// Returns the value if it is a string.
    pub(crate) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value if it is an integer that fits 64 bits.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Returns the value if it is a boolean.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl<'a> Deserialize<'a> for Scalar<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scalar = Self::Absent;
        Slot(&mut scalar).deserialize(deserializer)?;
        Ok(scalar)
    }
}

/// The place of a field's value, to read a value into.
///
/// If the field is repeated, the later value replaces the earlier one unless it is worth less: null never replaces a value, and
/// nothing but a string replaces a string that is not empty.
pub(crate) struct Slot<'s, T>(pub(crate) &'s mut T);

impl<'a> DeserializeSeed<'a> for Slot<'_, Scalar<'a>> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Slot<'_, Scalar<'a>> {
    fn put<E>(self, value: Scalar<'a>) -> Result<(), E> {
        match self.0.is_absent() {
            true => *self.0 = value,
            false => self.0.repeat(value),
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Slot<'_, Scalar<'a>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(i64::try_from(value).map_or(Scalar::Other, Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.put(Scalar::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.put(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        drain_array(&mut list)?;
        self.put(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let number = drain_object(&mut object)?;
        self.put(number.map_or(Scalar::Other, Scalar::Integer))
    }
}

/// Reads an object to its end. Returns the integer if the object represents a number.
///
/// With `serde_json`'s feature `arbitrary_precision`, a number arrives as an object with one key. Any crate in a build may enable
/// that feature for all.
fn drain_object<'a, A: MapAccess<'a>>(object: &mut A) -> Result<Option<i64>, A::Error> {
    let mut number = None;
    while let Some(Text(key)) = object.next_key()? {
        if key == "$serde_json::private::Number" {
            number = object.next_value::<Text<'_>>()?.0.parse().ok();
        } else {
            object.next_value::<IgnoredAny>()?;
        }
    }
    Ok(number)
}

/// Reads an array to its end.
pub(super) fn drain_array<'a, A: SeqAccess<'a>>(list: &mut A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}
