//! The example `install_page` as a person uses it: a real Chromium, a process of the service, and an emulator of HubSpot, all of them new
//! for each test.

mod axe;
mod browser;
mod connecting;
mod ending;
mod forging;
mod keyboard;
mod marketplace;
mod scopes;
mod service;
mod stopping;
