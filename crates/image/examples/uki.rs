//! Builds a UKI from systemd's stub, a distribution's kernel and our agent:
//! `cargo run -p slipway-image --example uki -- STUB KERNEL-ROOT AGENT OUT CMDLINE…`. The initrd is left beside it as `OUT.initrd`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use slipway_image::uki::{self, Parts};
use slipway_image::{Initramfs, Kernel};

const MODULES: [&str; 4] = ["virtio_pci", "virtio_net", "e1000", "efivarfs"];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [stub, root, agent, out, cmdline @ ..] = args.as_slice() else {
        return Err("usage: uki STUB KERNEL-ROOT AGENT OUT CMDLINE…".into());
    };
    let kernel = Kernel::find(Path::new(root))?;
    let known: Vec<&str> = MODULES.into_iter().filter(|name| kernel.has_module(name)).collect();
    let initrd = Initramfs::with_agent(&fs::read(agent)?, &kernel.modules(&known)?).compressed()?;
    let parts = Parts {
        linux: &kernel.read()?,
        initrd: &initrd,
        cmdline: &cmdline.join(" "),
        osrel: "ID=slipway\nNAME=Slipway\nPRETTY_NAME=\"Slipway agent\"\n",
        uname: &kernel.release,
    };
    let image = uki::build(&fs::read(stub)?, &parts)?;
    println!("{out}: {} bytes, kernel {}, initrd {} bytes", image.len(), kernel.release, initrd.len());
    fs::write(format!("{out}.initrd"), &initrd)?;
    Ok(fs::write(out, image)?)
}
