//! The check after all processes have ended: is every account still stored, and can it be renewed?

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hs_oauth_async::{Account, AsyncTokenStore, Client, GrantState, StoreError, StoreErrorKind, Stored};
use hs_oauth_examples::{BoxError, print_progress};

/// What the check found.
pub(crate) struct Audit {
    /// Accounts that cannot be renewed from what is stored.
    pub(crate) lost_accounts: BTreeSet<i64>,
    /// How many files were set aside as damaged, and how many records cannot be read.
    pub(crate) corrupt_files: usize,
}

/// How often a load is tried while the store does not answer, and how long the check waits in between.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(500);

impl Audit {
    /// Renews every account from what is stored, and looks for damaged files in the folder, if the store is one.
    pub(crate) async fn run(
        store: &impl AsyncTokenStore,
        folder: Option<&Path>,
        client: &Client,
        hubs: &[i64],
    ) -> Result<Self, BoxError> {
        let mut audit = Self { lost_accounts: BTreeSet::new(), corrupt_files: 0 };
        for hub_id in hubs {
            let loaded = load(store, Account::hub(*hub_id)).await.inspect_err(|error| {
                audit.corrupt_files += usize::from(match error.kind() {
                    // Loading sets a damaged file aside, which is counted below by its name.
                    StoreErrorKind::Damaged => folder.is_none(),
                    kind => kind == StoreErrorKind::Unreadable,
                });
            });
            let renewed = match loaded {
                Ok(stored) => renew(stored, client).await,
                Err(error) => Err(error.into()),
            };
            if let Err(reason) = renewed {
                print_progress(format_args!("account {hub_id} is lost: {reason}"));
                audit.lost_accounts.insert(*hub_id);
            }
        }
        let Some(folder) = folder else { return Ok(audit) };
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name.to_string_lossy().contains(".damaged-") {
                print_progress(format_args!("a file was set aside: {}", name.display()));
                audit.corrupt_files += 1;
            }
        }
        Ok(audit)
    }
}

/// Loads the record of an account. A store that does not answer is asked again, for it may have a fault that passes.
async fn load(store: &impl AsyncTokenStore, account: Account) -> Result<Option<Stored>, StoreError> {
    let mut tries = 1;
    loop {
        match store.load(account).await {
            Err(error) if error.kind() == StoreErrorKind::Unavailable && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn renew(stored: Option<Stored>, client: &Client) -> Result<(), BoxError> {
    let record = stored.ok_or("nothing is stored")?.record;
    if record.state != GrantState::Live {
        return Err(format!("its grant is {:?}, unsettled {}", record.state, record.unsettled).into());
    }
    let refresh_token = record.tokens.and_then(|tokens| tokens.refresh_token).ok_or("no refresh token")?;
    client.refresh(&refresh_token).await?;
    Ok(())
}
