//! Numbers on the wire that have names.

use crate::named::named;

/// The header's `op`: who speaks (RFC 2131 §2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Op(pub u8);

impl Op {
    /// From client to server.
    pub const REQUEST: Self = Self(1);
    /// From server to client.
    pub const REPLY: Self = Self(2);
}

/// DHCP message type: option 53 (RFC 2132 §9.6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MessageType(pub u8);

named! {
    MessageType or "message type {}";

    /// A client looks for servers.
    DISCOVER = 1, "DISCOVER";
    /// A server offers an address, or boot parameters (ProxyDHCP).
    OFFER = 2, "OFFER";
    /// A client takes an offer, confirms or extends a lease; or asks a boot server on port 4011.
    REQUEST = 3, "REQUEST";
    /// A client found its address in use.
    DECLINE = 4, "DECLINE";
    /// A server grants.
    ACK = 5, "ACK";
    /// A server refuses.
    NAK = 6, "NAK";
    /// A client gives its address back.
    RELEASE = 7, "RELEASE";
    /// A client that has an address asks for parameters only.
    INFORM = 8, "INFORM";
}

/// The code of a DHCP option, as in the IANA registry "BOOTP Vendor Extensions and DHCP Options".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OptionCode(pub u8);

named! {
    OptionCode with "option {}";

    /// Filler of one byte, without length (RFC 2132 §3.1).
    PAD = 0, "pad";
    /// Subnet mask. edk2 aborts when it is missing from an ACK.
    SUBNET_MASK = 1, "subnet mask";
    /// Routers, in order of preference.
    ROUTER = 3, "router";
    /// Domain name servers.
    DNS = 6, "dns";
    /// Log servers.
    LOG_SERVER = 7, "log server";
    /// Host name.
    HOST_NAME = 12, "host name";
    /// Boot file size in 512-byte blocks. Never sent: edk2 trusts it and skips `tsize`.
    BOOT_FILE_SIZE = 13, "boot file size";
    /// Domain name.
    DOMAIN_NAME = 15, "domain name";
    /// Root path (also iSCSI, RFC 4173).
    ROOT_PATH = 17, "root path";
    /// Interface MTU.
    MTU = 26, "mtu";
    /// Broadcast address.
    BROADCAST = 28, "broadcast address";
    /// NTP servers.
    NTP = 42, "ntp";
    /// Vendor-specific information: PXE's sub-options for PXE clients.
    VENDOR = 43, "vendor options";
    /// The address that the client asks for.
    REQUESTED_IP = 50, "requested address";
    /// Lease time in seconds.
    LEASE_TIME = 51, "lease time";
    /// `file` and `sname` hold options too (RFC 2132 §9.3). Never sent.
    OVERLOAD = 52, "overload";
    /// Message type.
    MESSAGE_TYPE = 53, "message type";
    /// Server identifier: the server that is spoken to, by its address.
    SERVER_ID = 54, "server id";
    /// Parameter request list. Ignored for boot options.
    PARAMETER_LIST = 55, "parameter list";
    /// Text for a human, in a NAK or DECLINE.
    MESSAGE = 56, "message";
    /// The largest message that the client takes.
    MAX_SIZE = 57, "max message size";
    /// Renewal time T1 in seconds.
    RENEWAL_TIME = 58, "renewal time";
    /// Rebinding time T2 in seconds.
    REBINDING_TIME = 59, "rebinding time";
    /// Vendor class: `PXEClient:…`, `HTTPClient:…`, `U-Boot…`.
    VENDOR_CLASS = 60, "vendor class";
    /// Client identifier. PXE ROM, iPXE and operating system of one machine send three different ones.
    CLIENT_ID = 61, "client id";
    /// TFTP server name.
    TFTP_SERVER = 66, "tftp server";
    /// Boot file name.
    BOOT_FILE = 67, "boot file";
    /// User class (RFC 3004, or raw).
    USER_CLASS = 77, "user class";
    /// Rapid commit (RFC 4039).
    RAPID_COMMIT = 80, "rapid commit";
    /// Client FQDN (RFC 4702).
    FQDN = 81, "fqdn";
    /// Relay agent information (RFC 3046): echoed byte for byte, and last.
    RELAY_INFO = 82, "relay info";
    /// Client system architectures (RFC 4578 §2.1).
    CLIENT_ARCH = 93, "client arch";
    /// Client network interface identifier (RFC 4578 §2.2).
    CLIENT_NII = 94, "client nii";
    /// Client machine identifier (RFC 4578 §2.3).
    MACHINE_ID = 97, "machine id";
    /// IPv6-only preferred (RFC 8925).
    IPV6_ONLY = 108, "ipv6-only preferred";
    /// Domain search list (RFC 3397).
    DOMAIN_SEARCH = 119, "domain search";
    /// Classless static routes (RFC 3442).
    STATIC_ROUTES = 121, "static routes";
    /// iPXE's encapsulated options.
    IPXE = 175, "ipxe";
    /// iSCSI initiator name, in iPXE's use.
    ISCSI_INITIATOR = 203, "iscsi initiator";
    /// pxelinux magic, `f1 00 74 7e` (RFC 5071): what the next three options are for. Old builds want it.
    PXELINUX_MAGIC = 208, "pxelinux magic";
    /// pxelinux configuration file (RFC 5071).
    CONFIG_FILE = 209, "config file";
    /// pxelinux path prefix (RFC 5071).
    PATH_PREFIX = 210, "path prefix";
    /// pxelinux reboot time in seconds (RFC 5071).
    REBOOT_TIME = 211, "reboot time";
    /// End of the option area, without length (RFC 2132 §3.2). edk2 drops a packet without it.
    END = 255, "end";
}

impl OptionCode {
    /// Whether this is an option at all, and not a mark of one byte.
    #[must_use]
    pub const fn is_option(self) -> bool {
        !matches!(self, Self::PAD | Self::END)
    }
}
