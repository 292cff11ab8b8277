//! Fields that hold an array or an object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::scalar::{Scalar, Slot, drain_array};
use super::text::Text;

/// A field whose value is read as a `T`, usually from an array or an object.
#[derive(Default)]
pub(crate) enum Field<T> {
    /// The field is missing or null.
    #[default]
    Absent,
    /// The value cannot be read as a `T`.
    WrongType,
    /// The value was read.
    Read(T),
}

impl<T> Field<T> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the value if it was read.
    pub(crate) fn into_value(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::WrongType => None,
        }
    }
}

/// A type that a [`Field`] can be read as.
///
/// A type implements the method for the kind of JSON value it is read from. Each method returns `None` if the value cannot be
/// read as this type, which is the default for every kind.
pub(crate) trait FromJson<'a>: Sized {
    /// Reads a string.
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    /// Reads an array. It may stop before the last element.
    fn from_array<A: SeqAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }

    /// Reads an object. It may stop before the last entry.
    fn from_object<A: MapAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }
}

impl<'a, T: FromJson<'a>> Deserialize<'a> for Field<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut field = Self::Absent;
        Slot(&mut field).deserialize(deserializer)?;
        Ok(field)
    }
}

impl<'a, T: FromJson<'a>> DeserializeSeed<'a> for Slot<'_, Field<T>> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Slot<'_, Field<T>> {
    /// Stores a value, or records that there was one of the wrong type. A value that was read before stays if the later one
    /// is of the wrong type.
    fn put<E>(self, value: Option<T>) -> Result<(), E> {
        match value {
            Some(value) => *self.0 = Field::Read(value),
            None if self.0.is_absent() => *self.0 = Field::WrongType,
            None => {}
        }
        Ok(())
    }
}

impl<'a, T: FromJson<'a>> Visitor<'a> for Slot<'_, Field<T>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.put(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(T::from_text(text))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let value = T::from_array(&mut list)?;
        drain_array(&mut list)?;
        self.put(value)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let value = T::from_object(&mut object)?;
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.put(value)
    }
}

/// Elements that are not strings are left out.
impl<'a> FromJson<'a> for Vec<Cow<'a, str>> {
    fn from_array<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut texts = Self::new();
        while let Some(text) = list.next_element::<Scalar<'_>>()? {
            texts.extend(text.into_text());
        }
        Ok(Some(texts))
    }
}

/// An object with strings as values, as a list of its entries. Other values are left out.
pub(crate) type TextMap<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl<'a> FromJson<'a> for TextMap<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Scalar<'_>>()? {
            entries.extend(value.into_text().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}

/// An object with arrays of strings as values, as a list of its entries. Other values are left out.
pub(crate) type ListMap<'a> = Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>;

impl<'a> FromJson<'a> for ListMap<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Field<Vec<Cow<'_, str>>>>()? {
            entries.extend(value.into_value().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}
