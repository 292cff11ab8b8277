//! What stands in the table: versions that never come back, and records that cannot be read.

use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, Swapped};
use hs_oauth_test_servers::server::postgres::{connect, new_table_name, shared_url};

use super::stores::{MODES, create, store};
use crate::writers::{number, record};

const HUB: Account = Account::hub(62_515);

#[track_caller]
fn version(swapped: Swapped) -> u64 {
    let Swapped::Stored(version) = swapped else { panic!("a conflict") };
    version
}

/// A removed account leaves its row behind, and with it the version.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_never_comes_back_after_a_removal() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let (store, admin) = (store(mode, &url, &table, 1), connect(url).await);
        let first = version(store.swap(HUB, None, &record(1)).await.unwrap());
        // The server's clock goes back: the last version is what counts.
        let far = format!("update {table} set version = {}", 1_u64 << 52);
        admin.batch_execute(&far).await.unwrap();
        let far = 1 << 52;
        assert!(far > first);
        assert!(store.remove(HUB, far).await.unwrap());
        assert_eq!(store.load(HUB).await.unwrap(), None);
        assert!(store.page(None, 10).await.unwrap().entries.is_empty());
        let row = admin.query_one(&format!("select hub_id, record is null from {table}"), &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (HUB.hub_id, true));
        assert!(!store.remove(HUB, far).await.unwrap());
        assert_eq!(store.swap(HUB, Some(far), &record(2)).await.unwrap(), Swapped::Conflict);
        assert_eq!(version(store.swap(HUB, None, &record(2)).await.unwrap()), far + 2);
        assert_eq!(version(store.swap(HUB, Some(far + 2), &record(3)).await.unwrap()), far + 3);
    }
}

/// A copy of the table from long ago was restored: the server's clock is greater than every version that was given out since.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_never_comes_back_after_a_restore() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let (store, admin) = (store(mode, &url, &table, 1), connect(url).await);
        let first = version(store.swap(HUB, None, &record(1)).await.unwrap());
        let copy = format!("create table copy_of_{table} as select * from {table}");
        admin.batch_execute(&copy).await.unwrap();
        let mut last = first;
        for number in 2..10 {
            last = version(store.swap(HUB, Some(last), &record(number)).await.unwrap());
        }
        let restore = format!("delete from {table}; insert into {table} select * from copy_of_{table}");
        admin.batch_execute(&restore).await.unwrap();
        let next = version(store.swap(HUB, Some(first), &record(2)).await.unwrap());
        assert!(next > last, "{next} came after {last}");

        admin.batch_execute(&format!("delete from {table}")).await.unwrap();
        let created = version(store.swap(HUB, None, &record(3)).await.unwrap());
        assert!(created > next, "{created} came after {next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_never_greater_than_2_to_the_53() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let (store, admin) = (store(mode, &url, &table, 1), connect(url).await);
        store.swap(HUB, None, &record(1)).await.unwrap();
        let greatest = 1_u64 << 53;
        admin.batch_execute(&format!("update {table} set version = {greatest}")).await.unwrap();
        assert_eq!(store.load(HUB).await.unwrap().unwrap().version, greatest);
        let error = store.swap(HUB, Some(greatest), &record(2)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert!(error.to_string().contains("23514"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_an_error_and_does_not_end_the_page() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let (store, admin) = (store(mode, &url, &table, 1), connect(url).await);
        store.swap(HUB, None, &record(7)).await.unwrap();
        let insert = format!(
            "insert into {table} values (1, 0, 1, '{{\"format\": 2, \"secret\": true}}'), (2, 3, 1, '\"secret\"')"
        );
        admin.batch_execute(&insert).await.unwrap();
        let (newer, damaged) = (Account::hub(1), Account::user(2, 3));
        for (account, kind) in [(newer, StoreErrorKind::Unreadable), (damaged, StoreErrorKind::Damaged)] {
            let error = store.load(account).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let entries = store.page(None, 10).await.unwrap().entries;
        assert_eq!(entries.iter().map(|entry| entry.account).collect::<Vec<_>>(), [newer, damaged, HUB]);
        assert_eq!(entries[0].stored.as_ref().unwrap_err().kind(), StoreErrorKind::Unreadable);
        assert_eq!(entries[1].stored.as_ref().unwrap_err().kind(), StoreErrorKind::Damaged);
        assert_eq!(number(&entries[2].stored.as_ref().unwrap().record), 7);
    }
}

/// The row to which the check writes belongs to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_check_writes_is_not_a_record() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let store = store(mode, &url, &table, 1);
        for _ in 0..3 {
            store.check().await.unwrap();
        }
        assert!(store.page(None, 10).await.unwrap().entries.is_empty());
        let rows = connect(url).await.query(&format!("select hub_id from {table}"), &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [0]);
    }
}
