//! The program as it is run: its output, its exit status and what it sends, against a scripted server on loopback.

#![cfg(test)]

mod commands;
mod exit_status;
mod harness;
mod secrets;
