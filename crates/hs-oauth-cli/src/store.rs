//! The store with the tokens of a profile.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hs_oauth_blocking::{Account, FileStore, Keys, Sealed, SealingKey, StoreError, TokenStore};

use crate::failure::Failure;
use crate::kept_secret::KeptSecret;
use crate::profile::Profile;

/// A store of any kind.
pub(crate) type Store = Arc<dyn TokenStore>;

/// Opens the store of a profile, and creates it if it is missing: files in the profile's folder, sealed with the profile's key. A store with a
/// URL is taken as it is.
pub(crate) fn open(profile: &Profile) -> Result<Store, Failure> {
    if let Some(url) = profile.store() {
        return url.open();
    }
    let files = FileStore::open(folder(profile))?;
    let key = KeptSecret::SealingKey.read_or_make(profile, || match accounts(&files)?.is_empty() {
        true => new_key(),
        false => Err(Failure::Other(format!(
            "{} is missing, and without it nobody can read the tokens of the profile {}: put it back, or remove the tokens \
             and connect each account again",
            KeptSecret::SealingKey.path(profile).display(),
            profile.name(),
        ))),
    })?;
    let key = parse_key(&key).ok_or_else(|| {
        Failure::Other(format!("{} holds no key", KeptSecret::SealingKey.path(profile).display()))
    })?;
    Ok(Arc::new(Sealed::new(files, Keys::new(key))))
}

/// Opens the store of a profile, or returns `None` if nothing was ever stored. Fails if there is no trace of such a profile.
pub(crate) fn open_if_any(profile: &Profile) -> Result<Option<Store>, Failure> {
    profile.require_trace()?;
    match exists(profile) {
        true => open(profile).map(Some),
        false => Ok(None),
    }
}

/// Returns whether something may have been stored for the profile.
pub(crate) fn exists(profile: &Profile) -> bool {
    profile.store().is_some() || folder(profile).exists()
}

/// Returns where the tokens of a profile are, for people.
pub(crate) fn place(profile: &Profile) -> String {
    profile.store().map_or_else(|| folder(profile).display().to_string(), ToString::to_string)
}

/// Returns every account that has a record, disconnected ones included, in order.
pub(crate) fn accounts(store: &dyn TokenStore) -> Result<Vec<Account>, StoreError> {
    let mut accounts = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = store.page(cursor.as_ref(), PAGE_SIZE)?;
        accounts.extend(page.entries.iter().map(|entry| entry.account));
        match page.next {
            None => return Ok(accounts.into_iter().collect()),
            next => cursor = next,
        }
    }
}

/// How many records are read at once.
const PAGE_SIZE: usize = 500;

/// Returns the folder with the tokens. It may not exist yet.
fn folder(profile: &Profile) -> PathBuf {
    profile.folder().join("tokens")
}

/// Returns a new key as it is kept: a random name and 32 random bytes.
fn new_key() -> Result<String, Failure> {
    let random = |error| Failure::Other(format!("the operating system gives no random bytes: {error}"));
    let mut id = [0; 4];
    let mut key = [0; 32];
    getrandom::fill(&mut id).map_err(random)?;
    getrandom::fill(&mut key).map_err(random)?;
    Ok(format!("{:08x}:{}", u32::from_be_bytes(id), STANDARD.encode(key)))
}

fn parse_key(text: &str) -> Option<SealingKey> {
    let (id, key) = text.split_once(':')?;
    let key = STANDARD.decode(key).ok()?;
    SealingKey::new(id, key.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_can_be_read_and_is_never_the_same() {
        let (one, other) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one, other);
        assert_ne!(parse_key(&one).unwrap().id(), parse_key(&other).unwrap().id());
        for text in [
            "",
            "a",
            "a:",
            "a:AAAA",
            ":AAAA",
            one.trim_end_matches('=').trim_end_matches(char::is_alphanumeric),
        ] {
            assert!(parse_key(text).is_none(), "{text}");
        }
    }
}
