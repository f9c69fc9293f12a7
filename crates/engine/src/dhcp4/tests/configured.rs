//! The boot part of answers to pxelinux's ROMs, to U-Boot and to Raspberry Pis.

use slipway_wire::ClientArch;

use super::*;

const PI_4: &[u8] = b"\0RPi4\xc0\x31\x14\0\xaa\xbb\xcc\0\x9f\xfe\xfd\xef";
const PI_3: &[u8] = b"\0DDDDDDDDDDDDDDDD";

fn pi(id: &[u8]) -> Message {
    let mut message = discover(1);
    message.options.set(OptionCode::VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    message.options.set(OptionCode::CLIENT_ARCH, [0, 0]).set(OptionCode::MACHINE_ID, id);
    message
}

fn for_pis(exchange: Exchange) -> Net {
    Net { exchange, rules: Rules { rules: pi_rule() }, ..Net::new() }
}

fn u_boot(class: &str, arch: Option<ClientArch>) -> Message {
    let mut message = discover(1);
    message.options.set(OptionCode::VENDOR_CLASS, class);
    arch.map(|arch| message.options.set(OptionCode::CLIENT_ARCH, arch.0.to_be_bytes()));
    message
}

#[test]
fn a_raspberry_pi_is_offered_the_menu_that_its_model_looks_for_and_no_file() {
    let menu_4 = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot\xff".as_slice();
    let menu_3 = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x17\x00\x00\x14Raspberry Pi Boot   \xff".as_slice();
    for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp] {
        for (id, menu) in [(PI_3, menu_3), (PI_4, menu_4)] {
            let offer = for_pis(exchange).ask(&pi(id)).reply.unwrap();
            assert_eq!(offer.options.get(OptionCode::VENDOR), Some(menu), "{exchange:?}");
            assert_eq!(offer.options.vendor_class(), Some(&b"PXEClient"[..]));
            assert_eq!(offer.options.get(OptionCode::MACHINE_ID), Some(id), "given back as it is");
            assert_eq!((offer.siaddr, offer.file_name(), offer.hops), (SERVER, &b""[..], 0));
            assert!(!offer.options.has(OptionCode::BOOT_FILE), "it knows by itself what to ask for");
            assert_eq!(offer.yiaddr.is_unspecified(), exchange == Exchange::ProxyDhcp);
        }
    }
}

#[test]
fn what_a_raspberry_pi_was_offered_is_its_own_although_it_never_asks_for_it() {
    let mut net = for_pis(Exchange::Dhcp);
    let seen = net.ask(&pi(PI_3));
    assert_eq!((seen.summary().as_str(), seen.writes.len()), ("OFFER 10.77.0.100", 1));
    net.wait(HOLD.as_secs() + 60);
    assert_eq!(net.lease(2), ip(101), "nobody else gets it while the Pi loads its files");
    assert_eq!(net.ask(&pi(PI_3)).summary(), "OFFER 10.77.0.100");
}

#[test]
fn a_bios_is_sent_to_pxelinux_and_told_where_its_configuration_is() {
    let by_pxelinux = Boot { image: "debian".into(), version: None, path: Path::Pxelinux, append: None };
    let mut message = discover(1);
    message.options.set(OptionCode::VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp] {
        let mut net = Net { exchange, rules: rules(Then::Boot(by_pxelinux.clone())), ..Net::new() };
        let seen = net.ask(&message);
        let offer = seen.reply.unwrap();
        let text = |code| String::from_utf8_lossy(offer.options.get(code).unwrap_or_default()).into_owned();
        assert_eq!(offer.file_name(), b"pxelinux/lpxelinux.0");
        assert_eq!(text(OptionCode::BOOT_FILE), "pxelinux/lpxelinux.0");
        assert_eq!(offer.options.get(OptionCode::PXELINUX_MAGIC), Some(&[0xf1, 0, 0x74, 0x7e][..]));
        assert_eq!(text(OptionCode::CONFIG_FILE), "pxelinux.cfg/01-52-54-00-00-00-01");
        assert_eq!(text(OptionCode::PATH_PREFIX), "http://10.77.0.1:8067/pxelinux/");
        assert!(seen.data.len() <= 548, "{} bytes are too many for an old ROM", seen.data.len());
    }
}

#[test]
fn u_boot_is_told_its_processors_folder_and_option_209_only_where_it_asks_for_it() {
    let images = |cpu| {
        let mut catalog = catalog();
        catalog.images.get_mut("debian").unwrap()[0].cpu = cpu;
        catalog
    };
    for (class, arch, cpu, folder) in [
        ("U-Boot.armv8", None, Cpu::Arm64, 22),
        ("U-Boot", Some(ClientArch::ARM64_UBOOT), Cpu::Arm64, 22),
        ("PXEClient:Arch:00022:UNDI:003000", Some(ClientArch::ARM64_UBOOT), Cpu::Arm64, 22),
        ("U-Boot.armv7", Some(ClientArch::ARM32_UBOOT), Cpu::Arm32, 21),
        ("U-Boot", Some(ClientArch::RISCV64_UEFI), Cpu::RiscV64, 27),
        ("U-Boot", None, Cpu::X64, 0),
    ] {
        let mut net = Net { catalog: images(Some(cpu)), ..Net::new() };
        let offer = net.ask(&u_boot(class, arch)).reply.unwrap();
        assert_eq!(String::from_utf8_lossy(offer.file_name()), format!("u-boot/{folder}/boot.scr.uimg"), "{class}");
        assert_eq!(offer.siaddr, SERVER);
        for code in [OptionCode::CONFIG_FILE, OptionCode::PATH_PREFIX, OptionCode::VENDOR_CLASS, OptionCode::VENDOR] {
            assert!(!offer.options.has(code), "{class}: {code}");
        }
        let mut asks = u_boot(class, arch);
        asks.options.set(OptionCode::PARAMETER_LIST, [1, 3, 209]);
        let offer = net.ask(&asks).reply.unwrap();
        let config = "pxelinux.cfg/01-52-54-00-00-00-01";
        assert_eq!(offer.options.get(OptionCode::CONFIG_FILE), Some(config.as_bytes()));
        let wrong = Some(if cpu == Cpu::RiscV64 { Cpu::Arm64 } else { Cpu::RiscV64 });
        let mut net = Net { catalog: images(wrong), ..Net::new() };
        let seen = net.ask(&u_boot(class, arch));
        let is_refused = seen.entry.outcome.to_string().contains("cannot-run");
        assert_eq!(is_refused, folder != 0, "{class}: {}", seen.entry.outcome);
    }
}

#[test]
fn u_boot_that_asks_again_and_again_with_another_number_is_offered_the_same() {
    let mut net = Net { catalog: Catalog { images: catalog().images, ..Catalog::default() }, ..Net::new() };
    let mut message = u_boot("U-Boot", None);
    for xid in 1..=4 {
        message.xid = xid;
        let seen = net.ask(&message);
        let offer = seen.reply.unwrap();
        assert_eq!((offer.xid, offer.yiaddr), (xid, ip(100)));
    }
}
