//! How the JSON objects that applications keep are read and written. By hand, as the texts of errors are: with the derives of serde and
//! thiserror, this crate and everything below it would take almost half as long again to build.

use serde_core::Serialize;
use serde_core::de::{Deserialize, Error, MapAccess};
use serde_core::ser::SerializeMap;

/// Implements `Serialize` and `Deserialize` for an object whose fields stand under their own names: those it needs, `field`, or
/// `field: checked` where a function has a say in the value; those that are left out where there is nothing; those that are their
/// default where they are not there; and those of other names, which are kept in `unknown`.
macro_rules! kept_object {
    ($name:ident {
        needed { $($needed:ident $(: $checked:ident)?,)* }
        optional { $($optional:ident,)* }
        defaults { $($default:ident,)* }
    }) => {
        impl serde_core::Serialize for $name {
            fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde_core::ser::SerializeMap;

                let mut object = serializer.serialize_map(None)?;
                $(object.serialize_entry(stringify!($needed), &self.$needed)?;)*
                $($crate::kept::write_some(&mut object, stringify!($optional), &self.$optional)?;)*
                $(object.serialize_entry(stringify!($default), &self.$default)?;)*
                self.unknown.write(&mut object)?;
                object.end()
            }
        }

        impl<'de> serde_core::Deserialize<'de> for $name {
            fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> serde_core::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object: ", stringify!($name)))
                    }

                    fn visit_map<A: serde_core::de::MapAccess<'de>>(
                        self,
                        mut object: A,
                    ) -> Result<$name, A::Error> {
                        $(let mut $needed = None;)*
                        $(let mut $optional = None;)*
                        $(let mut $default = None;)*
                        let mut unknown = $crate::record::Unknown::default();
                        while let Some($crate::text::Text(name)) = object.next_key()? {
                            match &*name {
                                $(stringify!($needed) => {
                                    $crate::kept::read(&mut $needed, stringify!($needed), &mut object)?;
                                    $($needed = $needed.map($checked).transpose()?;)?
                                })*
                                $(stringify!($optional) => {
                                    $crate::kept::read(&mut $optional, stringify!($optional), &mut object)?;
                                })*
                                $(stringify!($default) => {
                                    $crate::kept::read(&mut $default, stringify!($default), &mut object)?;
                                })*
                                _ => unknown.insert(name.into_owned(), object.next_value()?),
                            }
                        }
                        Ok($name {
                            $($needed: $crate::kept::needed($needed, stringify!($needed))?,)*
                            $($optional: $optional.unwrap_or_default(),)*
                            $($default: $default.unwrap_or_default(),)*
                            unknown,
                        })
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    };
}
pub(crate) use kept_object;

/// Writes a field, if there is something in it.
pub(crate) fn write_some<M: SerializeMap>(
    object: &mut M,
    name: &'static str,
    value: &Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => object.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// Reads a field, which may be there once.
pub(crate) fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    name: &'static str,
    object: &mut A,
) -> Result<(), A::Error> {
    match field {
        Some(_) => Err(Error::duplicate_field(name)),
        None => object.next_value().map(|value| *field = Some(value)),
    }
}

/// The value of a field that must be there.
pub(crate) fn needed<T, E: Error>(field: Option<T>, name: &'static str) -> Result<T, E> {
    field.ok_or_else(|| E::missing_field(name))
}
