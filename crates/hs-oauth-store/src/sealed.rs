mod envelope;
mod key;

#[cfg(feature = "async")]
use async_trait::async_trait;
use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};

use crate::{AllPages, Cursor, Entry, Page, Swapped, TokenStore};

pub use key::{InvalidKey, Keys, SealingKey};

/// Encrypts the records of any store with XChaCha20-Poly1305. Every record gets a random nonce and is bound to its account.
///
/// In the place of each record, the inner store gets an envelope. An envelope is a record without tokens; its field `sealed`
/// names the key and holds the ciphertext of the whole record. All processes that share a store must wrap it with the same
/// keys. It is a `TokenStore` over a `TokenStore`, and an `AsyncTokenStore` over an `AsyncTokenStore` (feature `async`). A store of
/// another kind can seal records with [`Keys::seal`] and open them with [`Keys::open`].
///
/// ```
/// use hs_oauth_store::{Keys, MemoryStore, Sealed, SealingKey};
///
/// # let (new, old) = ([1; 32], [2; 32]); // from a secret manager
/// let keys = Keys::new(SealingKey::new("2026-09", new)?).with_key(SealingKey::new("2026-03", old)?)?;
/// let store = Sealed::new(MemoryStore::new(), keys);
/// assert!(store.reseal()?.failed.is_empty()); // from now on "2026-03" is not needed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Changing the key
///
/// 1. Give every process the new key as a second key.
/// 2. In every process, make the new key the current one and the old key the second.
/// 3. Call [`reseal`](Self::reseal) once.
/// 4. If nothing failed, remove the old key from every process.
///
/// Begin a step only when the step before it has reached every process.
///
/// # What it does not protect
///
/// Anyone who can read the inner store still sees the accounts, how many grants each account had, the state of the grants, and
/// when and how much is written. Anyone who can write to the inner store can remove a record, or put back an older record of
/// the same account. They cannot alter a record, nor use it for another account. Anyone who has the keys can do everything.
#[derive(Debug)]
pub struct Sealed<S> {
    store: S,
    keys: Keys,
    accepts_unsealed: bool,
}

/// The result of [`Sealed::reseal`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Resealed {
    /// The number of records that were sealed anew with the current key.
    pub resealed: usize,
    /// The accounts whose records could not be opened or written, each with its error.
    pub failed: Vec<(Account, StoreError)>,
}

/// How often [`Sealed::reseal`] tries to write a record that other processes keep changing.
const MAX_TRIES: u32 = 100;

/// How many records [`Sealed::reseal`] holds at once.
const PAGE: usize = 500;

impl<S> Sealed<S> {
    /// Creates a store that seals what is written to `store` and opens what is read from it. A record that is not sealed
    /// cannot be loaded.
    pub const fn new(store: S, keys: Keys) -> Self {
        Self { store, keys, accepts_unsealed: false }
    }

    /// Also loads records that are not sealed, so that a store in use can be sealed.
    ///
    /// Let every process accept unsealed records, call [`reseal`](Self::reseal), and then let no process accept them any more.
    /// A process that does not accept them yet gets [`StoreErrorKind::Unreadable`] for the records that other processes have
    /// sealed. While a process accepts unsealed records, anyone who can write to the inner store can give it a record of
    /// their own.
    #[must_use]
    pub fn with_unsealed_records(self) -> Self {
        Self { accepts_unsealed: true, ..self }
    }

    /// Returns the inner store, which holds the envelopes.
    ///
    /// To give up an account whose envelope can no longer be opened, remove the envelope with [`remove`](TokenStore::remove)
    /// of the inner store.
    pub const fn get_ref(&self) -> &S {
        &self.store
    }

    fn open(&self, account: Account, envelope: Record) -> Result<Record, StoreError> {
        match self.accepts_unsealed && !envelope::is_envelope(&envelope) {
            true => Ok(envelope),
            false => self.keys.open(account, &envelope),
        }
    }

    fn open_stored(&self, account: Account, stored: Stored) -> Result<Stored, StoreError> {
        Ok(Stored { version: stored.version, record: self.open(account, stored.record)? })
    }

    fn open_page(&self, page: Page) -> Page {
        let open = |Entry { account, stored }| Entry {
            account,
            stored: stored.and_then(|stored| self.open_stored(account, stored)),
        };
        Page { entries: page.entries.into_iter().map(open).collect(), next: page.next }
    }

