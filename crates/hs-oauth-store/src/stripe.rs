use hs_oauth_core::Account;

/// The number of stripes into which the accounts of a file store are divided. It is part of the layout of the folder: all processes
/// must agree on it.
pub const STRIPES: u8 = 64;

/// Returns the stripe of the account, from 0 to 63. Writes for accounts of one stripe take turns in a file store.
///
/// It is the FNV-1a hash of the account's text, the same in every process and every version of this library.
pub fn stripe_of(account: Account) -> u8 {
    let hash = account.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(STRIPES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// During an update, processes of two versions share a folder. Both must lock the same file.
    #[test]
    fn an_account_has_the_same_stripe_in_every_version() {
        assert_eq!(stripe_of(Account::hub(62515)), 38);
        let mut used = [false; STRIPES as usize];
        (0..1000).for_each(|hub_id| used[usize::from(stripe_of(Account::hub(hub_id)))] = true);
        assert!(used.iter().all(|used| *used));
    }
}
