//! The store with the tokens of a profile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hs_oauth_blocking::{
    Account, AllPages, Entry, FileStore, Keys, Sealed, SealingKey, StoreError, TokenStore,
};

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
    let key = KeptSecret::SealingKey.read_or_make(profile, || match read_all(&files, Some)?.is_empty() {
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

/// Returns what `read` makes of each record, disconnected ones included, in the order of the accounts. Where it returns `None`, the account
/// is left out.
pub(crate) fn read_all<T>(
    store: &dyn TokenStore,
    read: impl Fn(Entry) -> Option<T>,
) -> Result<BTreeMap<Account, T>, StoreError> {
    let (mut pages, mut all) = (AllPages::new(), BTreeMap::new());
    while let Some(cursor) = pages.cursor() {
        for entry in pages.read(store.page(cursor, PAGE_SIZE)?) {
            let account = entry.account;
            // An account may be in several pages. What was read last counts.
            match read(entry) {
                Some(value) => all.insert(account, value),
                None => all.remove(&account),
            };
        }
    }
    Ok(all)
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
