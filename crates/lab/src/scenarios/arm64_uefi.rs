//! A machine with a 64-bit ARM processor: edk2 loads a UKI that is built for it, by TFTP and by HTTP.
//!
//! The Linux in it is Debian's kernel with our agent, compiled for this processor.

use anyhow::{Context, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::parts;

pub(super) fn pxe(lab: &mut Lab) -> Result<()> {
    let story = boots(lab, "direct", Firmware::Arm64Pxe)?;
    ensure!(story.loaded(".efi").count() == 1, "the UKI was not loaded once by TFTP");
    ensure!(boot::requests(&story).iter().all(|line| line.starts_with("POST 204 ")), "{:?}", boot::requests(&story));
    Ok(())
}

pub(super) fn http(lab: &mut Lab) -> Result<()> {
    let story = boots(lab, "auto", Firmware::Arm64Http)?;
    let asked = boot::requests(&story);
    let [head, get, report] = asked.as_slice() else {
        anyhow::bail!("HEAD, GET and the report were expected: {asked:?}")
    };
    ensure!(
        head.starts_with("HEAD 200 ") && get.starts_with("GET 200 ") && report.starts_with("POST 204 "),
        "{asked:?}"
    );
    ensure!(story.transfers().is_empty(), "TFTP was used");
    Ok(())
}

/// iPXE, which Debian has for this processor since release 13, loads kernel and initrd. A machine that is told to boot what is built for
/// another processor is given nothing, and the journal says why.
pub(super) fn ipxe(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let wrong = "\n[[rule]]\nname = \"wrong\"\nwhen = { mac = \"52:54:00:77:00:02\" }\nboot = \"x64\"\n";
    let rules = boot::full_dhcp("ipxe").replacen("\n[[rule]]", &format!("{wrong}\n[[rule]]"), 1);
    let server = lab.slipway(&host, &rules)?;
    let loaders = server.data().join("loaders");
    std::fs::create_dir_all(&loaders)?;
    let ipxe = lab.linux()?.ipxe.as_ref().context("the lab has no iPXE for this processor")?.join("ipxe-arm64.efi");
    std::fs::copy(&ipxe, loaders.join("ipxe-arm64.efi")).with_context(|| format!("cannot copy {}", ipxe.display()))?;
    boot::add_linux(lab, &server)?;
    let for_x64 = parts::UKI_STUB.find()?;
    server.cli(["image".as_ref(), "add".as_ref(), "x64".as_ref(), "--efi".as_ref(), for_x64.as_os_str()])?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Arm64Pxe).memory(512), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "the command line was {:?}", booted.cmdline);
    let story = boot::story(lab, &lan, &machine)?;
    story.loaded("ipxe-arm64.efi").next().context("iPXE was not loaded by TFTP")?;
    let asked = boot::requests(&story);
    for (begins, what) in
        [("/boot.ipxe?mac=", "script"), ("/image/debian@1/linux", "kernel"), ("/image/debian@1/initrd", "initrd")]
    {
        let line = format!("GET 200 {begins}");
        ensure!(asked.iter().any(|asked| asked.starts_with(&line)), "the {what} was not loaded by HTTP: {asked:?}");
    }

    let wrong = lab.power_on(Order::new("node2", 2, Firmware::Arm64Pxe).memory(512), &lan)?;
    let reason = "image `x64` cannot be booted here: it is built for x64";
    server.log()?.wait_for(reason, std::time::Duration::from_secs(120))?;
    ensure!(server.journal_json(wrong.mac())?.to_string().contains("cannot-run"), "the journal does not say why");
    Ok(())
}

/// Boots the machine into the image `debian`, and tells what was said on the network.
fn boots(lab: &mut Lab, path: &str, firmware: Firmware) -> Result<crate::story::Story> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp(path))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, firmware).memory(512), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;
    boot::story(lab, &lan, &machine)
}
