//! The system's keyring: the Secret Service of a Linux desktop, the Keychain of macOS, the Credential Manager of Windows.
//!
//! It is an optional part of the program (feature `keyring`). Without it, nobody finds a keyring.

/// The variable that says whether the keyring is used: not at all if it is `off`.
const VARIABLE: &str = "HS_OAUTH_KEYRING";

/// Keeps a secret under this name, in the place of what was kept. Returns whether a keyring is there and gives the secret back.
pub(crate) fn set(name: &str, secret: &str) -> bool {
    is_wanted() && platform::set(name, secret).is_ok() && platform::get(name).as_deref() == Ok(secret)
}

/// Returns the secret that is kept under this name, or why there is none.
pub(crate) fn get(name: &str) -> Result<String, String> {
    match is_wanted() {
        true => platform::get(name),
        false => Err(format!("{VARIABLE} is off")),
    }
}

fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_none_or(|value| value != "off")
}

#[cfg(all(feature = "keyring", any(unix, windows)))]
mod platform {
    use std::sync::Arc;

    use hs_oauth_blocking::error_text;
    use keyring_core::{CredentialStore, Entry};

    /// The name under which the keyring shows all entries of this program.
    const SERVICE: &str = "hs-oauth";

    pub(super) fn set(name: &str, secret: &str) -> Result<(), String> {
        entry(name)?.set_password(secret).map_err(|error| error_text(&error))
    }

    pub(super) fn get(name: &str) -> Result<String, String> {
        entry(name)?.get_password().map_err(|error| error_text(&error))
    }

    fn entry(name: &str) -> Result<Entry, String> {
        let store: Arc<CredentialStore> = store()?;
        Entry::new_in_store(&store, SERVICE, name).map_err(|error| error_text(&error))
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn store() -> Result<Arc<CredentialStore>, String> {
        // Without a session, D-Bus would start one of its own, which ends with the program.
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let runtime_folder = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
        if !is_set("DBUS_SESSION_BUS_ADDRESS")
            && !runtime_folder.is_some_and(|folder| folder.join("bus").exists())
        {
            return Err("there is no session of D-Bus".to_owned());
        }
        let store = dbus_secret_service_keyring_store::Store::new();
        store.map(|store| store as Arc<CredentialStore>).map_err(|error| error_text(&error))
    }

    #[cfg(target_os = "macos")]
    fn store() -> Result<Arc<CredentialStore>, String> {
        let store = apple_native_keyring_store::keychain::Store::new();
        store.map(|store| store as Arc<CredentialStore>).map_err(|error| error_text(&error))
    }

    #[cfg(windows)]
    fn store() -> Result<Arc<CredentialStore>, String> {
        let store = windows_native_keyring_store::Store::new();
        store.map(|store| store as Arc<CredentialStore>).map_err(|error| error_text(&error))
    }
}

#[cfg(not(all(feature = "keyring", any(unix, windows))))]
mod platform {
    const NONE: &str = "this program was built without the feature keyring";

    pub(super) fn set(_: &str, _: &str) -> Result<(), String> {
        Err(NONE.to_owned())
    }

    pub(super) fn get(_: &str) -> Result<String, String> {
        Err(NONE.to_owned())
    }
}
