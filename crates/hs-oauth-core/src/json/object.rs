//! Structs that declare which fields of a JSON object we know.

use serde::de::MapAccess;

use super::Scalar;

/// A struct with the known fields of a JSON object. [`json_object!`] implements it.
pub(crate) trait Object<'a>: Default {
    /// One of the known fields.
    type Key: Copy;

    /// Returns the field of this name, or `None` if it is unknown.
    fn key(name: &str) -> Option<Self::Key>;

    /// Returns the name of a field.
    fn name(key: Self::Key) -> &'static str;

    /// Returns the place of a field's value if the field is a [`Scalar`].
    fn scalar(&mut self, key: Self::Key) -> Option<&mut Scalar<'a>>;

    /// Reads the value of a field that is not a [`Scalar`]. Returns whether the field had a value already.
    fn read_other<A: MapAccess<'a>>(&mut self, key: Self::Key, object: &mut A) -> Result<bool, A::Error>;
}

/// Declares a struct with the known fields of a JSON object.
///
/// `scalars` lists the fields that are a [`Scalar`], as `field = "key"`. `others` lists those that are a
/// [`Field<T>`](super::Field), as `field: T = "key"`.
macro_rules! json_object {
    ($(#[$doc:meta])* struct $name:ident<$a:lifetime> {
        scalars { $($scalar:ident = $scalar_key:literal,)* }
        others { $($other:ident: $kind:ty = $other_key:literal,)* }
    }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<$a> {
            $($scalar: $crate::json::Scalar<$a>,)*
            $($other: $crate::json::Field<$kind>,)*
        }

        const _: () = {
            #[derive(Clone, Copy)]
            #[allow(non_camel_case_types, reason = "named like the fields")]
            pub(crate) enum Key {
                $($scalar,)*
                $($other,)*
            }

            impl<$a> $crate::json::Object<$a> for $name<$a> {
                type Key = Key;

                fn key(name: &str) -> Option<Key> {
                    match name {
                        $($scalar_key => Some(Key::$scalar),)*
                        $($other_key => Some(Key::$other),)*
                        _ => None,
                    }
                }

                fn name(key: Key) -> &'static str {
                    match key {
                        $(Key::$scalar => $scalar_key,)*
                        $(Key::$other => $other_key,)*
                    }
                }

                fn scalar(&mut self, key: Key) -> Option<&mut $crate::json::Scalar<$a>> {
                    match key {
                        $(Key::$scalar => Some(&mut self.$scalar),)*
                        $(Key::$other => None,)*
                    }
                }

                fn read_other<A: serde::de::MapAccess<$a>>(
                    &mut self,
                    key: Key,
                    object: &mut A,
                ) -> Result<bool, A::Error> {
                    match key {
                        $(Key::$other => {
                            let repeated = !self.$other.is_absent();
                            object.next_value_seed($crate::json::Slot(&mut self.$other)).map(|()| repeated)
                        })*
                        $(Key::$scalar => object.next_value::<serde::de::IgnoredAny>().map(|_| false),)*
                    }
                }
            }
        };
    };
}
pub(crate) use json_object;
