//! The virtual namespace that TFTP and HTTP serve alike: names to content, never a path of the real file system.
//!
//! Three folders hold files: `loader/<file>` and, for pxelinux's sake, `pxelinux/<file>` boot loaders, `shim/<file>` those of them that
//! shim and GRUB look for beside themselves, `image/<name>/<file>` the newest version of an image and
//! `image/<name>@<version>/<file>` a certain one. `blob/sha256/<digest>` is a file of any image by its content: who was told by a signed
//! manifest what to fetch asks any node for that, and checks what comes. What depends on who asks is [`lookup`](crate::lookup)'s, and for GRUB
//! [`crate::grub::lookup`]'s.

use crate::Why;
use crate::catalog::{Catalog, Digest, FileRef};
use crate::lookup::{PXELINUX, U_BOOT};

/// The longest name that is looked at, in bytes.
const LONGEST: usize = 255;
/// The script that iPXE looks for by itself.
const AUTOEXEC: &str = "autoexec.ipxe";

/// Brings a name as firmware sends it into the namespace's form: no leading `/`, `/` between folders, nothing to resolve.
/// Windows' loaders send backslashes, iPXE keeps the URL's leading `/`, PXE ROMs read the name out of an option that has no
/// terminator and send 0xff or blanks after it. A name of nothing but slashes becomes the empty string, which leads nowhere.
///
/// # Errors
/// [`Why::BadPath`] for `..`, control bytes, drive letters, text that is not UTF-8 and names of more than 255 bytes.
pub fn normalise(raw: &[u8]) -> Result<String, Why> {
    let end = raw.iter().rposition(|byte| !matches!(byte, 0xff | b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'\\'));
    let name = raw.get(..end.map_or(0, |last| last.saturating_add(1))).unwrap_or_default();
    if name.len() > LONGEST {
        return Err(Why::BadPath);
    }
    let name = core::str::from_utf8(name).map_err(|_| Why::BadPath)?;
    if name.chars().any(char::is_control) {
        return Err(Why::BadPath);
    }
    let parts: Vec<&str> = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || parts.first().is_some_and(|first| has_drive_letter(first)) {
        return Err(Why::BadPath);
    }
    // `x /.` would keep a blank at the end, which a second reading would take off: one name, one form.
    if parts.last().is_some_and(|last| last.ends_with(' ')) {
        return Err(Why::BadPath);
    }
    Ok(in_its_place(&parts).join("/"))
}

