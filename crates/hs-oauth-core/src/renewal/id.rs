//! The identifiers of grants and of runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// The identifier of an install or a disconnect. It is only compared for equality.
///
/// It is stored as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId(#[serde(with = "hexadecimal")] u128);

/// The identifier of a run that holds a lease. It is only compared for equality.
///
/// It is stored as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HolderId(#[serde(with = "hexadecimal")] u128);

impl GrantId {
    /// Generates the identifier of a new grant from 128 random bits, so that it is unlike any other.
    pub fn generate(random: &mut Random) -> Self {
        Self(random.next_u128())
    }

    #[cfg(test)]
    pub(super) const fn new(number: u128) -> Self {
        Self(number)
    }
}

impl HolderId {
    /// Generates the identifier of a new run from 128 random bits, so that it is unlike any other.
    pub fn generate(random: &mut Random) -> Self {
        Self(random.next_u128())
    }

    #[cfg(test)]
    pub(super) const fn new(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({:032x})", self.0)
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HolderId({:032x})", self.0)
    }
}

/// The stored form of an identifier.
mod hexadecimal {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::json::Text;

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        // `from_str_radix` would also take a sign, and fewer digits.
        let digit = |byte| char::from(byte).to_digit(16).map(u128::from);
        let number = text.bytes().try_fold(0_u128, |number, byte| Some(number << 4 | digit(byte)?));
        number.filter(|_| text.len() == 32).ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_identifier_is_stored_as_32_hexadecimal_digits() {
        let grant = GrantId::new(0xc8b5_ac27_f7d5_f7cd);
        assert_eq!(serde_json::to_string(&grant).unwrap(), r#""0000000000000000c8b5ac27f7d5f7cd""#);
        assert_eq!(format!("{grant:?}"), "GrantId(0000000000000000c8b5ac27f7d5f7cd)");
        let holder = HolderId::new(u128::MAX - 1);
        assert_eq!(serde_json::to_string(&holder).unwrap(), r#""fffffffffffffffffffffffffffffffe""#);
        assert_eq!(format!("{holder:?}"), "HolderId(fffffffffffffffffffffffffffffffe)");
    }

    #[test]
    fn an_identifier_is_read_from_32_hexadecimal_digits_and_from_nothing_else() {
        let too_long = "f".repeat(33);
        for text in
            ["+000000000000000000000000000000f", "f", "", "0000000000000000000000000000000g", &too_long]
        {
            assert!(serde_json::from_value::<GrantId>(json!(text)).is_err(), "{text}");
        }
        let text = "0000000000000000C8B5ac27f7d5f7cd";
        assert_eq!(
            serde_json::from_value::<GrantId>(json!(text)).unwrap(),
            GrantId::new(0xc8b5_ac27_f7d5_f7cd)
        );
        let error = |json| serde_json::from_str::<HolderId>(json).unwrap_err().to_string();
        assert_eq!(error(r#""f""#), "not 32 hexadecimal digits");
        assert_eq!(error("7"), "invalid type: integer `7`, expected a string at line 1 column 1");
    }
}
