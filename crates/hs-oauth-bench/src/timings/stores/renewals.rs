//! Renewals: those of a token manager over PostgreSQL, beside three bare statements and a bare token request each.

use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_async::{Account, App, Client, ClientSecret, RefreshToken, TokenManager};

use super::calls::{Call, Callers, SharedCall};
use super::given::hub;
use super::postgres::{Mode, Table};
use super::postgres_bare::PgBare;
use super::subject::shown;
use crate::given;
use crate::report::{Table as Figures, say};
use crate::server::Server;
use crate::work::Failure;

const ACCOUNTS: u64 = 10_000;
const MAX_TIMES_BARE: f64 = 1.2;

/// What is measured.
pub(super) const TITLE: &str = "Renewals that one process carries over PostgreSQL: `refresh_now` of 10,000 accounts by 16 callers, with HubSpot \
     in another process. Bare is a load, an update for the lease, a token request by the same client, and an update for the tokens.\n";

/// Measures the renewals that one process carries.
pub(super) async fn measure(url: &str) -> Result<Figures, Failure> {
    let table = Table::create(url, ACCOUNTS).await?;
    let server = Server::start()?;
    let mut callers = Callers::new(ACCOUNTS)?;
    let mut figures = Figures::new([
        "renewals".to_owned(),
        "a second".to_owned(),
        "µs each".to_owned(),
        "bare, a second".to_owned(),
        "bare, µs".to_owned(),
        "processor, µs".to_owned(),
        "bare, processor, µs".to_owned(),
        format!("times the bare, bound {MAX_TIMES_BARE}"),
    ]);
    for mode in [Mode::QueryTyped, Mode::Prepared] {
        let client = client(&server)?;
        let manager = TokenManager::new(client.clone(), table.store(mode)?);
        let bare = Bare { statements: table.pg_bare(mode).await?, client };
        let calls: [SharedCall; 2] = [Arc::new(Renewal(manager)), Arc::new(bare)];
        let [rate, bare] = callers.rates(calls.each_ref()).await?;
        let times_bare = format!("{:.2}", rate.times(bare));
        let name = mode.name();
        say(format!(
            "measured: renewals over {name}: {} a second ({times_bare} times the bare)",
            shown(rate.a_second)
        ));
        figures.row([
            name.to_owned(),
            shown(rate.a_second),
            format!("{:.1}", rate.micros()),
            shown(bare.a_second),
            format!("{:.1}", bare.micros()),
            format!("{:.1}", rate.processor),
            format!("{:.1}", bare.processor),
            times_bare,
        ]);
    }
    table.drop().await?;
    Ok(figures)
}

fn client(server: &Server) -> Result<Client, Failure> {
    let app = App::hubspot(given::CLIENT_ID, ClientSecret::new(given::CLIENT_SECRET)?)
        .with_api_base(server.url())
        .build()?;
    Ok(Client::new(app)?)
}

struct Renewal(TokenManager);

#[async_trait]
impl Call for Renewal {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        self.0.refresh_now(account).await?;
        Ok(())
    }
}

struct Bare {
    statements: Arc<PgBare>,
    client: Client,
}

#[async_trait]
impl Call for Bare {
    async fn make(&self, caller: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        let (version, json) = self.statements.load(caller, account).await?;
        let version = self.statements.swap(caller, account, version, &json).await?;
        self.client.refresh(&RefreshToken::new(format!("na1-{}", hub(account)))?).await?;
        self.statements.swap(caller, account, version, &json).await?;
        Ok(())
    }
}
