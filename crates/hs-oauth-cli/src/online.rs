//! Asks HubSpot about accounts, for the commands that look at the store otherwise.

use clap::Args;
use hs_oauth_blocking::TokenStore;

use crate::account_report::AccountReport;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::waiting;

/// The flag of a command that can ask HubSpot.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Online {
    /// Also ask HubSpot whether each refresh token is active, with one request each
    #[arg(long)]
    online: bool,
}

impl Online {
    /// Asks HubSpot about each account if the flag is given. Nothing is changed, neither at HubSpot nor in the store.
    pub(crate) fn ask(
        self,
        settings: &Settings,
        store: &dyn TokenStore,
        accounts: &mut [AccountReport],
    ) -> Result<(), Failure> {
        if !self.online {
            return Ok(());
        }
        let client = settings.client()?;
        for report in accounts {
            // A record that cannot be read is reported already.
            let stored = store.load(report.account).ok().flatten();
            let tokens = stored.and_then(|stored| stored.record.tokens);
            if let Some(token) = tokens.and_then(|tokens| tokens.refresh_token) {
                let answer = waiting::for_hubspot(client.app(), || client.introspect(token))?;
                report.online = Some(answer.is_active());
            }
        }
        Ok(())
    }
}
