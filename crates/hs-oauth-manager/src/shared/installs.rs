//! Installs, uninstalls and disconnects: how they begin, and what their end changes.

use hs_oauth_core::renewal::{CurrentTokens, Disconnect, GrantId, Install, Stored, TokenError};
use hs_oauth_core::{Account, Random, RefreshToken, Scopes, StoreError, Timestamp, TokenSet};

use super::Shared;
use crate::cache::bearer;
use crate::event::Event;
use crate::identity::NewTokens;
use crate::install_task::InstallTask;
use crate::installed::Installed;
use crate::single_flight::{TaskGuard, Waiting};
use crate::standing::Standing;

impl<W: Waiting> Shared<W> {
    /// Returns new tokens that are to be installed. `expected` is the account that they must belong to, if the caller has named one.
    ///
    /// # Errors
    /// - [`TokenError::NotRenewable`] if there is no refresh token among them.
    /// - [`TokenError::WrongLevel`] with the tokens if the account does not fit the manager.
    pub fn new_tokens(&self, tokens: TokenSet, expected: Option<Account>) -> Result<NewTokens, TokenError> {
        if tokens.refresh_token.is_none() {
            return Err(TokenError::NotRenewable);
        }
        match expected {
            Some(account) if self.check_level(account).is_err() => {
                Err(TokenError::WrongLevel { account, tokens: Some(Box::new(tokens)) })
            }
            expected => Ok(NewTokens::new(tokens, expected, self.settings.user_level)),
        }
    }

    /// Begins the install of tokens. From now on they are known to the manager.
    pub fn begin_install(
        &self,
        task: TaskGuard<W>,
        account: Account,
        tokens: TokenSet,
        now: Timestamp,
        random: Random,
    ) -> InstallTask<W> {
        let run = Install::new(self.app.clone(), random, tokens);
        InstallTask::new(&self.flights, task, account, run, self.cache.snapshot(account), now)
    }

    /// Ends an install whose run ended with `result`. Puts its tokens into the cache and emits an event. If they could not be saved,
    /// `start_retries` has to start [`SaveRetries`](crate::SaveRetries).
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_install(
        &self,
        mut install: InstallTask<W>,
        result: Result<CurrentTokens, TokenError>,
        now: Timestamp,
        start_retries: impl FnOnce(),
    ) -> Result<Installed, TokenError> {
        let (account, snapshot, took) = (install.account, install.snapshot, now.since(install.began));
        let reinstall = install.run.is_reinstall();
        if install.finish(&result) {
            start_retries();
        }
        // The listener may shut the manager down, which waits until no task is under way.
        drop(install);
        // The caller may not wait any more, and the error may hold the only copy of the tokens.
        let result =
            result.inspect_err(|error| self.emit(&Event::Failed { account, error, took, unreported: 0 }));
        self.failures.forget(account);
        let CurrentTokens { tokens, version, .. } = result?;
        let standing = Standing::of_tokens(&tokens, &self.settings.policy);
        self.note_standing(account, Some(Some(standing)), true, now);
        match tokens.has_access_token() {
            true => {
                _ = self.cache.publish(
                    account,
                    snapshot,
                    bearer(&tokens.access_token),
                    &tokens,
                    version,
                    true,
                )
            }
            false => self.cache.evict(account),
        }
        self.emit(&Event::Installed { account, reinstall });
        let TokenSet { user_id, scopes, expires_at, .. } = tokens;
        let (missing, missing_optional) = (Scopes::NONE, Scopes::NONE);
        Ok(Installed { account, user_id, scopes, missing, missing_optional, expires_at, reinstall })
    }

    /// Forgets an install of the account that could not be saved, after a disconnect whose run ended with `result`. Returns its refresh token,
    /// which is still to be revoked.
    pub fn discard_install(&self, account: Account, result: &Result<(), TokenError>) -> Option<RefreshToken> {
        match result {
            Ok(()) | Err(TokenError::Call(_)) => self.flights.discard_install(account),
            Err(_) => None,
        }
    }

    /// Ends the disconnect of an account, whose run ended with `result`. Evicts the account from the cache and emits an event.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_disconnect(
        &self,
        task: TaskGuard<W>,
        account: Account,
        run: &Disconnect,
        result: Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        // A flight may have published tokens before the tombstone was stored.
        self.cache.evict(account);
        self.failures.forget(account);
        self.standings.note(account, None);
        if let Some(mut sweep) = self.sweep() {
            sweep.forget(account);
        }
        self.daily_limits.forget(account);
        // The listener may shut the manager down, which waits until no task is under way.
        drop(task);
        // The tokens are forgotten even if the refresh token could not be revoked.
        if run.was_installed() && matches!(result, Ok(()) | Err(TokenError::Call(_))) {
            self.emit(&Event::Disconnected { account });
        }
        result
    }

    /// Begins to note that HubSpot took the app out of the account: `uninstalled` is the result of the call, and `grant` the grant that was
    /// stored before it. A grant that is gone counts as uninstalled. Evicts the account from the cache, and returns the run that writes a
    /// tombstone.
    ///
    /// # Errors
    /// The error of the call. Nothing is changed.
    pub fn begin_uninstall(
        &self,
        account: Account,
        grant: Option<GrantId>,
        uninstalled: Result<(), TokenError>,
        random: Random,
    ) -> Result<Disconnect, TokenError> {
        match uninstalled {
            Ok(()) | Err(TokenError::Gone { unsettled: false, .. }) => {}
            // If the grant was lost in a renewal, the app may still be installed.
            Err(error) => return Err(error),
        }
        self.cache.evict(account);
        let run = Disconnect::new(self.app.clone(), random).after_uninstall();
        Ok(match grant {
            Some(grant) => run.with_grant(grant),
            None => run,
        })
    }

    /// Returns the result of an uninstall that had no bearer, since the account is not installed. `loaded` is what is stored by now.
    ///
    /// # Errors
    /// [`TokenError::Store`] if the store failed. [`TokenError::NotInstalled`] unless the app was uninstalled before: without a token, it
    /// cannot be taken out of an account in which it may still be.
    pub fn not_installed(&self, loaded: Result<Option<Stored>, StoreError>) -> Result<(), TokenError> {
        match loaded.map_err(TokenError::Store)? {
            Some(stored) if stored.record.uninstalled => {
                match TokenError::other_app(&self.app, stored.record.client_id.as_deref()) {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            }
            _ => Err(TokenError::NotInstalled),
        }
    }

    /// Ends a disconnect without revocation, as [`finish_disconnect`](Self::finish_disconnect) does. An install that could not be saved is
    /// forgotten too.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_forget(
        &self,
        task: TaskGuard<W>,
        account: Account,
        run: &Disconnect,
        result: Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        _ = self.discard_install(account, &result);
        self.finish_disconnect(task, account, run, result)
    }
}
