//! Calls of HubSpot's with an account's bearer: the details of the account, and the end of its install.

use hs_oauth_core::http::StatusCode;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{AccessToken, Account, AccountDetails, Endpoint, Error, ReadAccountDetails, Uninstall};
use hs_oauth_manager::{access_token, random};

use crate::manager::TokenManager;

impl TokenManager {
    /// Asks HubSpot about the account: its time zone, its currency, its kind. After a 401 it obtains another bearer, by a renewal if necessary,
    /// and asks once more.
    ///
    /// From then on, a `DAILY` 429 makes this process wait for the account until its midnight, and not for an hour. For a response to a call
    /// of your own, [`AccountDetails::next_step_after`] says so.
    ///
    /// # Errors
    /// - Those of [`bearer`](Self::bearer) if there is no bearer, and those of [`bearer_after_401`](Self::bearer_after_401).
    /// - [`TokenError::Call`] if HubSpot refused the call, or the response cannot be used, or none came.
    pub fn account_details(&self, account: Account) -> Result<AccountDetails, TokenError> {
        let details = self.call_as(account, ReadAccountDetails::new)?;
        self.inner().shared.note_details(account, &details);
        Ok(details)
    }

    /// Takes the app out of the account, and then forgets the account's tokens. HubSpot mails the account's admins.
    ///
    /// This ends the install for everyone: use it if the customer wants the app gone. Each other tenant that shares the account loses it too.
    /// [`disconnect`](Self::disconnect) ends the grant and leaves the app installed, and [`forget`](Self::forget) leaves both as they are.
    /// The account must have granted the scope `oauth`. If HubSpot has ended the grant already, the app counts as uninstalled. Once the app is
    /// uninstalled, another call, of this process or another, has nothing to do and is `Ok`.
    ///
    /// # Errors
    /// As long as the call has not succeeded, nothing is forgotten, and the account keeps working.
    /// - [`TokenError::NotInstalled`] if no tokens are stored for the account: it never connected the app, or was disconnected or forgotten.
    ///   The app may still be installed then, and without a token it cannot be taken out.
    /// - Those of [`bearer`](Self::bearer) if there is no bearer, and those of [`bearer_after_401`](Self::bearer_after_401).
    ///   [`TokenError::Gone`] only if the grant was probably lost in a renewal. The app may then still be installed.
    /// - [`TokenError::Call`] if HubSpot refused the call or no response came.
    /// - [`TokenError::UninstallUnsaved`] if the app is uninstalled and the store then failed. Call this again when the store works.
    /// - [`TokenError::Superseded`] if the account was installed meanwhile.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn uninstall(&self, account: Account) -> Result<(), TokenError> {
        let inner = self.inner();
        inner.shared.check_level(account)?;
        let task = inner.shared.flights.start_task()?;
        let grant = inner.load(account).map_err(TokenError::Store)?.map(|stored| stored.record.grant);
        let uninstalled = self.call_as(account, Uninstall::new);
        if matches!(uninstalled, Err(TokenError::NotInstalled)) {
            return inner.shared.not_installed(inner.load(account));
        }
        let mut run = inner.shared.begin_uninstall(account, grant, uninstalled, random())?;
        let result = inner.drive(account, None, &mut run);
        inner.shared.finish_forget(task, account, &run, result).map_err(TokenError::after_uninstall)
    }

    /// Makes a call with the account's bearer. After a 401 it makes the call once more, with another bearer.
    fn call_as<E: Endpoint>(
        &self,
        account: Account,
        endpoint: impl Fn(AccessToken) -> E,
    ) -> Result<E::Output, TokenError> {
        let inner = self.inner();
        let bearer = self.bearer(account)?;
        let token = access_token(&bearer).ok_or(TokenError::Interrupted)?;
        match inner.client.call(&endpoint(token)) {
            Err(Error::Api(error)) if error.status == StatusCode::UNAUTHORIZED => {}
            result => return inner.shared.called(account, result, inner.now()),
        }
        let bearer = self.bearer_after_401(account, &bearer)?;
        let token = access_token(&bearer).ok_or(TokenError::Interrupted)?;
        let result = inner.client.call(&endpoint(token));
        inner.shared.called(account, result, inner.now())
    }
}
