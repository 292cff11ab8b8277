//! The declaration of open sets: values that HubSpot, or a later version of this library, writes as text, and may add to.

/// Declares an open set. A value that has no name here is kept as text.
macro_rules! open_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$doc])*
                #[doc = concat!("Written `", $text, "`.")]
                #[serde(rename = $text)]
                $value,
            )*
            /// A value that this release has no name for, as it is written.
            #[serde(untagged)]
            Other(String),
        }

        impl $name {
            /// Returns the value as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$value => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// Returns the value that is written like this, or `None` if this release has no name for it.
            pub(crate) fn known(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$value),)*
                    _ => None,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::known(text).unwrap_or_else(|| Self::Other(text.to_owned()))
            }
        }

        impl From<std::borrow::Cow<'_, str>> for $name {
            fn from(text: std::borrow::Cow<'_, str>) -> Self {
                Self::known(&text).unwrap_or_else(|| Self::Other(text.into_owned()))
            }
        }
    };
}
pub(crate) use open_set;