/// U-Boot puts the folder of its boot file before every name that a configuration has: `u-boot/22/image/…` is `image/…`.
fn in_its_place<'a>(parts: &'a [&'a str]) -> &'a [&'a str] {
    match parts {
        [U_BOOT, arch, rest @ ..] if rest.first() == Some(&"image") && arch.bytes().all(|b| b.is_ascii_digit()) => rest,
        whole => whole,
    }
}

/// Whether a normalised name is the script that iPXE of 2021 and later looks for by itself: beside the file that it was loaded as, then
/// at the root. Who has one of that name in an image or an exported folder is served that instead.
#[must_use]
pub fn is_autoexec(path: &str) -> bool {
    let folder = path
        .strip_suffix(AUTOEXEC)
        .and_then(|folder| if folder.is_empty() { Some("") } else { folder.strip_suffix('/') });
    match folder {
        Some("" | "loader") => true,
        Some(folder) => folder.strip_prefix("image/").is_some_and(|image| !image.is_empty() && !image.contains('/')),
        None => false,
    }
}

fn has_drive_letter(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// The file that a normalised name leads to.
///
/// # Errors
/// [`Why::NotFound`]: firmware probes for many files that need not exist, and wants that said at once.
pub fn resolve(path: &str, catalog: &Catalog) -> Result<FileRef, Why> {
    let (folder, rest) = path.split_once('/').ok_or(Why::NotFound)?;
    let file = match folder {
        // pxelinux looks for its parts and its configuration in the folder that it came from.
        "loader" | PXELINUX => catalog.loaders.get(rest),
        "shim" if ["shim", "grub", "mm"].iter().any(|kind| rest.starts_with(kind)) => catalog.loaders.get(rest),
        "image" => {
            let (image, file) = rest.split_once('/').ok_or(Why::NotFound)?;
            let (name, version) = match image.split_once('@') {
                Some((name, version)) => (name, Some(version)),
                None => (image, None),
            };
            catalog.image(name, version).and_then(|image| image.files.get(file))
        }
        BLOB => rest.strip_prefix("sha256/").and_then(|digits| by_content(digits, catalog)),
        _ => None,
    };
    file.copied().ok_or(Why::NotFound)
}

/// The folder of files by their content.
pub const BLOB: &str = "blob";

/// The name of a file by its content.
#[must_use]
pub fn blob(digest: &Digest) -> String {
    format!("{BLOB}/sha256/{digest}")
}

/// A file of an image by its digest's 64 lower-case hexadecimal digits. What no image has is not served, though it may still be stored.
fn by_content<'a>(digits: &str, catalog: &'a Catalog) -> Option<&'a FileRef> {
    let mut digest = Digest([0; 32]);
    let pairs = digits.as_bytes().chunks_exact(2);
    if digits.len() != 64 || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in digest.0.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let files = catalog.images.values().flatten().flat_map(|image| image.files.values());
    files.into_iter().find(|file| file.digest == digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{Image, ImageKind};

    #[test]
    fn the_spellings_of_firmware_become_one_name() {
        for (raw, name) in [
            (&b"image/debian/uki.efi"[..], "image/debian/uki.efi"),
            (b"/image/debian/uki.efi", "image/debian/uki.efi"),
            (b"//image//debian/./uki.efi", "image/debian/uki.efi"),
            (b"\\image\\debian\\uki.efi", "image/debian/uki.efi"),
            (b"./loader/undionly.kpxe", "loader/undionly.kpxe"),
            (b"loader/undionly.kpxe\xff\xff", "loader/undionly.kpxe"),
            (b"loader/undionly.kpxe \xff \r\n", "loader/undionly.kpxe"),
            (b"grub/x86_64-efi/..lst", "grub/x86_64-efi/..lst"),
            (b"pxelinux.cfg/01-52-54-00-12-34-56", "pxelinux.cfg/01-52-54-00-12-34-56"),
            (b"a b/c", "a b/c"),
            (b"u-boot/22//image/debian@1/linux", "image/debian@1/linux"),
            (b"u-boot/22/pxelinux.cfg/default", "u-boot/22/pxelinux.cfg/default"),
            (b"u-boot/22/boot.scr.uimg", "u-boot/22/boot.scr.uimg"),
            (b"u-boot/x/image/debian@1/linux", "u-boot/x/image/debian@1/linux"),
            (b"u-boot/1/u-boot/2/image/x", "u-boot/1/u-boot/2/image/x"),
            ("Ä/ö".as_bytes(), "Ä/ö"),
            (b"", ""),
            (b"///", ""),
            (b"\xff", ""),
            (b"a / \xff", "a"),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(name), "{}", raw.escape_ascii());
        }
        assert_eq!(normalise(&[b'a'; 255]).map(|name| name.len()), Ok(255));
    }

    #[test]
    fn names_that_would_leave_the_namespace_are_refused() {
        for raw in [
            &b".."[..],
            b"../etc/passwd",
            b"image/../../etc/passwd",
            b"image/..",
            b"..\\..\\boot.ini",
            b"a/\\../b",
            b"C:/windows",
            b"/c:\\windows",
            b"C:",
            b"a\0b",
            b"a\nb",
            b"a\x1b[2J",
            b"a\xc2\x85b",
            b"a\xff/b",
            b"a\x80",
            b"a /.",
            &[b'a'; 256],
        ] {
            assert_eq!(normalise(raw), Err(Why::BadPath), "{}", raw.escape_ascii());
        }
    }

    fn catalog() -> Catalog {
        let file = |n: u8| FileRef { digest: Digest([n; 32]), size: u64::from(n) };
        let image = |version: &str, n: u8| Image {
            name: "lab".into(),
            version: version.into(),
            kind: ImageKind::Tree,
            cpu: None,
            cmdline: None,
            files: [("uki.efi".into(), file(n)), ("deep/in/it".into(), file(9))].into(),
        };
        Catalog {
            images: [("lab".into(), vec![image("1", 1), image("2.0", 2)])].into(),
            loaders: [("ipxe.efi".into(), file(7)), ("grubx64.efi".into(), file(8))].into(),
            ..Catalog::default()
        }
    }

    #[test]
    fn a_name_leads_to_its_file_or_nowhere() {
        let catalog = catalog();
        for (path, size) in [
            ("loader/ipxe.efi", Some(7)),
            ("shim/grubx64.efi", Some(8)),
            ("shim/ipxe.efi", None),
            ("shim/revocations_sku.efi", None),
            ("shim/shim_certificate_0.efi", None),
            ("pxelinux/ipxe.efi", Some(7)),
            ("pxelinux/pxelinux.cfg/default", None),
            ("image/lab/uki.efi", Some(2)),
            ("image/lab@1/uki.efi", Some(1)),
            ("image/lab@2.0/uki.efi", Some(2)),
            ("image/lab@1/deep/in/it", Some(9)),
            ("image/lab@3/uki.efi", None),
            ("image/lab@/uki.efi", None),
            ("image/lab/deep", None),
            ("image/lab", None),
            ("image", None),
            ("loader", None),
            ("loader/ipxe.efi/x", None),
            ("ipxe.efi", None),
            ("Image/lab/uki.efi", None),
            ("", None),
        ] {
            let size = size.ok_or(Why::NotFound);
            assert_eq!(resolve(path, &catalog).map(|file| file.size), size, "{path}");
        }
    }

    #[test]
    fn a_file_of_an_image_is_had_by_its_content_and_nothing_else_is() {
        let catalog = catalog();
        for (path, size) in [
            (blob(&Digest([1; 32])), Some(1)),
            (blob(&Digest([9; 32])), Some(9)),
            // A loader's is not an image's.
            (blob(&Digest([7; 32])), None),
            (blob(&Digest([3; 32])), None),
            (format!("blob/sha256/{}", "0A".repeat(32)), None),
            (format!("blob/sha256/{}", "01".repeat(31)), None),
            (format!("blob/sha256/{}", "+1".repeat(32)), None),
            (format!("blob/sha256/{}/x", "01".repeat(32)), None),
            (format!("blob/sha512/{}", "01".repeat(32)), None),
            ("blob/sha256/".to_owned(), None),
            ("blob".to_owned(), None),
        ] {
            assert_eq!(resolve(&path, &catalog).map(|file| file.size), size.ok_or(Why::NotFound), "{path}");
        }
    }

    #[test]
    fn ipxes_own_script_is_where_ipxe_looks_for_it() {
        for (path, is) in [
            ("autoexec.ipxe", true),
            ("loader/autoexec.ipxe", true),
            ("image/ipxe/autoexec.ipxe", true),
            ("image/ipxe@1.21/autoexec.ipxe", true),
            ("image/autoexec.ipxe", false),
            ("image//autoexec.ipxe", false),
            ("image/files/deep/autoexec.ipxe", false),
            ("loaderautoexec.ipxe", false),
            ("other/autoexec.ipxe", false),
            ("/autoexec.ipxe", true),
            ("autoexec.ipxe/x", false),
            ("", false),
        ] {
            assert_eq!(is_autoexec(path), is, "{path}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_inside_and_is_in_its_final_form(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(name) = normalise(&raw) {
                prop_assert!(!name.starts_with('/') && !name.contains(['\\', '\0']) && name.len() <= LONGEST);
                prop_assert!(name.split('/').all(|part| part != ".." && part != "."));
                let again = normalise(name.as_bytes());
                prop_assert_eq!(again.as_deref(), Ok(name.as_str()));
            }
        }

        #[test]
        fn no_mixture_of_separators_and_dots_climbs(raw in "[./\\\\a:C ]{0,40}") {
            if let Ok(name) = normalise(raw.as_bytes()) {
                prop_assert!(name.split(['/', '\\']).all(|part| part != ".."));
                let again = normalise(name.as_bytes());
                prop_assert_eq!(again.as_deref(), Ok(name.as_str()));
            }
        }

        #[test]
        fn no_path_makes_resolve_panic(path in ".{0,60}") {
            let _ = resolve(&path, &catalog());
        }
    }
}
