//! The store that the processes of an example share, by its address.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use deadpool_postgres::tokio_postgres::{Config, NoTls};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use hs_oauth_async::{AsyncTokenStore, FileStore, SpawnBlocking};
use hs_oauth_postgres::{PgStore, SqlxStore};
use hs_oauth_redis::{RedisStore, redis};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{BoxError, print_progress};

/// Where the store is. It has no `Display` and its `Debug` shows no address, since that may hold a password.
#[derive(Clone)]
pub enum StoreAddress {
    /// A folder of a `FileStore`.
    File(PathBuf),
    /// The URL of a PostgreSQL.
    Postgres(String),
    /// The URL of a Redis.
    Redis(String),
}

/// What a process reaches PostgreSQL with. Its statements are prepared, or sent anew each time, as pgbouncer needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Driver {
    /// tokio-postgres, with statements that are not prepared.
    #[default]
    TokioPostgres,
    /// tokio-postgres, with prepared statements.
    TokioPostgresPrepared,
    /// sqlx, with statements that are not prepared.
    Sqlx,
    /// sqlx, with prepared statements.
    SqlxPrepared,
}

/// The connections that a process has to PostgreSQL.
const CONNECTIONS: u32 = 8;

impl StoreAddress {
    /// Reads an address: `file:FOLDER`, `postgres://…` or `redis://…`.
    ///
    /// # Errors
    /// If it is none of them. No error repeats the text.
    pub fn parse(text: &str) -> Result<Self, BoxError> {
        match text.split_once(':') {
            Some(("file", folder)) if !folder.is_empty() => Ok(Self::File(folder.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some(("redis", rest)) if rest.starts_with("//") => Ok(Self::Redis(text.to_owned())),
            _ => {
                Err("the address of the store must be file:FOLDER or begin with postgres:// or redis://"
                    .into())
            }
        }
    }

    /// Returns the address as text, for the environment of another process only.
    ///
    /// # Errors
    /// If it is a folder whose name is not UTF-8.
    pub fn secret_text(&self) -> Result<String, BoxError> {
        match self {
            Self::File(folder) => {
                Ok(format!("file:{}", folder.to_str().ok_or("the folder's name is not UTF-8")?))
            }
            Self::Postgres(url) | Self::Redis(url) => Ok(url.clone()),
        }
    }

    /// Returns the folder, if the store is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => Some(folder),
            Self::Postgres(_) | Self::Redis(_) => None,
        }
    }

    /// Opens the store. It may be opened in a runtime only.
    ///
    /// # Errors
    /// If the folder cannot be opened, or the URL cannot be read.
    pub fn open(&self, driver: Driver) -> Result<Arc<dyn AsyncTokenStore>, BoxError> {
        Ok(match self {
            Self::File(folder) => Arc::new(SpawnBlocking::new(FileStore::open(folder)?)),
            Self::Postgres(url) => match driver {
                Driver::TokioPostgres => Arc::new(PgStore::new(pool(url)?).prepared(false)),
                Driver::TokioPostgresPrepared => Arc::new(PgStore::new(pool(url)?).prepared(true)),
                Driver::Sqlx => Arc::new(sqlx(url)?.prepared(false)),
                Driver::SqlxPrepared => Arc::new(sqlx(url)?.prepared(true)),
            },
            Self::Redis(url) => Arc::new(redis(url)?),
        })
    }

    /// Creates what the store needs, once for all processes, and says what the server may lose.
    ///
    /// # Errors
    /// If the server does not answer, or cannot hold tokens.
    pub async fn prepare(&self) -> Result<(), BoxError> {
        match self {
            Self::File(_) => {}
            Self::Postgres(url) => {
                let store = PgStore::new(pool(url)?);
                store.create().await?;
                store.warnings().await?.into_iter().for_each(print_progress);
            }
            Self::Redis(url) => redis(url)?.warnings().await?.into_iter().for_each(print_progress),
        }
        Ok(())
    }
}

const UNREADABLE_URL: &str = "the URL of PostgreSQL cannot be read";

/// Returns a pool of connections to the PostgreSQL at this URL, as many as a process of an example has.
///
/// # Errors
/// If the URL cannot be read. The error does not repeat it.
pub fn pool(url: &str) -> Result<Pool, BoxError> {
    // The error might repeat a part of the URL.
    let config = Config::from_str(url).map_err(|_| UNREADABLE_URL)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, recycling);
    Ok(Pool::builder(manager).max_size(usize::try_from(CONNECTIONS)?).build()?)
}

fn sqlx(url: &str) -> Result<SqlxStore, BoxError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| UNREADABLE_URL)?;
    Ok(SqlxStore::new(PgPoolOptions::new().max_connections(CONNECTIONS).connect_lazy_with(options)))
}

/// A Redis that loses writes when it ends is a fault that the herd may have to show.
fn redis(url: &str) -> Result<RedisStore, BoxError> {
    let client = redis::Client::open(url).map_err(|_| "the URL of Redis cannot be read")?;
    Ok(RedisStore::new(client).without_append_only_file())
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::File(_) => "File",
            Self::Postgres(_) => "Postgres",
            Self::Redis(_) => "Redis",
        };
        f.debug_tuple(kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_given() {
        for text in ["file:/tmp/a:b", "postgres://herd:hunter2@localhost/herd", "redis://:hunter2@localhost"]
        {
            assert_eq!(StoreAddress::parse(text).unwrap().secret_text().unwrap(), text);
        }
        assert_eq!(StoreAddress::parse("file:/tmp/a:b").unwrap().folder(), Some(Path::new("/tmp/a:b")));
    }

    #[test]
    fn the_error_for_an_address_does_not_repeat_it() {
        for wrong in ["", "file:", "file", "mysql://herd:hunter2@localhost/herd", "hunter2", "redis:hunter2"]
        {
            let error = StoreAddress::parse(wrong).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for wrong in ["postgres://herd:hunter2@localhost:hunter2/herd", "redis://herd:hunter2@:hunter2"] {
            for driver in Driver::value_variants() {
                let opened = StoreAddress::parse(wrong).unwrap().open(*driver).map(|_| ());
                let error = opened.unwrap_err().to_string();
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
}
