use std::time::Duration;

use deadpool_postgres::Pool;
use hs_oauth_store::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, Stored, Swapped, async_trait,
};

use crate::Warning;
use crate::driver::deadpool::Deadpool;
use crate::facade::facade;
use crate::store::Store;

/// A store in PostgreSQL over tokio-postgres, through a pool of the application's own.
#[derive(Clone, Debug)]
pub struct PgStore(Store<Deadpool>);

impl PgStore {
    /// Returns a store with this pool. It sends nothing yet.
    pub fn new(pool: Pool) -> Self {
        Self(Store::new(Deadpool { pool, is_prepared: false }))
    }

    /// Sets whether each connection prepares the statements once. The default is that it does not.
    ///
    /// Prepared statements take the server less time. Through pgbouncer in transaction mode they fail.
    #[must_use]
    pub fn prepared(mut self, is_prepared: bool) -> Self {
        self.0.calls.driver_mut().is_prepared = is_prepared;
        self
    }
}

facade!(PgStore);

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use deadpool_postgres::tokio_postgres::{Config, NoTls};
    use deadpool_postgres::{Manager, Runtime};
    use hs_oauth_store::StoreErrorKind;

    use super::*;

    fn poll_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the store waits"),
        }
    }

    fn store() -> PgStore {
        let pool = Pool::builder(Manager::new(Config::new(), NoTls)).runtime(Runtime::Tokio1).build();
        PgStore::new(pool.unwrap())
    }

    #[test]
    fn a_call_outside_of_a_runtime_is_an_error_that_says_what_to_do() {
        let error = poll_once(store().load(Account::hub(62_515))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert!(error.to_string().contains("BlockOn"), "{error}");
    }

    #[test]
    fn no_deadline_is_too_long_to_be_counted() {
        let store = store().deadline(Duration::MAX).connect_deadline(Duration::MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(store.load(Account::hub(62_515))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }

    #[test]
    fn nothing_is_sent_for_an_account_or_a_version_that_cannot_be_there() {
        let store = store();
        for account in [Account::hub(0), Account::user(62_515, 0), Account::user(62_515, -1)] {
            assert_eq!(poll_once(store.load(account)).unwrap(), None);
            assert!(!poll_once(store.remove(account, 1)).unwrap());
        }
        assert!(!poll_once(store.remove(Account::hub(62_515), u64::MAX)).unwrap());
        let refused = poll_once(store.page(Some(&Cursor::new("?")), 1)).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Refused);
    }

    #[test]
    fn its_debug_form_shows_no_password() {
        let mut config = Config::new();
        config.password("secret").host("localhost");
        let pool = Pool::builder(Manager::new(config, NoTls)).build().unwrap();
        let text = format!("{:?}", PgStore::new(pool));
        assert!(text.contains("localhost") && !text.contains("secret"), "{text}");
    }
}
