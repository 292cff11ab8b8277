//! Asks HubSpot about accounts, for the commands that look at the store otherwise.

use clap::Args;

use crate::account_status::AccountStatus;
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
    pub(crate) fn ask(self, settings: &Settings, accounts: &mut [AccountStatus]) -> Result<(), Failure> {
        if !self.online {
            return Ok(());
        }
        let client = settings.client()?;
        for status in accounts {
            if let Some(token) = status.refresh_token().cloned() {
                let answer = waiting::for_hubspot(client.app(), || client.introspect(token))?;
                status.online = Some(answer.is_active());
            }
        }
        Ok(())
    }
}
