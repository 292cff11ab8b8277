//! What is left to do for a grant, by what the store has and by what earlier imports have done.

use hs_oauth_blocking::{GrantState, Stored};

use crate::import::journal::Entry;
use crate::import::result::{Outcome, Reason};
use crate::import::row::Grant;

/// What is left to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Put the grant into the store, and go on with [`Verify`](Self::Verify).
    Install,
    /// Renew the tokens that the store has, which says whether HubSpot accepts them.
    Verify,
    /// Nothing.
    Done(Outcome),
}

/// Returns what is left to do. `entry` is how far an earlier import has come.
///
/// HubSpot may replace a refresh token when it is used. So a store that has another one than the table may have the newer one, and it is
/// left alone unless `replace` is set.
pub(crate) fn plan(
    grant: &Grant,
    stored: Option<&Stored>,
    entry: Option<Entry>,
    verify: bool,
    replace: bool,
) -> Step {
    let installed = stored.filter(|stored| stored.is_installed()).map(|stored| &stored.record);
    let Some((record, tokens)) = installed.and_then(|record| Some((record, record.tokens.as_ref()?))) else {
        return Step::Install;
    };
    let is_same = tokens.refresh_token.as_ref() == Some(&grant.refresh_token);
    let is_gone = record.state == GrantState::Gone;
    let is_verified = !is_gone && tokens.has_access_token();
    match entry {
        Some(Entry::Refused) if is_gone => {
            return Step::Done(Outcome::refused(Reason::Gone, "HubSpot has refused it in an earlier import"));
        }
        // The grant is the table's, whatever its refresh token is by now.
        Some(Entry::Begun | Entry::Accepted) if is_verified => {
            return Step::Done(Outcome::Accepted { earlier: true });
        }
        Some(Entry::Begun | Entry::Accepted) if verify => return Step::Verify,
        Some(Entry::Begun | Entry::Accepted) => return Step::Done(Outcome::Stored),
        // Somebody has put it right since, or nobody has tried.
        Some(Entry::Refused) | None => {}
    }
    match (is_same, is_gone) {
        (_, true) => Step::Install,
        (true, false) if is_verified => Step::Done(Outcome::Unchanged),
        (true, false) if verify => Step::Verify,
        (true, false) => Step::Done(Outcome::Stored),
        (false, false) if replace => Step::Install,
        (false, false) => Step::Done(Outcome::refused(
            Reason::AlreadyConnected,
            "the account is connected with another refresh token; --replace puts this one in its place",
        )),
    }
}
