//! The check after all processes have ended: is every account still stored, and can it be renewed?

use std::collections::BTreeSet;
use std::path::Path;

use hs_oauth_async::{Account, Client, FileStore, GrantState, StoreErrorKind, TokenStore};
use hs_oauth_examples::BoxError;

use crate::progress::print_progress;

/// What the check found.
pub(crate) struct Audit {
    /// Accounts that cannot be renewed from what is stored.
    pub(crate) lost_accounts: BTreeSet<i64>,
    /// How many files were set aside as damaged or cannot be read.
    pub(crate) corrupt_files: usize,
}

impl Audit {
    /// Renews every account from what is stored, and looks for damaged files.
    pub(crate) async fn run(folder: &Path, client: &Client, hubs: &[i64]) -> Result<Self, BoxError> {
        let store = FileStore::open(folder)?;
        let mut audit = Self { lost_accounts: BTreeSet::new(), corrupt_files: 0 };
        for hub_id in hubs {
            if let Err(reason) = audit.renew(&store, client, *hub_id).await {
                print_progress(format_args!("account {hub_id} is lost: {reason}"));
                audit.lost_accounts.insert(*hub_id);
            }
        }
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name.to_string_lossy().contains(".damaged-") {
                print_progress(format_args!("a file was set aside: {}", name.display()));
                audit.corrupt_files += 1;
            }
        }
        Ok(audit)
    }

    async fn renew(&mut self, store: &FileStore, client: &Client, hub_id: i64) -> Result<(), BoxError> {
        let stored = store.load(Account::hub(hub_id)).inspect_err(|error| {
            // Loading sets a damaged file aside, and `run` counts it by its name.
            self.corrupt_files += usize::from(error.kind() != StoreErrorKind::Damaged);
        })?;
        let record = stored.ok_or("nothing is stored")?.record;
        if record.state != GrantState::Live {
            return Err(format!("its grant is {:?}, unsettled {}", record.state, record.unsettled).into());
        }
        let refresh_token =
            record.tokens.and_then(|tokens| tokens.refresh_token).ok_or("no refresh token")?;
        client.refresh(&refresh_token).await?;
        Ok(())
    }
}
