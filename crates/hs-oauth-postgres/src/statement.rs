//! The SQL of the store. Both drivers send the same texts. Each statement commits itself, but for the writes of sqlx without prepared
//! statements, which need a transaction.

use std::fmt;
use std::sync::Arc;

use hs_oauth_store::SecretBytes;

use crate::table::Table;

/// The texts for one table.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Returns whether the server is a standby, which may know less than was written, and what is stored. It has no cast and no condition that
    /// it can do without: each costs the server 5 to 10 percent where the statement is not prepared.
    pub(crate) load: Statement,
    /// Returns the same as one row in any case, also where nothing is stored. The server takes longer to plan it.
    pub(crate) load_or_nothing: Statement,
    /// Writes a record where there is none.
    pub(crate) create: Statement,
    /// Replaces a record of the expected version, if commits last. The next version is a parameter: to add one here would cost the server
    /// 3 percent where the statement is not prepared.
    pub(crate) replace: Statement,
    /// Does the same, and lets the commit last where others do not. It costs the server more, so it comes after a `replace` that wrote nothing.
    pub(crate) replace_durably: Statement,
    pub(crate) remove: Statement,
    pub(crate) page: Statement,
    /// What `check` has to know of the server and the table.
    pub(crate) server: Statement,
}

/// A text, and whether it only reads and may be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Arc<str>,
    pub(crate) is_read: bool,
}

/// A parameter of a statement. `Debug` shows no record.
#[derive(Clone)]
pub(crate) enum Value {
    BigInt(i64),
    Text(String),
    /// The JSON of a record. It is sent as the type `json`: a text would have to be cast, which costs the server 3 percent of a write.
    Record(Option<Arc<SecretBytes>>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BigInt(number) => fmt::Debug::fmt(number, f),
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Record(_) => f.write_str("[record]"),
        }
    }
}

/// The server's clock in microseconds when the transaction began. After a restore, or a failover that lost the last writes, it is greater
/// than every version that was ever given out, and the last version plus one may not be.
const NOW: &str = "(extract(epoch from current_timestamp) * 1e6)::bigint";

/// Lets this one statement be durable where the setting is that none is. A second statement would come too late: others see a record before it
/// lasts, and a crash between the two goes unnoticed.
const DURABLE: &str = "case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', true) end";

impl Statements {
    pub(crate) fn new(table: &Table) -> Self {
        let table = table.as_sql();
        let read = |sql: String| Statement { sql: sql.into(), is_read: true };
        let write = |sql: String| Statement { sql: sql.into(), is_read: false };
        let replace = format!(
            "update {table} set version = greatest($4, {NOW}), record = $5 \
             where hub_id = $1 and user_id = $2 and version = $3"
        );
        Self {
            load: read(format!(
                "select pg_is_in_recovery(), version, record from {table} where hub_id = $1 and user_id = $2"
            )),
            load_or_nothing: read(format!(
                "select pg_is_in_recovery(), stored.version, stored.record \
                 from (select 1) as always left join {table} as stored \
                 on stored.hub_id = $1 and stored.user_id = $2"
            )),
            create: write(format!(
                "insert into {table} as stored (hub_id, user_id, version, record) \
                 values ($1, $2, {NOW}, $3) \
                 on conflict (hub_id, user_id) do update \
                 set version = greatest(stored.version + 1, excluded.version), record = excluded.record \
                 where stored.record is null \
                 returning version, {DURABLE}"
            )),
            replace: write(format!(
                "{replace} and current_setting('synchronous_commit') <> 'off' returning version"
            )),
            replace_durably: write(format!("{replace} returning version, {DURABLE}")),
            // The removal has a version of its own, so a replacement need not look at the record.
            remove: write(format!(
                "update {table} set version = greatest(version + 1, {NOW}), record = null \
                 where hub_id = $1 and user_id = $2 and version = $3 and record is not null \
                 returning version, {DURABLE}"
            )),
            page: read(format!(
                "select hub_id, user_id, version, record from {table} \
                 where (hub_id, user_id) > ($1, $2) and record is not null \
                 order by hub_id, user_id limit $3"
            )),
            server: read(
                "select pg_is_in_recovery()::text, current_setting('transaction_read_only'), \
                 current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), \
                 current_setting('fsync'), (select count(*) from pg_stat_replication)::text, \
                 to_regclass($1)::text, obj_description(to_regclass($1)::oid, 'pg_class'), \
                 (select relpersistence::text from pg_class where oid = to_regclass($1)::oid)"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_not_shown() {
        let values = [
            Value::BigInt(62_515),
            Value::Text("a".into()),
            Value::Record(Some(Arc::new(b"secret".to_vec().into()))),
        ];
        assert_eq!(format!("{values:?}"), r#"[62515, "a", [record]]"#);
    }
}
