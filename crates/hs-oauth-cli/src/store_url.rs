//! Where a fleet keeps its tokens: the URL of a server, and what opens the store there.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hs_oauth_blocking::TokenStore;

use crate::environment::STORE;
use crate::failure::Failure;
#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::unsealed::Unsealed;

/// The URL of a store. `Debug` and `Display` show no password.
#[derive(Clone)]
pub(crate) struct StoreUrl {
    kind: Kind,
    url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Postgres,
    Redis,
}

impl StoreUrl {
    /// Reads a URL. No error repeats it.
    pub(crate) fn parse(url: String) -> Result<Self, Failure> {
        let kind = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Kind::Postgres,
            Some(("redis", _)) => Kind::Redis,
            _ => {
                return Err(Failure::usage(
                    "the URL of a store begins with postgres:// or redis://; without one, the tokens are in the profile's folder",
                ));
            }
        };
        let store = Self { kind, url };
        match store.leads_to_this_machine() {
            true => Ok(store),
            false => Err(Failure::usage(
                "the program does not encrypt what it says to a store, so the host of the store has to be localhost or a loopback \
                 address: make a tunnel to it, for instance by `ssh -L`",
            )),
        }
    }

    /// Fails if there is a password in the URL: the command line can be read by other processes.
    pub(crate) fn refuse_password(&self) -> Result<(), Failure> {
        match self.user_info().is_some_and(|user_info| user_info.contains(':'))
            || self.url.contains("password=")
        {
            false => Ok(()),
            true => Err(Failure::usage(format!(
                "the URL has a password, and other processes can read the command line: set {} instead",
                STORE.name
            ))),
        }
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Result<Arc<dyn TokenStore>, Failure> {
        match self.kind {
            #[cfg(feature = "postgres")]
            Kind::Postgres => postgres(&self.url),
            #[cfg(feature = "redis")]
            Kind::Redis => redis(&self.url),
            #[cfg(not(all(feature = "postgres", feature = "redis")))]
            kind => Err(Failure::usage(format!(
                "this program was built without {kind:?}: install it with `--features {}`",
                format!("{kind:?}").to_lowercase()
            ))),
        }
    }

    fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }

    fn user_info(&self) -> Option<&str> {
        self.authority().rsplit_once('@').map(|(user_info, _)| user_info)
    }

    /// Returns whether all hosts of the URL are this machine. A parameter may name another host.
    fn leads_to_this_machine(&self) -> bool {
        let hosts = self.authority().rsplit_once('@').map_or(self.authority(), |(_, hosts)| hosts);
        let names_host_elsewhere = ["host=", "hostaddr="].iter().any(|name| self.url.contains(name));
        !names_host_elsewhere && hosts.split(',').all(is_this_machine)
    }
}

/// Returns whether a host with an optional port is this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Arc<dyn TokenStore>, Failure> {
    use deadpool_postgres::tokio_postgres::{Config, NoTls};
    use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
    use hs_oauth_postgres::{BlockOn, PgStore};

    // The driver's error might repeat a part of the URL.
    let unreadable = |_| Failure::usage("the URL of PostgreSQL cannot be read");
    let config: Config = url.parse().map_err(unreadable)?;
    let manager =
        Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let pool = Pool::builder(manager).max_size(2).build();
    let pool = pool.map_err(|_| Failure::usage("the pool of PostgreSQL cannot be built"))?;
    Ok(Arc::new(Unsealed(BlockOn::new(PgStore::new(pool))?)))
}

#[cfg(feature = "redis")]
fn redis(url: &str) -> Result<Arc<dyn TokenStore>, Failure> {
    use hs_oauth_redis::{BlockOn, RedisStore, redis::Client};

    let client = Client::open(url).map_err(|_| Failure::usage("the URL of Redis cannot be read"))?;
    Ok(Arc::new(Unsealed(BlockOn::new(RedisStore::new(client))?)))
}

/// Shows the URL without user and password, and without parameters.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        let hosts = self.authority().rsplit_once('@').map_or(self.authority(), |(_, hosts)| hosts);
        write!(f, "{scheme}://{hosts}")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<StoreUrl, Failure> {
        StoreUrl::parse(url.to_owned())
    }

    #[test]
    fn a_store_is_on_this_machine_and_no_error_repeats_its_url() {
        for url in [
            "postgres://localhost/app",
            "postgresql://me:hunter2@127.0.0.1:5432/app?sslmode=disable",
            "postgres://me@localhost:1,[::1]:2/app",
            "redis://:hunter2@[::1]:6379/1",
            "redis://127.8.0.1",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "hunter2",
            "mysql://me:hunter2@localhost/app",
            "postgres://me:hunter2@db.example/app",
            "postgres://me:hunter2@localhost,db.example/app",
            "postgres://me:hunter2@/app?host=db.example",
            "postgres://localhost/app?hostaddr=10.0.0.1&password=hunter2",
            "redis://:hunter2@localhost@db.example",
            "redis://localhost.example/hunter2",
            "rediss://hunter2@localhost",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_stays_off_the_command_line_and_off_the_screen() {
        for url in ["postgres://me:hunter2@localhost/app", "redis://localhost/?password=hunter2"] {
            let store = parse(url).unwrap();
            let error = store.refuse_password().unwrap_err().to_string();
            assert!(error.contains("HS_OAUTH_STORE") && !error.contains("hunter2"), "{error}");
            assert!(!format!("{store} {store:?}").contains("hunter2"));
        }
        let store = parse("postgres://me@localhost:5432/app").unwrap();
        assert!(store.refuse_password().is_ok());
        assert_eq!(store.to_string(), "postgres://localhost:5432");
    }
}
