//! The only shell: configuration, sockets, HTTP, journal, shutdown. What is answered is decided in the engine; here it is done.

pub mod config;
pub mod export;
pub mod interfaces;
pub mod journal;
pub mod logging;
pub mod ports;
pub mod privileges;
pub mod site;
