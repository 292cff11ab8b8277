mod key;
mod shell;

use hs_oauth_core::{Account, Record, StoreError, StoreErrorKind, Stored};

use crate::{Swapped, TokenStore};

pub use key::{InvalidKey, Keys, SealingKey};

/// Any store, with its records encrypted: XChaCha20-Poly1305 with a random nonce, bound to the account.
///
/// The store below gets a shell: a record without tokens whose field `sealed` names the key and holds the ciphertext of the whole
/// record. Processes that share a store all wrap it with the same keys. A store that is not a [`TokenStore`], such as an async
/// one, seals and opens with [`Keys::seal`] and [`Keys::open`].
///
/// ```
/// use hs_oauth_store::{Keys, MemoryStore, Sealed, SealingKey};
///
/// # let (new, old) = ([1; 32], [2; 32]); // of a secret manager
/// let keys = Keys::new(SealingKey::new("2026-09", new)?).and(SealingKey::new("2026-03", old)?)?;
/// let store = Sealed::new(MemoryStore::new(), keys);
/// assert!(store.reseal()?.failed.is_empty()); // now "2026-03" can go
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Change of keys
///
/// Give every process the new key beside the old one, then make it the first everywhere, then [`reseal`](Self::reseal) once,
/// and when nothing failed take the old key away. A step begins when the one before it has reached every process.
///
/// # What it does not do
///
/// Who can read the store below still sees the accounts, how many grants each had, their state, and when and how much is
/// written. Who can write to it can remove a record, or put back an older one of the same account; not alter one, nor give it
/// to another account. Who has the keys has everything.
#[derive(Debug)]
pub struct Sealed<S> {
    store: S,
    keys: Keys,
    plain: bool,
}

/// What [`Sealed::reseal`] did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Resealed {
    /// How many records it wrote anew.
    pub resealed: usize,
    /// The accounts whose records could not be opened or written, and why.
    pub failed: Vec<(Account, StoreError)>,
}

/// How often a record is tried again that others keep writing to.
const TRIES: u32 = 100;

impl<S: TokenStore> Sealed<S> {
    /// Seals what is written to `store`, and opens what is read from it. A record that is not sealed is refused.
    pub const fn new(store: S, keys: Keys) -> Self {
        Self { store, keys, plain: false }
    }

    /// Also reads records that are not sealed, to move a store in use: let every process do so, [`reseal`](Self::reseal), and
    /// then let none. Until it does, a process gets [`StoreErrorKind::Unreadable`] for what the others sealed. In between, who
    /// can write to the store below can put in a record of their own.
    #[must_use]
    pub fn accept_plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// The store below, which holds the shells. An account whose shell cannot be opened any more is given up with its
    /// [`remove`](TokenStore::remove).
    pub const fn inner(&self) -> &S {
        &self.store
    }

    /// Writes every record anew that is not sealed with the current key. One that fails does not stop the others. A process
    /// that writes in the meantime is waited for, so nothing it wrote is lost.
    ///
    /// # Errors
    /// If the accounts cannot be listed. What failed of a single one is in [`Resealed::failed`].
    pub fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut done = Resealed::default();
        for account in self.store.list()? {
            match self.reseal_one(account) {
                Ok(true) => done.resealed += 1,
                Ok(false) => {}
                Err(error) => done.failed.push((account, error)),
            }
        }
        Ok(done)
    }

    fn reseal_one(&self, account: Account) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let Some(Stored { version, record: shell }) = self.store.load(account)? else { return Ok(false) };
            if self.keys.is_current(&shell) {
                return Ok(false);
            }
            let record = self.open(account, shell)?;
            if let Swapped::Stored(_) =
                self.store.swap(account, Some(version), &self.keys.seal(account, &record)?)?
            {
                return Ok(true);
            }
        }
        Err(StoreError::with_source(StoreErrorKind::Unavailable, "others kept writing"))
    }

    fn open(&self, account: Account, shell: Record) -> Result<Record, StoreError> {
        match self.plain && !shell::is_sealed(&shell) {
            true => Ok(shell),
            false => self.keys.open(account, &shell),
        }
    }
}

impl<S: TokenStore> TokenStore for Sealed<S> {
    /// # Errors
    /// Besides the store's own: [`StoreErrorKind::Unreadable`] for a record that is not sealed, or sealed with a key that is not
    /// at hand; [`StoreErrorKind::Damaged`] for one that was altered, cut or written for another account.
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let Some(Stored { version, record: shell }) = self.store.load(account)? else { return Ok(None) };
        Ok(Some(Stored { version, record: self.open(account, shell)? }))
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