    /// Returns the envelope sealed anew with the current key, or `None` if it is sealed with it already.
    fn seal_anew(&self, account: Account, envelope: Record) -> Result<Option<Record>, StoreError> {
        match self.keys.is_current(&envelope) {
            true => Ok(None),
            false => self.keys.seal(account, &self.open(account, envelope)?).map(Some),
        }
    }
}

impl Resealed {
    fn add(&mut self, account: Account, result: Result<bool, StoreError>) {
        match result {
            Ok(is_resealed) => self.resealed += usize::from(is_resealed),
            // A record may be in several pages.
            Err(_) if self.failed.iter().any(|(failed, _)| *failed == account) => {}
            Err(error) => self.failed.push((account, error)),
        }
    }
}

fn keeps_changing() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "other processes kept changing the record")
}

/// Defines the resealing of a store, which differs between sync and async stores in nothing but `async` and `await`.
macro_rules! define_reseal {
    ($(#[$documentation:meta])* $reseal:ident, $reseal_one:ident, $store:path, ($($async:tt)?), ($($await:tt)*)) => {
        impl<S: $store> Sealed<S> {
            $(#[$documentation])*
            pub $($async)? fn $reseal(&self) -> Result<Resealed, StoreError> {
                let mut result = Resealed::default();
                let mut pages = AllPages::new();
                while let Some(cursor) = pages.cursor() {
                    let page = self.store.page(cursor, PAGE)$($await)*?;
                    for entry in pages.read(page) {
                        let account = entry.account;
                        result.add(account, self.$reseal_one(entry)$($await)*);
                    }
                }
                Ok(result)
            }

            /// Returns whether the record had to be sealed anew.
            $($async)? fn $reseal_one(&self, Entry { account, stored }: Entry) -> Result<bool, StoreError> {
                let mut loaded = Some(stored?);
                for _ in 0..MAX_TRIES {
                    let Some(Stored { version, record: envelope }) = loaded else { return Ok(false) };
                    let Some(envelope) = self.seal_anew(account, envelope)? else { return Ok(false) };
                    if let Swapped::Stored(_) = self.store.swap(account, Some(version), &envelope)$($await)*? {
                        return Ok(true);
                    }
                    loaded = self.store.load(account)$($await)*?;
                }
                Err(keeps_changing())
            }
        }
    };
}

define_reseal! {
    /// Seals every record with the current key that is not yet sealed with it.
    ///
    /// A record that fails does not stop the others. If another process writes a record in the meantime, the record is loaded
    /// and sealed again, so nothing that was written is lost.
    ///
    /// # Errors
    /// Any [`StoreError`] if the accounts cannot be listed. The errors of single accounts are in [`Resealed::failed`]. One of
    /// them is [`StoreErrorKind::Unavailable`], for a record that other processes changed again and again.
    reseal, reseal_one, TokenStore, (), ()
}

#[cfg(feature = "async")]
define_reseal! {
    /// Does what [`reseal`](Self::reseal) does, over an async store.
    ///
    /// # Errors
    /// Those of [`reseal`](Self::reseal).
    reseal_async, reseal_one_async, crate::AsyncTokenStore, (async), (.await)
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    /// # Errors
    /// The errors of the inner store, and:
    /// - [`StoreErrorKind::Unreadable`] for a record that is not sealed, or is sealed with a key that this store does not have;
    /// - [`StoreErrorKind::Damaged`] for a record that was altered, cut off or written for another account.
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.store.load(account)?.map(|stored| self.open_stored(account, stored)).transpose()
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        self.store.swap(account, expected, &self.keys.seal(account, record)?)
    }

    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.open_page(self.store.page(cursor, limit)?))
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.store.remove(account, expected)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.store.check()
    }
}

#[cfg(feature = "async")]
#[async_trait]
impl<S: crate::AsyncTokenStore> crate::AsyncTokenStore for Sealed<S> {
    /// # Errors
    /// Those of the sync form.
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.store.load(account).await?.map(|stored| self.open_stored(account, stored)).transpose()
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        self.store.swap(account, expected, &self.keys.seal(account, record)?).await
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.open_page(self.store.page(cursor, limit).await?))
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.store.remove(account, expected).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }
}

#[cfg(test)]
mod tests;
