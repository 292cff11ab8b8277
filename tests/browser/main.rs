//! The example `install_page` and the emulator's own pages as a person uses them: a real Chromium, a process of the service, and an
//! emulator of HubSpot, all of them new for each test.

mod axe;
mod browser;
mod connecting;
mod emulator;
mod ending;
mod forging;
mod keyboard;
mod marketplace;
mod scopes;
mod service;
mod stopping;
