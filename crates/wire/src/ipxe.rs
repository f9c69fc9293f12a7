//! Option 175: what iPXE says about itself, and what it is told.

use crate::named::named;
use crate::{DecodeError, SubOptions};

const OUTER: u8 = 175;
const PRIORITY: u8 = 0x01;
const KEEP_SAN: u8 = 0x08;
const NO_PXEDHCP: u8 = 0xb0;
const BUS_ID: u8 = 0xb1;
const VERSION: u8 = 0xeb;

/// iPXE's encapsulated options, in order. Written without an inner END, as iPXE itself does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IpxeOptions(pub SubOptions);

/// Something that this build of iPXE can do: a sub-option code from 0x10 to 0x4f.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Feature(pub u8);

/// What the network device hangs on: sub-option 0xb1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BusId {
    /// 1 is PCI.
    pub bus: u8,
    /// Vendor number on that bus.
    pub vendor: u16,
    /// Device number of that vendor.
    pub device: u16,
}

named! {
    Feature or "feature {:#04x}";

    /// PXE extensions of its own API.
    PXEXT = 0x10, "PXEXT";
    /// Disks over iSCSI.
    ISCSI = 0x11, "iSCSI";
    /// Disks over ATA over Ethernet.
    AOE = 0x12, "AoE";
    /// HTTP downloads.
    HTTP = 0x13, "HTTP";
    /// HTTPS downloads.
    HTTPS = 0x14, "HTTPS";
    /// TFTP downloads.
    TFTP = 0x15, "TFTP";
    /// FTP downloads.
    FTP = 0x16, "FTP";
    /// Names in URLs.
    DNS = 0x17, "DNS";
    /// Linux kernels in bzImage form (BIOS).
    BZIMAGE = 0x18, "bzImage";
    /// Multiboot kernels.
    MULTIBOOT = 0x19, "Multiboot";
    /// Multicast downloads by SLAM.
    SLAM = 0x1a, "SLAM";
    /// Disks over SCSI RDMA.
    SRP = 0x1b, "SRP";
    /// Etherboot's tagged images.
    NBI = 0x20, "NBI";
    /// PXE boot files (BIOS).
    PXE = 0x21, "PXE";
    /// ELF images.
    ELF = 0x22, "ELF";
    /// COM32 and COMBOOT programs.
    COMBOOT = 0x23, "COMBOOT";
    /// EFI programs.
    EFI = 0x24, "EFI";
    /// Disks over FCoE.
    FCOE = 0x25, "FCoE";
    /// The `vcreate` command.
    VLAN = 0x26, "VLAN";
    /// The `menu` command.
    MENU = 0x27, "Menu";
    /// SDI images.
    SDI = 0x28, "SDI";
    /// NFS downloads.
    NFS = 0x29, "NFS";
}

impl IpxeOptions {
    /// Reads the value of option 175.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        SubOptions::decode(OUTER, bytes).map(Self)
    }

    /// The value of option 175.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// `b0 01 01`: everything is in this offer, do not wait two seconds and more for a ProxyDHCP server.
    #[must_use]
    pub fn no_pxedhcp() -> Self {
        let mut options = Self::default();
        options.set_no_pxedhcp();
        options
    }

    /// Says what [`IpxeOptions::no_pxedhcp`] does, beside other things.
    pub fn set_no_pxedhcp(&mut self) {
        self.0.push(NO_PXEDHCP, [1]);
    }

    /// `08 01 01`: the network disk stays attached when nothing boots from it, so that an installer started next finds it.
    pub fn set_keep_san(&mut self) {
        self.0.push(KEEP_SAN, [1]);
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// Whether [`IpxeOptions::no_pxedhcp`] is said.
    #[must_use]
    pub fn is_no_pxedhcp(&self) -> bool {
        self.0.get(NO_PXEDHCP).is_some_and(|value| value.iter().any(|byte| *byte != 0))
    }

    /// What this build can do, in its own order. A sub-option of value 0 says that it cannot.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        let features = self.0.iter().filter(|(code, _)| (0x10..0x50).contains(code));
        features.filter(|(_, value)| value.iter().any(|byte| *byte != 0)).map(|(code, _)| Feature(code))
    }

    /// Whether this build can do that.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features().any(|have| have == feature)
    }

    /// What the network device hangs on.
    #[must_use]
    pub fn bus_id(&self) -> Option<BusId> {
        let [bus, v1, v0, d1, d0] = self.0.array(BUS_ID)?;
        Some(BusId { bus, vendor: u16::from_be_bytes([v1, v0]), device: u16::from_be_bytes([d1, d0]) })
    }

    /// iPXE's version: major, minor, patch. Git builds of the years up to 2020 all say 1.0.0.
    #[must_use]
    pub fn version(&self) -> Option<[u8; 3]> {
        self.0.array(VERSION)
    }

    /// The priority of an offer (1): iPXE takes the highest, 0 being the default.
    #[must_use]
    pub fn priority(&self) -> Option<i8> {
        self.0.array(PRIORITY).map(i8::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rom_says_what_it_can_do() {
        let bytes =
            [0xb1, 5, 1, 0x80, 0x86, 0x10, 0x0e, 0xeb, 3, 1, 0, 0, 0x10, 1, 2, 0x13, 1, 1, 0x14, 1, 0, 0x4f, 1, 1];
        let options = IpxeOptions::decode(&bytes).unwrap();
        assert_eq!(options.bus_id(), Some(BusId { bus: 1, vendor: 0x8086, device: 0x100e }));
        assert_eq!(options.version(), Some([1, 0, 0]));
        let features: Vec<String> = options.features().map(|feature| feature.to_string()).collect();
        assert_eq!(features, ["PXEXT", "HTTP", "feature 0x4f"]);
        assert!(options.has(Feature::HTTP) && !options.has(Feature::HTTPS), "a zero says no");
        assert_eq!(options.encode(), bytes);
        assert!(!options.is_no_pxedhcp());
    }

    #[test]
    fn no_pxedhcp_is_three_bytes() {
        assert_eq!(IpxeOptions::no_pxedhcp().encode(), [0xb0, 1, 1]);
        assert!(IpxeOptions::no_pxedhcp().is_no_pxedhcp());
        assert!(!IpxeOptions::decode(&[0xb0, 1, 0]).unwrap().is_no_pxedhcp());
    }

    #[test]
    fn a_cut_value_is_refused() {
        for bytes in [&[0xb0][..], &[0xb0, 2, 1], &[0x13, 1, 1, 0xeb, 3, 1, 0]] {
            assert!(IpxeOptions::decode(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
