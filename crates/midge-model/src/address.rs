//! Hosts, ports and blocks of addresses, and how far from here an address is.
//!
//! Decides what a host may be called and which addresses the open internet, a private
//! network or this machine answers at. Looking names up, and what a function may then
//! reach, is left to others.
//!
//! **Invariant:** no text has two readings: what some resolvers would fold into another
//! address (`0xa9fea9fe`, `0251.0376.0251.0376`) is no host here.

mod host;
mod net;
mod reach;

pub(crate) use host::without_port;
pub use host::{HOST_NAME_BYTES_MAX, HostName, HostNameError};
pub use net::{Cidr, CidrError, PortRange, PortRangeError};
pub use reach::Reach;
