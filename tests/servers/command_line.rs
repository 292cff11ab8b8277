//! The command line on the store of a fleet: it sees the accounts of the services, and renews their tokens as one process among them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use deadpool_postgres::tokio_postgres::NoTls;
use deadpool_postgres::{Manager, Pool};
use hs_oauth_emulator::Rotation;
use hs_oauth_postgres::PgStore;
use hs_oauth_redis::RedisStore;
use hs_oauth_store::AsyncTokenStore;
use hs_oauth_test_servers::program::build;
use hs_oauth_test_servers::server::postgres::Postgres;
use hs_oauth_test_servers::server::redis::Redis;
use serde_json::Value;
use tempfile::TempDir;

use crate::managers::Setup;

/// The program with both stores, which cargo builds once for all tests.
static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| build(&["-p", "hs-oauth-cli", "--no-default-features", "--features", "postgres,redis"]));

/// Runs the program with an empty home and the settings of the app.
fn run(setup: &Setup, arguments: &[&str], url: Option<&str>) -> Output {
    let home = TempDir::new().unwrap();
    let mut command = Command::new(&*PROGRAM);
    command.args(arguments).env_clear().env("HOME", home.path()).envs(setup.variables());
    if let Some(url) = url {
        command.env("HS_OAUTH_STORE", url);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap().trim()
}

async fn the_accounts_of_the_services_are_there(store: Arc<dyn AsyncTokenStore>, url: &str) {
    let setup = Setup::new(Rotation::Keep);
    setup.install(Arc::clone(&store)).await;

    let listed = run(&setup, &["list", "--json"], Some(url));
    assert!(listed.status.success(), "{listed:?}");
    let listed: Value = serde_json::from_str(text(&listed)).unwrap();
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 8, "{listed}");

    // Two processes, and one refresh.
    let tokens = [(); 2].map(|()| run(&setup, &["token", "1"], Some(url)));
    assert!(tokens.iter().all(|token| token.status.success()), "{tokens:?}");
    assert!(!text(&tokens[0]).is_empty());
    assert_eq!(text(&tokens[0]), text(&tokens[1]));
    assert_eq!(setup.refreshes(), 1);

    let checked = run(&setup, &["doctor", "--json"], Some(url));
    assert!(text(&checked).contains("can be read and written"), "{checked:?}");

    let ended = run(&setup, &["logout", "2", "--yes"], Some(url));
    assert!(ended.status.success(), "{ended:?}");
    let stored = store.load(hs_oauth_core::Account::hub(2)).await.unwrap().unwrap();
    assert!(!stored.is_installed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_works_on_the_store_in_postgresql() {
    let server = Postgres::start().await;
    let url = Postgres::url(server.address());
    let pool = Pool::builder(Manager::new(url.parse().unwrap(), NoTls)).build().unwrap();
    let store = PgStore::new(pool);
    let missing = run(&Setup::new(Rotation::Keep), &["list"], Some(&url));
    assert!(!missing.status.success(), "there is no table: {missing:?}");
    store.create().await.unwrap();
    the_accounts_of_the_services_are_there(Arc::new(store), &url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_works_on_the_store_in_redis() {
    let server = Redis::start();
    let store = RedisStore::new(redis::Client::open(server.url()).unwrap());
    the_accounts_of_the_services_are_there(Arc::new(store), &server.url()).await;
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    let setup = Setup::new(Rotation::Keep);
    let refused = run(&setup, &["list", "--store", "postgres://me:hunter2@localhost/app"], None);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("HS_OAUTH_STORE"), "{message}");
}
