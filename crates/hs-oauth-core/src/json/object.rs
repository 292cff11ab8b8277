//! JSON objects that know their fields.

use serde::de::MapAccess;

use super::Scalar;

/// A JSON object that knows its fields. Implemented by [`json_object!`].
pub(crate) trait Object<'a>: Default {
    /// One of the fields.
    type Key: Copy;

    /// The field of that name.
    fn key(name: &str) -> Option<Self::Key>;

    /// Its name.
    fn name(key: Self::Key) -> &'static str;

    /// Where it is kept, if it is a scalar.
    fn scalar(&mut self, key: Self::Key) -> Option<&mut Scalar<'a>>;

    /// Reads the value of one that is none, and tells whether it was there before.
    fn other<A: MapAccess<'a>>(&mut self, key: Self::Key, object: &mut A) -> Result<bool, A::Error>;
}

/// Declares the fields of a JSON object: first those that are a [`Scalar`], `field = "key"`, then those that are a [`Field`],
/// `field: T = "key"`.
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

                fn other<A: serde::de::MapAccess<$a>>(
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
