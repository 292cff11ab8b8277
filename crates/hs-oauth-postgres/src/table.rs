//! The table, its name and its schema.

use hs_oauth_store::{StoreError, StoreErrorKind};

/// What creates the table, for a migration tool of your own. It is the file `migrations/0001_hs_oauth_tokens.sql` of this crate, and may be
/// run more than once.
///
/// Run it in a transaction, and at most once at a time: two processes that create the table at the same moment can fail with a duplicate
/// key. `create()` of the stores does so under a lock.
pub const SCHEMA: &str = include_str!("../migrations/0001_hs_oauth_tokens.sql");

/// The name of the table, unless another one is set.
pub const TABLE: &str = "hs_oauth_tokens";

/// The version of the schema, as it stands in the table's comment.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The comment of a table before its version.
pub(crate) const COMMENT: &str = "hs-oauth schema ";

/// The greatest length of a name in PostgreSQL, in bytes. It cuts longer ones.
const MAX_NAME: usize = 63;

/// The name of a table, perhaps with its schema, in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(name: &str) -> Result<Self, StoreError> {
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_identifier(part)) {
            let message = format!(
                "{name:?} cannot be the name of the table: it has to be a name, or a schema and a name with a full stop between them; \
                 a name has up to {MAX_NAME} letters from a to z, digits and underscores, and begins with no digit"
            );
            return Err(StoreError::with_source(StoreErrorKind::Refused, message));
        }
        Ok(Self(format!("\"{}\"", parts.join("\".\""))))
    }

    /// Returns the name as it is written in SQL.
    pub(crate) fn as_sql(&self) -> &str {
        &self.0
    }

    /// Returns what creates this table.
    pub(crate) fn schema(&self) -> String {
        SCHEMA.replace(TABLE, &self.0)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self(format!("\"{TABLE}\""))
    }
}

fn is_identifier(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let mut bytes = name.bytes();
    name.len() <= MAX_NAME
        && bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_identifier_perhaps_with_a_schema() {
        for (name, sql) in [
            ("hs_oauth_tokens", r#""hs_oauth_tokens""#),
            ("_t1", r#""_t1""#),
            ("order", r#""order""#),
            ("tenants.tokens", r#""tenants"."tokens""#),
        ] {
            assert_eq!(Table::new(name).unwrap().as_sql(), sql);
        }
        assert_eq!(Table::new(TABLE).unwrap(), Table::default());
        assert!(Table::new(&"a".repeat(MAX_NAME)).is_ok());
    }

    #[test]
    fn what_is_not_an_identifier_is_refused() {
        let long = "a".repeat(MAX_NAME + 1);
        for name in
            ["", ".", "a.", ".a", "a.b.c", "1a", "a b", "a;b", "a\"b", "a'b", "Tokens", "töken", "a\0", &long]
        {
            let error = Table::new(name).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Refused);
            assert!(error.to_string().contains("cannot be the name of the table"), "{error}");
        }
    }

    #[test]
    fn the_schema_is_that_of_the_table_and_of_this_version() {
        let schema = Table::new("tenants.tokens").unwrap().schema();
        assert!(schema.starts_with("create table if not exists \"tenants\".\"tokens\" ("));
        assert!(schema.contains("alter table \"tenants\".\"tokens\" alter"));
        assert!(schema.contains("comment on table \"tenants\".\"tokens\" is"));
        assert!(!schema.contains(TABLE));
        assert!(SCHEMA.contains(&format!("is '{COMMENT}{SCHEMA_VERSION}'")));
    }

    #[test]
    fn the_schema_is_the_newest_file_of_the_migrations() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files[0].ends_with("0001_hs_oauth_tokens.sql"));
        assert_eq!(files.len(), SCHEMA_VERSION as usize);
        assert_eq!(std::fs::read_to_string(files.last().unwrap()).unwrap(), SCHEMA);
    }
}
