//! The command line: names, help, defaults.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Boots machines over the network: DHCP, ProxyDHCP, PXE, TFTP, UEFI HTTP Boot and iPXE in one program.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  slipway serve                                 ProxyDHCP on the LAN, a menu of your images
  slipway image add debian --uki debian.efi     something to boot, served at once
  slipway init && slipway check                 a commented configuration, and whether it is right
  slipway machines                              who asked, and what became of it
  slipway machine show 52:54:00:12:34:56        why it booted, or did not";

/// What every command understands.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options everywhere")]
pub(crate) struct Global {
    /// Folder of leases, images and journal [default: /var/lib/slipway for root, else ~/.local/state/slipway]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file [default: /etc/slipway/slipway.toml, if it exists]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM; SIGHUP reads the configuration again
    ///
    /// With no configuration file: ProxyDHCP on the LAN's interface (the one with the default route, else the only one), beside the
    /// DHCP server that is there, and a menu of every image for each machine. Nothing else on the network is touched.
    ///
    /// Needs root, or the capabilities CAP_NET_BIND_SERVICE, CAP_NET_RAW and CAP_NET_ADMIN; keeps no others.
    Serve(Serve),
    /// Write a commented configuration file, with the LAN's interface filled in
    Init(Init),
    /// Say everything that is wrong with the configuration, with line, reason and remedy
    ///
    /// Exits with 1 if there is an error, such as a rule that names an image which is not in the store; with 0 otherwise. Warnings do
    /// not count.
    Check(Check),
    /// Add, list, check and remove what machines boot
    #[command(subcommand)]
    Image(crate::image::ImageCommand),
    /// The boot CA, which firmware must know to boot over HTTPS; it is made at the first use
    #[command(subcommand)]
    Ca(crate::ca::Ca),
    /// Our own Secure Boot keys: for machines that start nothing but what you have signed
    #[command(subcommand, name = "secureboot")]
    SecureBoot(crate::secureboot::SecureBoot),
    /// The org that this server belongs to: who may let machines in, and what they believe
    #[command(subcommand)]
    Org(crate::org::OrgCommand),
    /// Enrolment windows: only while one is open may new machines join
    #[command(subcommand)]
    Window(crate::enrol::window::WindowCommand),
    /// Invites: the right to ask, or to be let in
    #[command(subcommand)]
    Invite(crate::enrol::invite::InviteCommand),
    /// List who asks to join, or to recover: what is known of them, and their six words
    Requests(crate::enrol::requests::Requests),
    /// Let a machine in, after its six words were compared with those on its console
    ///
    /// Shows what is known of the machine, and asks. What you sign holds for this machine, this key and this conversation alone.
    Approve(Box<crate::enrol::approve::Approve>),
    /// Tell a machine that it may not join
    Deny(crate::enrol::approve::Deny),
    /// TPMs whose machines may join by themselves, while a window is open
    #[command(subcommand)]
    EkList(crate::enrol::ek_list::EkListCommand),
    /// What was done in the org, by whom; and whether the log of it is whole
    #[command(subcommand)]
    Audit(crate::enrol::audit::AuditCommand),
    /// List the machines that asked, and how their last boot stands
    Machines(Machines),
    /// One machine: how it booted, stage by stage, or why not
    #[command(subcommand)]
    Machine(Machine),
    /// Show what the running server serves
    Status,
    /// Have the running server read its configuration again, and say what changed
    Reload,
    /// Boot virtual machines of chosen firmware through this Slipway, in networks of their own
    Lab(slipway_lab::cli::LabArgs),
    /// Print a completion script for a shell
    ///
    /// For example: slipway completions bash > /etc/bash_completion.d/slipway
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// Serve this interface, in ProxyDHCP mode unless the configuration says otherwise; may be repeated
    #[arg(long, short, value_name = "IF")]
    pub(crate) interface: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Init {
    /// Where to write it; - is the standard output
    #[arg(long, short, value_name = "FILE", default_value = slipway_server::config::DEFAULT_PATH)]
    pub(crate) output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    /// Look at the file alone: not at this machine's interfaces and images
    #[arg(long)]
    pub(crate) file_only: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Machines {
    /// Show the list again every second, until Ctrl-C
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) watch: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Machine {
    /// Tell a machine's boots stage by stage, with times and reasons; and what the org knows of it
    Show(Show),
    /// Say what a machine boots, before any rule: an image, the menu, its own disk, or by the rules again
    ///
    /// Holds until it is said otherwise, or with --once for one boot: until the machine has all of the image, and for at most three
    /// boots that do not come as far. The local disk or the menu is over when the machine has been quiet for two minutes. A rule with
    /// `ignore = true` still goes before it.
    ///
    /// For example: slipway machine boot 52:54:00:12:34:56 rescue --once
    Boot(Boot),
    /// Give a machine again what was held back: its installer, whose guard had tripped or which had said that it is done; or a boot
    /// loader that it had loaded over and over
    Release(Which),
    /// Forget what is remembered of a machine beyond its boots: what it is to boot, its installer, what it took to boot it
    Forget(Which),
    /// Make a machine the usual DHCP offer again
    ///
    /// Firmware that ignores an offer is made another kind, and what it takes is remembered (`slipway machine show` tells). After a change of
    /// its firmware, or when the fault was elsewhere, this starts it from the first kind again.
    Reset(Which),
    /// Withhold everything from a machine of the org, until it is resumed: it gets no generation and no share of its disk key
    Suspend(crate::enrol::acts::ActWords),
    /// End that
    Resume(crate::enrol::acts::ActWords),
    /// End a machine's identity: the org's share of its disk key is destroyed, its hardware may enrol anew
    Retire(crate::enrol::acts::ActWords),
    /// End a machine's identity for ever: its key and its TPM are never let in again, its disk stays closed
    Revoke(crate::enrol::acts::ActWords),
    /// Have a machine open its data partition by the key in escrow, at its next start: its TPM does not unseal its half any more
    ///
    /// That is so after a change of the firmware's Secure Boot keys or state. The machine must start as always: from an allowed image, as the
    /// machine that it is. It then seals a half anew, and puts another key in escrow. For another board or TPM: `slipway approve --replaces`.
    Open(crate::enrol::escrow::Open),
    /// Let the hardware of a revoked machine enrol anew; the old identity stays dead
    Unban(crate::enrol::acts::ActWords),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// The machine's MAC address, as `slipway machines` lists it
    #[arg(value_name = "MAC")]
    pub(crate) mac: slipway_wire::MacAddr,
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["image", "local", "menu", "rules"]))]
pub(crate) struct Boot {
    /// The machine's MAC address, as `slipway machines` lists it, or before it was ever heard of
    #[arg(value_name = "MAC")]
    pub(crate) mac: slipway_wire::MacAddr,
    /// The image, in its newest version or in this one
    #[arg(value_name = "IMAGE[@VERSION]")]
    pub(crate) image: Option<String>,
    /// Its own disk
    #[arg(long)]
    pub(crate) local: bool,
    /// iPXE's menu
    #[arg(long)]
    pub(crate) menu: bool,
    /// By the rules again
    #[arg(long, conflicts_with = "once")]
    pub(crate) rules: bool,
    /// For one boot only; the rules hold again after it
    #[arg(long)]
    pub(crate) once: bool,
    /// Text to put after the image's own command line
    #[arg(long, value_name = "TEXT", requires = "image")]
    pub(crate) append: Option<String>,
    /// The way there: auto, direct (only the firmware itself) or ipxe
    #[arg(long, value_name = "PATH", requires = "image", value_parser = ["auto", "direct", "ipxe"])]
    pub(crate) path: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Show {
    /// The machine's MAC address, as `slipway machines` lists it; or its name in the org, or its id
    #[arg(value_name = "MACHINE")]
    pub(crate) machine: String,
    /// Show all boots that are remembered, not only the last
    #[arg(long)]
    pub(crate) all: bool,
    /// Show every packet and transfer too
    #[arg(long)]
    pub(crate) events: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The help is a document: a change of it is seen in review. `SLIPWAY_BLESS=1` writes what is said now.
    #[test]
    fn the_help_is_what_was_reviewed() {
        let mut said = String::new();
        tell(&mut Cli::command().term_width(100), &mut said);
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/help.txt");
        if std::env::var_os("SLIPWAY_BLESS").is_some() {
            std::fs::write(golden, &said).unwrap();
        }
        let expected = std::fs::read_to_string(golden).unwrap_or_default();
        assert!(said == expected, "the help differs from {golden}; it says:\n{said}");
    }

    /// Only what is ours here: `lab` has help and tests of its own.
    fn tell(command: &mut clap::Command, said: &mut String) {
        command.build();
        let name = command.get_bin_name().unwrap_or("slipway").to_owned();
        said.push_str(&format!("$ {name} --help\n{}\n", command.render_long_help()));
        for sub in command.get_subcommands_mut().filter(|sub| !["lab", "help"].contains(&sub.get_name())) {
            tell(sub, said);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_words_stand_before_or_after_the_command() {
        for words in
            [["slipway", "--data", "/d", "machines", "--json"], ["slipway", "machines", "--json", "--data", "/d"]]
        {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(cli.global.json && cli.global.data.as_deref() == Some(std::path::Path::new("/d")), "{cli:?}");
        }
        let error = Cli::try_parse_from(["slipway", "machine", "reset", "52:54"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("six octets such as 52:54:00:12:34:56"), "{error}");
    }
}
