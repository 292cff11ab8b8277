use hs_oauth_async::{Account, AccountDetails, TokenError, TokenManager};

pub(crate) trait StandIn {
    async fn account_details(&self, account: Account) -> Result<AccountDetails, TokenError>;
    async fn uninstall(&self, account: Account) -> Result<(), TokenError>;
}

impl StandIn for TokenManager {
    async fn account_details(&self, account: Account) -> Result<AccountDetails, TokenError> {
        let details = self.client().account_details(&self.access_token(account).await?).await;
        match details {
            Err(error) if error.status().is_some_and(|status| status == 401) => {
                self.bearer_after_401(account, &self.bearer(account).await?).await?;
                Ok(self.client().account_details(&self.access_token(account).await?).await?)
            }
            details => Ok(details?),
        }
    }
    async fn uninstall(&self, account: Account) -> Result<(), TokenError> {
        self.client().uninstall(&self.access_token(account).await?).await?;
        self.disconnect(account).await
    }
}
