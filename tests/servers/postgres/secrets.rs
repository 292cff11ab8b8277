//! No token is in an error or in a log, whatever the server and the drivers say.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use hs_oauth_store::{Account, AsyncTokenStore, Record, StoreError, Swapped};
use hs_oauth_test_servers::server::postgres::{connect, new_table_name, shared_url};
use tracing_subscriber::fmt::MakeWriter;

use super::stores::{MODES, create, store};

const HUB: Account = Account::hub(62_515);

/// The texts that must not be seen anywhere.
const ACCESS: &str = "canary-access-4b1d";
const REFRESH: &str = "canary-refresh-9c2e";

fn record_with_tokens() -> Record {
    let json = serde_json::json!({
        "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "live",
        "tokens": {
            "access_token": ACCESS, "refresh_token": REFRESH, "token_type": "bearer", "expires_in": 1800,
            "expires_at": 1_790_000_000_001_u64,
        },
    });
    serde_json::from_value(json).unwrap()
}

#[track_caller]
fn assert_clean(error: &StoreError, expected: &str) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

/// The server's detail shows the whole row, its context the JSON, and a trigger may put anything into its message.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_the_code_and_the_message_and_never_the_row() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let (store, admin) = (store(mode, &url, &table, 1), connect(url).await);
        let Swapped::Stored(version) = store.swap(HUB, None, &record_with_tokens()).await.unwrap() else {
            panic!("not stored")
        };
        let never = format!("alter table {table} add constraint never check (version < 0) not valid");
        admin.batch_execute(&never).await.unwrap();
        // The row is in the server's answer, or this test would show nothing.
        let row = admin.execute(&format!("update {table} set version = version + 1"), &[]).await.unwrap_err();
        assert!(row.as_db_error().unwrap().detail().unwrap().contains("Failing row contains"));
        let error = store.swap(HUB, Some(version), &record_with_tokens()).await.unwrap_err();
        assert_clean(&error, "23514");
        let error = store.swap(Account::hub(1), None, &record_with_tokens()).await.unwrap_err();
        assert_clean(&error, "23514");

        let trigger = format!(
            "create function {table}_shown() returns trigger language plpgsql as \
             $$ begin raise exception 'refused: %', new.record using detail = new.record, hint = new.record; end $$; \
             create trigger shown before insert or update on {table} for each row execute function {table}_shown()"
        );
        admin.batch_execute(&trigger).await.unwrap();
        let error = store.swap(HUB, Some(version), &record_with_tokens()).await.unwrap_err();
        assert_clean(&error, "P0001");
    }
}

/// tokio-postgres logs the parameters of its statements, and sqlx its statements.
#[tokio::test(flavor = "multi_thread")]
async fn no_log_has_a_token() {
    let log = log();
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let store = store(mode, &url, &table, 1);
        let record = record_with_tokens();
        let Swapped::Stored(version) = store.swap(HUB, None, &record).await.unwrap() else {
            panic!("not stored")
        };
        store.swap(HUB, Some(version), &record).await.unwrap();
        assert_eq!(store.load(HUB).await.unwrap().unwrap().record, record);
        store.page(None, 1).await.unwrap();
        store.check().await.unwrap();
        let seen = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(seen.contains(&table), "{mode:?}: the driver logs its statements");
        assert!(!seen.contains("canary"), "{mode:?}");
    }
}

/// All that the process of the tests logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
        tracing_log::LogTracer::init().unwrap();
        tracing_subscriber::util::SubscriberInitExt::init(subscriber.with_writer(log.clone()).finish());
        log
    })
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
