//! The public store of a driver.

/// Writes what both stores have in common: their settings and the trait.
macro_rules! facade {
    ($store:ident) => {
        impl $store {
            /// Sets the name of the table, such as `tokens` or `oauth.tokens`. The default is [`TABLE`](crate::TABLE), which the
            /// `search_path` of the connections finds.
            ///
            /// # Errors
            /// [`StoreErrorKind::Refused`](hs_oauth_store::StoreErrorKind::Refused) if it is not a name, or a schema and a name, of lower-case letters from a to z, digits
            /// and underscores.
            pub fn table(self, name: &str) -> Result<Self, StoreError> {
                Ok(Self(self.0.with_table(name)?))
            }

            /// Sets how long a call may take: from a millisecond to a minute. The default is 2 seconds.
            ///
            /// A call that takes longer fails with [`StoreErrorKind::Unavailable`](hs_oauth_store::StoreErrorKind::Unavailable). Its connection is closed without another word to
            /// the server, and so are the idle connections on which nothing was heard since the call began. A write may still take effect.
            #[must_use]
            pub fn deadline(mut self, deadline: Duration) -> Self {
                self.0.calls.set_deadline(deadline);
                self
            }

            /// Sets how long a new connection may take at most: from a millisecond to a minute. The default is 5 seconds.
            ///
            /// The first has two fifths of that, since the network may have swallowed it. After one that took too long, the next has more time.
            /// A connect goes on when the call that asked for it has failed, and is there for the next one.
            #[must_use]
            pub fn connect_deadline(mut self, deadline: Duration) -> Self {
                self.0.calls.set_connect_deadline(deadline);
                self
            }

            /// Creates the table if it is missing. Several processes may do so at once.
            ///
            /// A migration tool of your own can do it with [`SCHEMA`](crate::SCHEMA).
            ///
            /// # Errors
            /// [`StoreErrorKind::Refused`](hs_oauth_store::StoreErrorKind::Refused) if the role may not create it, or if the table is there and cannot be used;
            /// [`StoreErrorKind::Unavailable`](hs_oauth_store::StoreErrorKind::Unavailable) if the server does not answer within 30 seconds.
            pub async fn create(&self) -> Result<(), StoreError> {
                self.0.create().await
            }

            /// Checks the store as `check` does, and returns in which ways the server can lose what it has acknowledged. Log them when the
            /// application starts.
            ///
            /// # Errors
            /// Those of `check`: [`StoreErrorKind::Refused`](hs_oauth_store::StoreErrorKind::Refused) for a standby, a read-only session, a table that is missing, unlogged or of a
            /// later version, a missing privilege and a full disk; [`StoreErrorKind::Unavailable`](hs_oauth_store::StoreErrorKind::Unavailable) for a server that does not answer.
            pub async fn warnings(&self) -> Result<Vec<Warning>, StoreError> {
                self.0.warnings().await
            }
        }

        /// Each call is a task of its own. A caller that drops the future of a method stops neither a write nor a connection that is
        /// being made.
        #[async_trait]
        impl AsyncTokenStore for $store {
            async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
                self.0.load(account).await
            }

            async fn swap(
                &self,
                account: Account,
                expected: Option<u64>,
                record: &Record,
            ) -> Result<Swapped, StoreError> {
                self.0.swap(account, expected, record).await
            }

            /// A page has at most 1000 records.
            async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
                self.0.page(cursor, limit).await
            }

            /// The account keeps its row, which has its last version.
            async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
                self.0.remove(account, expected).await
            }

            /// Asks the server about itself and about the table, and writes to a row that no account has.
            async fn check(&self) -> Result<(), StoreError> {
                self.0.check().await.map(drop)
            }
        }
    };
}

pub(crate) use facade;
