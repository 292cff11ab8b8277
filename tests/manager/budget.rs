//! A manager that renews no more than so many accounts a second.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hs_oauth_core::renewal::{RenewalPolicy, TokenError};
use hs_oauth_core::{Account, Event};
use hs_oauth_emulator::Target;

use super::scene::{Manager, Scene, both, now, wait_until};

/// A manager with a budget that holds accounts whose tokens end at these times, and the accounts it renews, in order.
fn manager(scene: &Scene, per_second: u32, ending_in: &[u64]) -> (Manager, Receiver<Account>) {
    let (tell, renewed) = channel();
    let on_event = move |event: &Event<'_>| {
        if let Event::Renewed { account, .. } = event {
            _ = tell.send(*account);
        }
    };
    let store = Arc::clone(&scene.store);
    let budget = NonZeroU32::new(per_second);
    let manager =
        Manager::with_budget(scene.index(), &scene.app, store, RenewalPolicy::new(), budget, on_event);
    let tokens = scene.install_ending_in(1800);
    for (account, seconds) in accounts(ending_in.len()).into_iter().zip(ending_in) {
        let mut tokens = tokens.clone();
        tokens.expires_at = now().plus(Duration::from_secs(*seconds));
        manager.install_tokens(account, tokens).unwrap();
    }
    (manager, renewed)
}

fn accounts(count: usize) -> Vec<Account> {
    (1..).map(Account::hub).take(count).collect()
}

#[test]
fn tokens_that_end_together_are_renewed_within_the_budget_while_they_are_handed_out() {
    both(|scene| {
        let (manager, renewed) = manager(&scene, 20, &[200; 60]);
        let began = Instant::now();
        let mut left: Vec<Account> = accounts(60);
        while !left.is_empty() {
            for account in &left {
                let asked = Instant::now();
                manager.bearer_of(*account).unwrap();
                assert!(asked.elapsed() < Duration::from_secs(2), "nobody waits for a turn");
            }
            while let Ok(account) = renewed.recv_timeout(Duration::from_millis(20)) {
                left.retain(|other| *other != account);
            }
        }
        // Twenty in the first second, twenty in the next.
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(scene.sent(Target::Refresh), 60, "each once");
    });
}

#[test]
fn an_account_that_is_waited_for_comes_before_all_that_are_renewed_ahead_of_time() {
    both(|scene| {
        let mut ending_in = [250; 6];
        ending_in[5] = 0;
        let (manager, renewed) = manager(&scene, 1, &ending_in);
        let accounts = accounts(6);
        for account in &accounts[..5] {
            manager.bearer_of(*account).unwrap();
        }
        manager.bearer_of(accounts[5]).unwrap();
        let before = renewed.iter().take_while(|account| *account != accounts[5]).count();
        // Those that had begun when it was asked for, a second each.
        assert!(before <= 5, "{before} were renewed before it");
    });
}

#[test]
fn an_account_whose_old_token_is_good_is_not_kept_waiting_even_if_it_is_not_in_memory() {
    both(|scene| {
        let (first, _) = manager(&scene, 1, &[200; 4]);
        drop(first);
        let store = Arc::clone(&scene.store);
        let budget = NonZeroU32::new(1);
        let second =
            Manager::with_budget(scene.index(), &scene.app, store, RenewalPolicy::new(), budget, |_| {});
        let asked = Instant::now();
        for account in accounts(4) {
            second.bearer_of(account).unwrap();
        }
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    });
}

#[test]
fn a_shutdown_does_not_wait_for_turns_and_begins_nothing_any_more() {
    both(|scene| {
        let (manager, _renewed) = manager(&scene, 1, &[200; 30]);
        for account in accounts(30) {
            manager.bearer_of(account).unwrap();
        }
        wait_until(|| scene.sent(Target::Refresh) > 0);
        let began = Instant::now();
        assert!(manager.shutdown().is_empty());
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        let sent = scene.sent(Target::Refresh);
        assert!(sent < 10, "{sent}");
        assert!(manager.bearer_of(Account::hub(1)).is_ok(), "what is good is handed out still");
        assert!(matches!(manager.bearer_of(Account::hub(99)), Err(TokenError::ShutDown)));
    });
}

/// The blocking manager renews on eight threads of its own: what waits for one is not to be asked for again.
#[test]
fn an_account_that_was_asked_for_once_in_its_time_is_renewed_in_its_time() {
    both(|scene| {
        let (manager, renewed) = manager(&scene, 100, &[200; 40]);
        for account in accounts(40) {
            manager.bearer_of(account).unwrap();
        }
        let mut seen: Vec<Account> =
            (0..40).map(|_| renewed.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
        seen.sort();
        assert_eq!(seen, accounts(40));
    });
}

/// README: "the one that ends soonest is first".
#[test]
fn an_account_whose_token_ends_soon_is_before_all_that_were_asked_for_earlier_and_end_later() {
    both(|scene| {
        let mut ending_in = [250; 31];
        ending_in[30] = 72; // It is handed out for twelve seconds more.
        let (manager, renewed) = manager(&scene, 1, &ending_in);
        for account in accounts(31) {
            manager.bearer_of(account).unwrap();
        }
        let before = renewed.iter().take_while(|account| *account != Account::hub(31)).count();
        assert!(before <= 2, "{before} were renewed before it");
    });
}

#[test]
fn those_that_wait_are_renewed_in_the_order_in_which_their_tokens_end_and_each_once() {
    both(|scene| {
        let ending_in: Vec<u64> = (0..30).map(|index| 300 - index * 5).collect();
        let (manager, renewed) = manager(&scene, 10, &ending_in);
        let accounts = accounts(30);
        for account in &accounts {
            manager.bearer_of(*account).unwrap();
        }
        let order: Vec<Account> =
            (0..30).map(|_| renewed.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
        // Some begin before the last was asked for, and of those that begin one after the other a later one may end first.
        assert!(order[5..].windows(6).all(|six| six[0] > six[5]), "{order:?}");
        let mut each = order.clone();
        each.sort();
        assert_eq!(each, accounts);
        assert_eq!(scene.sent(Target::Refresh), 30, "each once");
    });
}

#[test]
fn accounts_that_another_process_has_renewed_use_up_no_turns() {
    both(|scene| {
        let mut ending_in = [200; 12];
        ending_in[11] = 250;
        let (manager, renewed) = manager(&scene, 1, &ending_in);
        let accounts = accounts(12);
        let another = scene.another();
        for account in &accounts[..11] {
            another.bearer_of(*account).unwrap();
        }
        let asked = Instant::now();
        for account in &accounts {
            manager.bearer_of(*account).unwrap();
        }
        assert_eq!(renewed.recv_timeout(Duration::from_secs(30)), Ok(accounts[11]));
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    });
}
