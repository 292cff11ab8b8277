mod envelope;
mod key;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};

use crate::{Swapped, TokenStore};

pub use key::{InvalidKey, Keys, SealingKey};

/// Encrypts the records of any store with XChaCha20-Poly1305. Every record gets a random nonce and is bound to its account.
///
/// In the place of each record, the inner store gets an envelope. An envelope is a record without tokens; its field `sealed`
/// names the key and holds the ciphertext of the whole record. All processes that share a store must wrap it with the same
/// keys. A store that is not a [`TokenStore`], such as an async one, can seal records with [`Keys::seal`] and open them with
/// [`Keys::open`].
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

impl<S: TokenStore> Sealed<S> {
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

    /// Seals every record with the current key that is not yet sealed with it.
    ///
    /// A record that fails does not stop the others. If another process writes a record in the meantime, the record is loaded
    /// and sealed again, so nothing that was written is lost.
    ///
    /// # Errors
    /// Any [`StoreError`] if the accounts cannot be listed. The errors of single accounts are in [`Resealed::failed`]. One of
    /// them is [`StoreErrorKind::Unavailable`], for a record that other processes changed again and again.
    pub fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut result = Resealed::default();
        for account in self.store.list()? {
            match self.reseal_one(account) {
                Ok(true) => result.resealed += 1,
                Ok(false) => {}
                Err(error) => result.failed.push((account, error)),
            }
        }
        Ok(result)
    }

    /// Returns whether the record had to be sealed anew.
    fn reseal_one(&self, account: Account) -> Result<bool, StoreError> {
        for _ in 0..MAX_TRIES {
            let Some(Stored { version, record: envelope }) = self.store.load(account)? else {
                return Ok(false);
            };
            if self.keys.is_current(&envelope) {
                return Ok(false);
            }
            let record = self.open(account, envelope)?;
            let envelope = self.keys.seal(account, &record)?;
            if let Swapped::Stored(_) = self.store.swap(account, Some(version), &envelope)? {
                return Ok(true);
            }
        }
        Err(StoreError::with_source(StoreErrorKind::Unavailable, "other processes kept changing the record"))
    }

    fn open(&self, account: Account, envelope: Record) -> Result<Record, StoreError> {
        match self.accepts_unsealed && !envelope::is_envelope(&envelope) {
            true => Ok(envelope),
            false => self.keys.open(account, &envelope),
        }
    }
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    /// # Errors
    /// The errors of the inner store, and:
    /// - [`StoreErrorKind::Unreadable`] for a record that is not sealed, or is sealed with a key that this store does not have;
    /// - [`StoreErrorKind::Damaged`] for a record that was altered, cut off or written for another account.
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let Some(Stored { version, record: envelope }) = self.store.load(account)? else { return Ok(None) };
        Ok(Some(Stored { version, record: self.open(account, envelope)? }))
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        self.store.swap(account, expected, &self.keys.seal(account, record)?)
    }

    fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.store.list()
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.store.remove(account, expected)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.store.check()
    }
}

#[cfg(test)]
mod tests;
