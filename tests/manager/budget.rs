//! A manager with a limit of renewals a second.
//!
//! The limit follows the clock, so on a stalled machine more renewals begin between two steps of a test. The tests of an order
//! therefore use so many accounts that only a stall of many seconds changes their result.

use std::collections::HashMap;
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hs_oauth_async::Event;
use hs_oauth_core::Account;
use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_emulator::Target;

use super::relay::Hold;
use super::setup::{Manager, Operation, Setup, bearer_of, both, long_times};
use crate::wait::{PATIENCE, wait_until};

/// A manager with a limit, and the accounts that it has renewed, in order.
struct Budgeted {
    manager: Manager,
    renewed: Receiver<Account>,
    /// The bearer that each account has at first.
    old: HashMap<Account, HeaderValue>,
}

/// Installs one account for each number in `ending_in`, with a token that ends after so many seconds.
fn budgeted(setup: &Setup, per_second: u32, ending_in: &[u64]) -> Budgeted {
    let (sender, renewed) = channel();
    let on_event = move |event: &Event<'_>| {
        if let Event::Renewed { account, .. } = event {
            _ = sender.send(*account);
        }
    };
    let store = Arc::clone(&setup.store);
    let budget = NonZeroU32::new(per_second);
    let manager = Manager::with_budget(setup.index(), &setup.app, store, long_times(), budget, on_event);
    let mut old = HashMap::new();
    for (account, seconds) in accounts(ending_in.len()).into_iter().zip(ending_in) {
        let tokens = setup.tokens_ending_in(account, *seconds);
        old.insert(account, bearer_of(&tokens));
        manager.install_tokens(tokens).unwrap();
    }
    Budgeted { manager, renewed, old }
}

impl Budgeted {
    fn next_renewed(&self) -> Account {
        self.renewed.recv_timeout(PATIENCE).unwrap()
    }

    /// Returns how many accounts were renewed before this one.
    fn renewed_before(&self, account: Account) -> usize {
        std::iter::from_fn(|| Some(self.next_renewed())).take_while(|renewed| *renewed != account).count()
    }
}

fn accounts(count: usize) -> Vec<Account> {
    (1..).map(Account::hub).take(count).collect()
}

#[test]
fn tokens_that_end_together_are_renewed_within_the_limit_while_they_are_handed_out() {
    both(|setup| {
        let budgeted = budgeted(&setup, 20, &[300; 60]);
        let began = Instant::now();
        let mut left: Vec<Account> = accounts(60);
        // No renewal can end now, so a caller that waited for one would wait until its request has run out of time.
        setup.relay.hold(Hold::Refreshes);
        for account in &left {
            assert_eq!(budgeted.manager.bearer_of(*account).unwrap(), budgeted.old[account]);
        }
        assert!(began.elapsed() < long_times().longest_timing().request, "{:?}", began.elapsed());
        setup.relay.release();
        while !left.is_empty() {
            for account in &left {
                budgeted.manager.bearer_of(*account).unwrap();
            }
            let renewed = budgeted.next_renewed();
            left.retain(|other| *other != renewed);
        }
        // Twenty renewals begin in the first second and twenty in the next.
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(setup.sent(Target::Refresh), 60, "each once");
    });
}

#[test]
fn an_account_that_a_caller_waits_for_comes_before_all_that_are_renewed_ahead_of_time() {
    both(|setup| {
        let mut ending_in = [300; 41];
        ending_in[40] = 0;
        let budgeted = budgeted(&setup, 1, &ending_in);
        let accounts = accounts(41);
        for account in &accounts[..40] {
            budgeted.manager.bearer_of(*account).unwrap();
        }
        budgeted.manager.bearer_of(accounts[40]).unwrap();
        // Only those that had begun before it was asked for come first: one for each second.
        let before = budgeted.renewed_before(accounts[40]);
        assert!(before < 20, "{before} were renewed before it");
    });
}

#[test]
fn an_account_whose_old_token_is_good_is_not_kept_waiting_even_if_it_is_not_in_memory() {
    both(|setup| {
        drop(budgeted(&setup, 1, &[300; 30]));
        let store = Arc::clone(&setup.store);
        let budget = NonZeroU32::new(1);
        let manager = Manager::with_budget(setup.index(), &setup.app, store, long_times(), budget, |_| {});
        for account in accounts(30) {
            manager.bearer_of(account).unwrap();
        }
        // A caller that waits until the limit allows it then renews the token. All thirty would have.
        let sent = setup.sent(Target::Refresh);
        assert!(sent < 15, "{sent}");
    });
}

