//! The example `install_page`, `hs-oauth login` and the emulator's own pages as a person uses them: a real Chromium, a process of the
//! program, and an emulator of HubSpot, all of them new for each test.

mod axe;
mod browser;
mod connecting;
mod emulator;
mod ending;
mod forging;
mod keyboard;
mod login;
mod marketplace;
mod scopes;
mod service;
mod stopping;
