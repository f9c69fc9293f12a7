//! What the agent does to a machine: its block devices, their partition table, the EFI system partition (ESP) and what is kept on it,
//! the firmware's boot entries, LUKS2 headers and device-mapper tables, and the start of another kernel by kexec.
//!
//! *What to do* is a value here too. Partition tables, file systems and LUKS2 headers are planned by functions that touch nothing, and
//! come out as [`Step`]s: what is written where, and what must be durable before what. [`carry_out`] does them. So a test can cut the
//! power between and within any two of them.
//!
//! | Module | Pure | Shell |
//! |---|---|---|
//! | [`devices`] | how a disk is named | reads `/sys/block` |
//! | [`gpt`] | reading both copies, planning, encoding | reads the ends of a disk, writes, makes the kernel look again |
//! | [`fat`] | a new FAT32, and whether there is one | |
//! | [`esp`] | which slot is good, on trial, next | mounts, writes, reads back |
//! | [`efivars`] | boot entries, order, trial | reads and writes variables |
//! | [`luks`] | LUKS2 headers, key slots, tokens | reads and writes a header |
//! | [`dm`] | crypt tables | device-mapper's ioctls |
//! | [`kexec`] | what a UKI becomes, and on ARM64 where it goes | `kexec_file_load`, `kexec_load` |

mod bytes;
pub mod devices;
pub mod dm;
pub mod efivars;
pub mod esp;
pub mod fat;
pub mod gpt;
pub mod kexec;
pub mod luks;
mod step;

pub use devices::Device;
pub use step::{Step, carry_out};
#[cfg(test)]
mod power;
