//! `midge serve`: a node that is deployed to, killed, drained, and started again.
//!
//! Through the typed client, because that is what the CLI and everybody else uses; the commands
//! themselves are `cli_*.rs`.

mod certificate;
mod deploys;
mod endurance;
mod greedy;
mod health;
mod kit;
mod lives;
mod load;
mod many;
mod secrets;
mod seen;
mod tls;
mod values;
