//! Numbers on the wire that have names.

use crate::named::named;

/// DHCPv6 message type (RFC 8415 §7.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MessageType(pub u8);

named! {
    MessageType or "message type {}";

    /// A client looks for servers.
    SOLICIT = 1, "SOLICIT";
    /// A server offers.
    ADVERTISE = 2, "ADVERTISE";
    /// A client takes an offer.
    REQUEST = 3, "REQUEST";
    /// A client that may have moved asks whether its addresses still fit the link.
    CONFIRM = 4, "CONFIRM";
    /// A client extends its leases with the server that gave them.
    RENEW = 5, "RENEW";
    /// A client extends its leases with any server.
    REBIND = 6, "REBIND";
    /// A server answers anything but a SOLICIT.
    REPLY = 7, "REPLY";
    /// A client gives addresses back.
    RELEASE = 8, "RELEASE";
    /// A client found addresses in use.
    DECLINE = 9, "DECLINE";
    /// A server tells a client to ask. Never sent here.
    RECONFIGURE = 10, "RECONFIGURE";
    /// A client asks for parameters only.
    INFORMATION_REQUEST = 11, "INFORMATION-REQUEST";
    /// A relay's envelope towards the server.
    RELAY_FORWARD = 12, "RELAY-FORWARD";
    /// A server's envelope towards the relay.
    RELAY_REPLY = 13, "RELAY-REPLY";
}

impl MessageType {
    /// Whether this is a relay's envelope, which has another header than a message.
    #[must_use]
    pub const fn is_relay(self) -> bool {
        matches!(self, Self::RELAY_FORWARD | Self::RELAY_REPLY)
    }
}

/// The code of a DHCPv6 option, as in the IANA registry "DHCPv6 Option Codes".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OptionCode(pub u16);

named! {
    OptionCode with "option {}";

    /// The client's DUID.
    CLIENT_ID = 1, "client id";
    /// The server's DUID.
    SERVER_ID = 2, "server id";
    /// Addresses that are not temporary.
    IA_NA = 3, "ia-na";
    /// Temporary addresses.
    IA_TA = 4, "ia-ta";
    /// An address, within 3 or 4.
    IA_ADDR = 5, "address";
    /// The options that the client would like.
    OPTION_REQUEST = 6, "option request";
    /// The server's preference, 0-255. At 255 a client asks this server at once instead of collecting offers.
    PREFERENCE = 7, "preference";
    /// Hundredths of a second since the client began.
    ELAPSED_TIME = 8, "elapsed time";
    /// The relayed message, within an envelope.
    RELAY_MESSAGE = 9, "relayed message";
    /// How something went.
    STATUS = 13, "status";
    /// The client takes a REPLY to its SOLICIT.
    RAPID_COMMIT = 14, "rapid commit";
    /// User classes: each with a length of two bytes.
    USER_CLASS = 15, "user class";
    /// Vendor class: an enterprise number and elements, each with a length of two bytes.
    VENDOR_CLASS = 16, "vendor class";
    /// Vendor-specific information.
    VENDOR = 17, "vendor options";
    /// The relay's name for the interface that it heard the client on: copied into the reply.
    INTERFACE_ID = 18, "interface id";
    /// Domain name servers (RFC 3646).
    DNS = 23, "dns";
    /// Domain search list (RFC 3646).
    DOMAIN_SEARCH = 24, "domain search";
    /// Prefixes (RFC 8415 §21.21).
    IA_PD = 25, "ia-pd";
    /// Seconds until the parameters are to be asked for again.
    REFRESH_TIME = 32, "refresh time";
    /// What a relay calls itself, or the customer: an enterprise number and bytes of its choice (RFC 4649).
    REMOTE_ID = 37, "remote id";
    /// Client FQDN (RFC 4704).
    FQDN = 39, "fqdn";
    /// URL of the boot file (RFC 5970 §3.1).
    BOOT_FILE_URL = 59, "boot file url";
    /// Parameters of the boot file (RFC 5970 §3.2). Never sent: edk2 takes the first for a size and breaks.
    BOOT_FILE_PARAMETERS = 60, "boot file parameters";
    /// Client system architectures (RFC 5970 §3.3).
    CLIENT_ARCH = 61, "client arch";
    /// Client network interface identifier (RFC 5970 §3.4).
    CLIENT_NII = 62, "client nii";
    /// The client's hardware address, told by its relay (RFC 6939).
    LINK_LAYER_ADDRESS = 79, "link-layer address";
    /// The longest a client may wait between SOLICITs (RFC 7083).
    SOL_MAX_RT = 82, "sol-max-rt";
    /// The port that a relay sent from (RFC 8357).
    RELAY_PORT = 135, "relay port";
}

/// What a status option says (RFC 8415 §21.13).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StatusCode(pub u16);

named! {
    StatusCode or "status {}";

    /// All is well; the same as no status at all.
    SUCCESS = 0, "Success";
    /// It failed, and no other code says why.
    UNSPEC_FAIL = 1, "UnspecFail";
    /// There are no addresses for these IAs.
    NO_ADDRS_AVAIL = 2, "NoAddrsAvail";
    /// The client has no such lease here.
    NO_BINDING = 3, "NoBinding";
    /// The addresses do not fit the link that the client is on.
    NOT_ON_LINK = 4, "NotOnLink";
    /// The client is to ask by multicast.
    USE_MULTICAST = 5, "UseMulticast";
    /// There are no prefixes for these IAs.
    NO_PREFIX_AVAIL = 6, "NoPrefixAvail";
}
