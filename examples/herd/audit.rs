//! What is left when all processes have ended: is every account still there, and can it be renewed?

use std::collections::BTreeSet;
use std::path::Path;

use hs_oauth_async::hs_oauth_store::TokenStore;
use hs_oauth_async::{Account, Client, FileStore, GrantState, StoreErrorKind};

use crate::Failure;
use crate::result::tell;

pub(crate) struct Audit {
    /// Accounts that cannot be renewed from what is stored.
    pub(crate) lost: BTreeSet<i64>,
    /// Files that were set aside as damaged, or cannot be read.
    pub(crate) corrupt: usize,
}

impl Audit {
    pub(crate) async fn of(folder: &Path, client: &Client, hubs: &[i64]) -> Result<Self, Failure> {
        let store = FileStore::open(folder)?;
        let mut audit = Self { lost: BTreeSet::new(), corrupt: 0 };
        for hub_id in hubs {
            if let Err(reason) = audit.renew(&store, client, *hub_id).await {
                tell(format_args!("account {hub_id} is lost: {reason}"));
                audit.lost.insert(*hub_id);
            }
        }
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name.to_string_lossy().contains(".damaged-") {
                tell(format_args!("a file was set aside: {}", name.display()));
                audit.corrupt += 1;
            }
        }
        Ok(audit)
    }

    async fn renew(&mut self, store: &FileStore, client: &Client, hub_id: i64) -> Result<(), Failure> {
        let stored = store.load(Account::hub(hub_id)).inspect_err(|error| {
            // One that is damaged is set aside by this, and counted as a file.
            self.corrupt += usize::from(error.kind() != StoreErrorKind::Damaged);
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
