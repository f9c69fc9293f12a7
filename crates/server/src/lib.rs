//! The only shell: configuration, sockets, HTTP, journal, shutdown. What is answered is decided in the engine; here it is done.

pub mod config;
pub mod control;
pub mod dhcp;
pub mod export;
pub mod http;
pub mod interfaces;
pub mod journal;
pub mod logging;
mod lookup;
pub mod machines;
mod made;
pub mod places;
pub mod ports;
pub mod privileges;
mod seats;
pub mod secureboot;
pub mod serve;
pub mod site;
pub mod tftp;
pub mod tls;
pub mod trust;
