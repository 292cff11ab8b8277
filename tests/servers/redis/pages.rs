//! Pages of records, by `SCAN`.

use std::collections::BTreeSet;

use hs_oauth_store::{Account, AsyncTokenStore, Cursor, StoreErrorKind};
use hs_oauth_test_servers::server::redis::Redis;

use super::{record, store};

const ACCOUNTS: i64 = 1000;

async fn fill(store: &impl AsyncTokenStore) {
    for hub_id in 1..=ACCOUNTS {
        store.swap(Account::hub(hub_id), None, &record(1)).await.unwrap();
    }
}

/// Returns the accounts in the pages from this cursor on, and how many pages there were.
async fn accounts(
    store: &impl AsyncTokenStore,
    mut cursor: Option<Cursor>,
    limit: usize,
) -> (BTreeSet<Account>, usize) {
    let mut accounts = BTreeSet::new();
    for pages in 1.. {
        let page = store.page(cursor.as_ref(), limit).await.unwrap();
        accounts.extend(page.entries.into_iter().map(|entry| {
            entry.stored.unwrap();
            entry.account
        }));
        cursor = page.next;
        if cursor.is_none() {
            return (accounts, pages);
        }
    }
    unreachable!()
}

fn all() -> BTreeSet<Account> {
    (1..=ACCOUNTS).map(Account::hub).collect()
}

/// The order of `SCAN` is another one in each process of the server, so a cursor of an earlier one would leave accounts out.
#[tokio::test]
async fn a_restart_of_the_server_between_two_pages_leaves_no_account_out() {
    let mut server = Redis::with(&["appendfsync no"]);
    let store = store(&server.url(), "tokens");
    fill(&store).await;
    for _ in 0..3 {
        let mut found = BTreeSet::new();
        let mut cursor = None;
        for _ in 0..5 {
            let page = store.page(cursor.as_ref(), 100).await.unwrap();
            found.extend(page.entries.iter().map(|entry| entry.account));
            cursor = page.next;
        }
        assert!(cursor.is_some() && found.len() < 1000, "there are pages left");
        server.crash();
        server.begin();
        let (rest, _) = accounts(&store, cursor, 100).await;
        found.extend(rest);
        assert_eq!(found, all());
    }
}

#[tokio::test]
async fn an_account_that_is_there_all_the_while_is_in_a_page_while_others_come_and_go() {
    let server = Redis::with(&["appendfsync no"]);
    let store = store(&server.url(), "tokens");
    fill(&store).await;
    let mut found = BTreeSet::new();
    let mut cursor = None;
    for step in 0.. {
        let page = store.page(cursor.as_ref(), 20).await.unwrap();
        found.extend(page.entries.iter().map(|entry| entry.account));
        // The table of keys grows and shrinks meanwhile.
        for extra in 0..100 {
            let account = Account::user(1 + step % 7, 1 + extra);
            match store.load(account).await.unwrap() {
                None => drop(store.swap(account, None, &record(1)).await.unwrap()),
                Some(stored) => assert!(store.remove(account, stored.version).await.unwrap()),
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(all().is_subset(&found));
}

/// Keys of other applications are looked at and left out. A page does not end with nothing for that.
#[tokio::test]
async fn accounts_are_found_among_many_keys_of_others() {
    let server = Redis::with(&["appendfsync no", "enable-debug-command local"]);
    let store = store(&server.url(), "tokens");
    server.run::<()>("DEBUG POPULATE 100000 other 10");
    for hub_id in 1..=10 {
        store.swap(Account::hub(hub_id), None, &record(1)).await.unwrap();
    }
    for key in ["tokens:{x}", "tokens:{0}", "tokens:{07}", "tokens:7", "tokens2:{7}"] {
        server.run::<u64>(&format!("HSET {key} version 7 record {{}}"));
    }
    let (found, pages) = accounts(&store, None, 100).await;
    assert_eq!(found, (1..=10).map(Account::hub).collect());
    assert!(pages < 200, "{pages} pages");
}

#[tokio::test]
async fn a_page_is_no_longer_than_a_thousand_entries_or_so() {
    let server = Redis::with(&["appendfsync no"]);
    let store = store(&server.url(), "tokens");
    fill(&store).await;
    for hub_id in 1..=ACCOUNTS {
        store.swap(Account::user(hub_id, 1), None, &record(1)).await.unwrap();
    }
    let page = store.page(None, usize::MAX).await.unwrap();
    assert!(
        (500..1500).contains(&page.entries.len()) && page.next.is_some(),
        "{} entries",
        page.entries.len()
    );
}

#[tokio::test]
async fn a_record_that_is_damaged_does_not_end_the_page() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    store.swap(Account::hub(1), None, &record(1)).await.unwrap();
    server.run::<u64>("HSET tokens:{2} version 7 record secret");
    server.run::<()>("SET tokens:{3} secret");
    let page = store.page(None, 10).await.unwrap();
    let errors: Vec<_> = page.entries.iter().filter_map(|entry| entry.stored.as_ref().err()).collect();
    assert_eq!((page.entries.len(), errors.len()), (3, 2));
    for error in errors {
        assert!(error.kind() == StoreErrorKind::Damaged && !error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_is_refused() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    for cursor in [Cursor::after(Account::hub(7)), Cursor::new(""), Cursor::new("7"), Cursor::new("0-0")] {
        let error = store.page(Some(&cursor), 10).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{cursor:?}");
    }
}
