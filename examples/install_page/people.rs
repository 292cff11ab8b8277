//! Who has connected which account. This stands for a table of your database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hs_oauth_async::Account;
use tempfile::NamedTempFile;

pub(crate) struct People {
    file: PathBuf,
    accounts: Mutex<Accounts>,
}

type Accounts = BTreeMap<String, BTreeSet<Account>>;

impl People {
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let accounts = match std::fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Accounts::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file, accounts: Mutex::new(accounts) })
    }

    pub(crate) fn accounts(&self, person: &str) -> BTreeSet<Account> {
        self.lock().get(person).cloned().unwrap_or_default()
    }

    /// Returns whether somebody else has connected the account, too. Its tokens are theirs as well then.
    pub(crate) fn is_shared(&self, person: &str, account: Account) -> bool {
        self.lock().iter().any(|(other, accounts)| other != person && accounts.contains(&account))
    }

    /// Returns whether anybody has connected the account.
    pub(crate) fn is_connected(&self, account: Account) -> bool {
        self.lock().values().any(|accounts| accounts.contains(&account))
    }

    pub(crate) fn add(&self, person: &str, account: Account) -> io::Result<()> {
        self.change(|accounts| _ = accounts.entry(person.to_owned()).or_default().insert(account))
    }

    pub(crate) fn remove(&self, person: &str, account: Account) -> io::Result<()> {
        self.change(|accounts| _ = accounts.entry(person.to_owned()).or_default().remove(&account))
    }

    pub(crate) fn remove_from_all(&self, account: Account) -> io::Result<()> {
        self.change(|accounts| accounts.values_mut().for_each(|of_one| _ = of_one.remove(&account)))
    }

    /// Writes a new file and puts it in the place of the old one, so that there is a whole one at every moment.
    fn change(&self, change: impl FnOnce(&mut Accounts)) -> io::Result<()> {
        let mut accounts = self.lock();
        let mut changed = accounts.clone();
        change(&mut changed);
        let mut file = NamedTempFile::new_in(self.file.parent().unwrap_or(&self.file))?;
        file.write_all(&serde_json::to_vec_pretty(&changed)?)?;
        file.persist(&self.file)?;
        *accounts = changed;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
