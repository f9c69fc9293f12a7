use super::*;

fn with_chain(over_http: bool) -> Catalog {
    let mut catalog = catalog();
    let loader = FileRef { digest: Digest([1; 32]), size: 70_000 };
    for name in ["shimx64.efi", "grubx64.efi", "shimaa64.efi"] {
        catalog.loaders.insert(name.to_owned(), loader);
    }
    if over_http {
        catalog.over_http.insert("grubx64.efi".to_owned());
    }
    catalog
}

#[test]
fn shim_and_grub_come_before_ipxe_where_the_firmware_cannot_load_the_image_itself() {
    let mut table = String::new();
    let x64_http = request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp);
    for (name, over_http, request) in [
        ("x64 pxe", false, pxe(ClientArch::X64_UEFI)),
        ("x64 http", false, x64_http.clone()),
        ("x64 http, GRUB with HTTP", true, x64_http),
        ("arm64 pxe, shim alone", false, pxe(ClientArch::ARM64_UEFI)),
        ("ia32 pxe", false, pxe(ClientArch::IA32_UEFI)),
        ("BIOS pxe", false, pxe(ClientArch::BIOS)),
        ("x64 ipxe script", false, script_of(ClientArch::X64_UEFI)),
    ] {
        table.push_str(&format!("{name}\n"));
        let catalog = with_chain(over_http);
        for image in ["uki", "linux", "efi", "script", "tree"] {
            for (word, path) in [("auto", Path::Auto), ("shim", Path::Shim)] {
                let said = line(decide(&request, &rules(Then::Boot(boot(image, path))), &catalog, SERVER));
                table.push_str(&format!("  {image:6} {word:4} {said}\n"));
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_chain_that_is_not_whole_or_not_tried_is_taken_only_where_the_rule_says_so() {
    let linux = |path| rules(Then::Boot(boot("linux", path)));
    let x64 = pxe(ClientArch::X64_UEFI);
    let mut half = with_chain(false);
    half.loaders.remove("grubx64.efi");
    assert_eq!(line(decide(&x64, &linux(Path::Auto), &half, SERVER)), "tftp loader/snponly.efi");
    assert_eq!(decide(&x64, &linux(Path::Shim), &half, SERVER), Err(Why::NoLoader { file: "grubx64.efi" }));
    let said = Why::NoLoader { file: "grubx64.efi" }.to_string();
    assert!(said.contains("`grub-efi-amd64-signed`"), "{said}");
    let v6 = ServerAddr { ip: "fd00::1".parse().unwrap(), http_port: 80, https: false };
    assert_eq!(line(decide(&x64, &linux(Path::Auto), &with_chain(false), v6)), "tftp loader/snponly.efi");
    assert_eq!(line(decide(&x64, &linux(Path::Shim), &with_chain(false), v6)), "tftp shim/shimx64.efi");
    let mut secure = linux(Path::Shim);
    secure.rules.iter_mut().for_each(|rule| rule.https = Some(8443));
    let http = request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp);
    let said = line(decide(&http, &secure, &with_chain(true), SERVER));
    assert!(said.contains("GRUB loads nothing over HTTPS"), "{said}");
}

#[test]
fn grub_is_given_what_it_can_start() {
    let grub = |arch| request(Loader::Grub, arch, Exchange::Script);
    let x64 = grub(ClientArch::X64_UEFI);
    let mut table = String::new();
    for (word, then) in [
        ("uki", Then::Boot(boot("uki", Path::Auto))),
        ("uki, more", Then::Boot(Boot { append: Some("debug \"a b\"".into()), ..boot("uki", Path::Auto) })),
        ("linux", Then::Boot(boot("linux", Path::Auto))),
        ("linux, bad", Then::Boot(Boot { append: Some("it's".into()), ..boot("linux", Path::Auto) })),
        ("efi", Then::Boot(boot("efi", Path::Auto))),
        ("script", Then::Boot(boot("script", Path::Auto))),
        ("tree", Then::Boot(boot("tree", Path::Auto))),
        ("arm", Then::Boot(boot("uki-arm", Path::Auto))),
        ("menu", Then::Menu),
        ("local", Then::Local),
        ("ignore", Then::Ignore),
    ] {
        let said = match decide(&x64, &rules(then), &with_chain(false), SERVER) {
            Ok(Answer { step: Step::Grub { text }, .. }) => {
                let verbs = ["if ", "exit"];
                let lines = text.lines().filter(|line| verbs.iter().any(|verb| line.starts_with(verb)));
                lines.collect::<Vec<_>>().join(" ")
            }
            outcome => line(outcome),
        };
        table.push_str(&format!("{word:10} {said}\n"));
    }
    insta::assert_snapshot!(table);
}
