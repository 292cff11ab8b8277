use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::scalar::{Scalar, Slot, drain_list};
use super::text::Text;

/// A list or an object read as a `T`, or the fact that nothing or something else stands there.
#[derive(Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    Wrong,
    Read(T),
}

impl<T> Field<T> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// What a [`Field`] can be read as: from a text, a list, an object, or nothing of it.
pub(crate) trait Shape<'a>: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_list<A: SeqAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }

    fn from_object<A: MapAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }
}

impl<'a, T: Shape<'a>> Deserialize<'a> for Field<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut field = Self::Absent;
        Slot(&mut field).deserialize(deserializer)?;
        Ok(field)
    }
}

impl<'a, T: Shape<'a>> DeserializeSeed<'a> for Slot<'_, Field<T>> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Slot<'_, Field<T>> {
    fn put<E>(self, value: Option<T>) -> Result<(), E> {
        match value {
            Some(value) => *self.0 = Field::Read(value),
            None if self.0.is_absent() => *self.0 = Field::Wrong,
            None => {}
        }
        Ok(())
    }
}

impl<'a, T: Shape<'a>> Visitor<'a> for Slot<'_, Field<T>> {
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
        let value = T::from_list(&mut list)?;
        drain_list(&mut list)?;
        self.put(value)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let value = T::from_object(&mut object)?;
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.put(value)
    }
}

impl<'a> Shape<'a> for Vec<Cow<'a, str>> {
    fn from_list<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut texts = Self::new();
        while let Some(text) = list.next_element::<Scalar<'_>>()? {
            texts.extend(text.text());
        }
        Ok(Some(texts))
    }
}

/// The entries of an object with texts in it.
pub(crate) type Texts<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl<'a> Shape<'a> for Texts<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Scalar<'_>>()? {
            entries.extend(value.text().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}

/// The entries of an object with lists of texts in it.
pub(crate) type Lists<'a> = Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>;

impl<'a> Shape<'a> for Lists<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Field<Vec<Cow<'_, str>>>>()? {
            entries.extend(value.read().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}
