//! The device tree that the next kernel is given: the running one's, with `/chosen` saying what is new (Linux,
//! Documentation/devicetree/usage-model.rst; Devicetree Specification 0.4, 3.6).

use core::ffi::CStr;
use core::ops::Range;

use dtoolkit::Node as _;
use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// What is new in it.
pub(super) struct Chosen<'a> {
    /// The command line.
    pub(super) cmdline: &'a CStr,
    /// Where the initramfs is, in physical memory, if there is one.
    pub(super) initrd: Option<Range<u64>>,
    /// Where in its own address space the kernel goes is drawn from this.
    pub(super) place: [u8; 8],
    /// Randomness to begin with.
    pub(super) random: [u8; 64],
}

/// What the running kernel was told that is not so for the next one: its own initramfs, and that it is there for a crash alone.
const STALE: [&str; 4] = ["linux,initrd-start", "linux,initrd-end", "linux,elfcorehdr", "linux,usable-memory-range"];

/// Writes it. What firmware told the running kernel stays: `linux,uefi-…`, memory, devices, reservations.
///
/// # Errors
/// The running kernel's is none.
pub(super) fn of_next(running: &[u8], chosen: &Chosen<'_>) -> Result<Vec<u8>, FdtParseError> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(running)?);
    if tree.root.child("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new_unchecked("chosen"));
    }
    if let Some(node) = tree.root.child_mut("chosen") {
        for name in STALE {
            node.remove_property(name);
        }
        let mut say = |name: &str, value: &[u8]| node.add_property(DeviceTreeProperty::new_unchecked(name, value));
        say("bootargs", chosen.cmdline.to_bytes_with_nul());
        if let Some(initrd) = &chosen.initrd {
            say("linux,initrd-start", &initrd.start.to_be_bytes());
            say("linux,initrd-end", &initrd.end.to_be_bytes());
        }
        say("kaslr-seed", &chosen.place);
        say("rng-seed", &chosen.random);
    }
    Ok(tree.to_dtb())
}

#[cfg(test)]
pub(super) mod tests {
    use dtoolkit::Property as _;

    use super::*;

    /// What an EFI stub makes for a machine that is described by ACPI: nothing but what it chose.
    pub(crate) fn stub() -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let mut chosen = DeviceTreeNode::new("chosen").unwrap();
        let properties: [(&str, &[u8]); 6] = [
            ("bootargs", b"of the preboot\0"),
            ("linux,initrd-start", &[0, 0, 0, 0, 0x48, 0, 0, 0]),
            ("linux,initrd-end", &[0, 0, 0, 0, 0x49, 0, 0, 0]),
            ("linux,uefi-system-table", &[0, 0, 0, 0, 0x7f, 0xff, 0, 0x18]),
            ("linux,uefi-mmap-start", &[0, 0, 0, 0, 0x7b, 0, 0, 0x18]),
            ("kaslr-seed", &[0; 8]),
        ];
        for (name, value) in properties {
            chosen.add_property(DeviceTreeProperty::new(name, value).unwrap());
        }
        tree.root.add_child(chosen);
        tree.to_dtb()
    }

    fn new(initrd: Option<Range<u64>>) -> Chosen<'static> {
        Chosen { cmdline: c"quiet slipway.x=1", initrd, place: [5; 8], random: [6; 64] }
    }

    /// The properties of a node, by name.
    pub(crate) fn properties(tree: &[u8], path: &str) -> Vec<(String, Vec<u8>)> {
        let tree = Fdt::new(tree).unwrap();
        let node = tree.find_node(path).unwrap();
        let mut list: Vec<_> = node.properties().map(|it| (it.name().to_owned(), it.value().to_vec())).collect();
        list.sort();
        list
    }

    #[test]
    fn the_next_kernel_is_told_what_is_new_and_what_firmware_said() {
        let tree = of_next(&stub(), &new(Some(0x5000_0000..0x5012_3456))).unwrap();
        let wanted: [(&str, &[u8]); 7] = [
            ("bootargs", b"quiet slipway.x=1\0"),
            ("kaslr-seed", &[5; 8]),
            ("linux,initrd-end", &[0, 0, 0, 0, 0x50, 0x12, 0x34, 0x56]),
            ("linux,initrd-start", &[0, 0, 0, 0, 0x50, 0, 0, 0]),
            ("linux,uefi-mmap-start", &[0, 0, 0, 0, 0x7b, 0, 0, 0x18]),
            ("linux,uefi-system-table", &[0, 0, 0, 0, 0x7f, 0xff, 0, 0x18]),
            ("rng-seed", &[6; 64]),
        ];
        let told = properties(&tree, "/chosen");
        let told: Vec<(&str, &[u8])> = told.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        assert_eq!(told, wanted);
    }

    #[test]
    fn the_initramfs_of_the_running_kernel_is_not_told_of_again() {
        let tree = of_next(&stub(), &new(None)).unwrap();
        assert!(properties(&tree, "/chosen").iter().all(|(name, _)| !name.contains("initrd")));
    }

    #[test]
    fn devices_and_reservations_stay() {
        let mut running = DeviceTree::new();
        running.memory_reservations = vec![dtoolkit::memreserve::MemoryReservation::new(0x4000_0000, 0x1_0000)];
        let mut memory = DeviceTreeNode::new("memory@40000000").unwrap();
        memory.add_property(DeviceTreeProperty::new("device_type", "memory").unwrap());
        running.root.add_child(memory);
        let tree = of_next(&running.to_dtb(), &new(None)).unwrap();
        let back = DeviceTree::from_fdt(&Fdt::new(&tree).unwrap());
        assert_eq!(back.memory_reservations, running.memory_reservations);
        assert_eq!(properties(&tree, "/memory@40000000"), [("device_type".to_owned(), b"memory\0".to_vec())]);
        assert_eq!(properties(&tree, "/chosen").len(), 3);
    }

    #[test]
    fn what_is_no_device_tree_is_refused() {
        for bytes in [&b""[..], b"\xd0\x0d\xfe\xed", &stub()[..60]] {
            assert!(of_next(bytes, &new(None)).is_err());
        }
    }
}