#[test]
fn a_shutdown_does_not_wait_for_the_limit_and_begins_no_further_renewal() {
    both(|setup| {
        let Budgeted { manager, .. } = budgeted(&setup, 1, &[300; 30]);
        for account in accounts(30) {
            manager.bearer_of(account).unwrap();
        }
        wait_until(|| setup.sent(Target::Refresh) > 0);
        assert!(manager.shutdown().is_empty());
        let sent = setup.sent(Target::Refresh);
        assert!(sent < 15, "of thirty {sent} had begun");
        assert!(manager.bearer_of(Account::hub(1)).is_ok(), "a good token is still handed out");
        assert!(matches!(manager.bearer_of(Account::hub(99)), Err(TokenError::ShutDown)));
        assert_eq!(setup.sent(Target::Refresh), sent);
    });
}

/// The blocking manager renews on eight threads of its own. An account that waits for a thread does not need a second call.
#[test]
fn an_account_is_renewed_ahead_of_time_after_a_single_call() {
    both(|setup| {
        let budgeted = budgeted(&setup, 100, &[300; 40]);
        for account in accounts(40) {
            budgeted.manager.bearer_of(account).unwrap();
        }
        let mut seen: Vec<Account> = (0..40).map(|_| budgeted.next_renewed()).collect();
        seen.sort();
        assert_eq!(seen, accounts(40));
    });
}

/// README: "the one that ends soonest is first".
#[test]
fn an_account_whose_token_ends_soon_comes_before_all_that_were_asked_for_earlier_and_end_later() {
    both(|setup| {
        let mut ending_in = [320; 41];
        ending_in[40] = 150;
        let budgeted = budgeted(&setup, 1, &ending_in);
        let accounts = accounts(41);
        for account in &accounts {
            budgeted.manager.bearer_of(*account).unwrap();
        }
        let before = budgeted.renewed_before(accounts[40]);
        assert!(before < 20, "{before} were renewed before it");
    });
}

#[test]
fn waiting_accounts_are_renewed_once_each_in_the_order_in_which_their_tokens_end() {
    both(|setup| {
        let ending_in: Vec<u64> = (0..30).map(|index| 330 - index * 5).collect();
        let budgeted = budgeted(&setup, 10, &ending_in);
        let accounts = accounts(30);
        // Before all accounts were asked for, no renewal gets past its first load from the store.
        let gate = Arc::new(Mutex::new(()));
        let all_asked = gate.lock().unwrap();
        let looked_at = Arc::new(Mutex::new(HashSet::new()));
        let (at_gate, looking) = (Arc::clone(&gate), Arc::clone(&looked_at));
        setup.store.before_each(move |account, operation| {
            if operation == Operation::Load {
                looking.lock().unwrap().insert(account);
                drop(at_gate.lock());
            }
            Ok(())
        });
        for account in &accounts {
            budgeted.manager.bearer_of(*account).unwrap();
        }
        // The blocking manager loads a record after the limit has allowed the renewal, so these began before all were asked for.
        let early = match setup.index() {
            0 => HashSet::new(),
            _ => looked_at.lock().unwrap().clone(),
        };
        assert!(early.len() < 10, "{early:?}");
        drop(all_asked);
        let order: Vec<Account> = (0..30).map(|_| budgeted.next_renewed()).collect();

        // On a slow machine a renewal may end after some that began later. In the order of the calls all pairs would be wrong, and
        // in a random order about half of them.
        let ordered: Vec<Account> =
            order.iter().copied().filter(|account| !early.contains(account)).collect();
        let pairs = (0..ordered.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        let wrong = pairs.clone().filter(|(first, second)| ordered[*first] < ordered[*second]).count();
        assert!(wrong * 3 < pairs.count(), "{wrong}: {ordered:?}");
        let mut each = order.clone();
        each.sort();
        assert_eq!(each, accounts);
        assert_eq!(setup.sent(Target::Refresh), 30, "each once");
    });
}

#[test]
fn accounts_that_another_process_has_renewed_do_not_count_for_the_limit() {
    both(|setup| {
        let mut ending_in = [200; 90];
        ending_in[89] = 250;
        let budgeted = budgeted(&setup, 1, &ending_in);
        let accounts = accounts(90);
        let another = setup.other_process();
        for account in &accounts[..89] {
            another.bearer_of(*account).unwrap();
        }
        for account in &accounts {
            budgeted.manager.bearer_of(*account).unwrap();
        }
        // If the others counted, it would be renewed after a minute and a half. This test does not wait so long.
        assert_eq!(budgeted.next_renewed(), accounts[89]);
    });
}
