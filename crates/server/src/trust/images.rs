//! What machines may run: the signed manifests beside the records of the image store, and the boot loaders that we serve.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use slipway_engine::catalog::{Catalog, Digest as FileDigest, FileRef, Image};
use slipway_image::authenticode;
use slipway_store::{Blobs, Images as Store};
use slipway_trust::image::ImageManifest;
use slipway_trust::node::Images;
use slipway_trust::{Digest, OrgManifest, Signed};

/// Authenticode digests of boot loaders, so that each is read once.
#[derive(Debug, Default)]
pub(super) struct Loaders(HashMap<FileDigest, Option<Digest>>);

impl Loaders {
    /// What firmware measures when it starts one of the loaders that we serve and that start nothing unmeasured.
    fn digests(&mut self, catalog: &Catalog, blobs: &Blobs) -> Vec<Digest> {
        let files: Vec<&FileRef> =
            catalog.loaders.iter().filter(|(name, _)| is_measuring(name)).map(|(_, file)| file).collect();
        self.0.retain(|digest, _| files.iter().any(|file| file.digest == *digest));
        let digest = |file: &&FileRef| {
            let read = || authenticode::digest(&fs::read(blobs.path(&file.digest)).ok()?).ok().map(Digest);
            *self.0.entry(file.digest).or_insert_with(read)
        };
        files.iter().filter_map(digest).collect()
    }
}

/// Whether a loader has the firmware load, and so measure, whatever it starts. iPXE does. GRUB starts a kernel without the firmware: a log that
/// ends with an image of ours could be followed by any system, which may extend PCR 11 as it likes. So neither it nor shim before it is allowed.
fn is_measuring(name: &str) -> bool {
    name.ends_with(".efi") && (name.starts_with("ipxe") || name.starts_with("snponly"))
}

/// Reads the manifests of all images of the catalog; tells what is wrong with those that are not taken.
pub(super) fn load(
    data: &Path,
    org: &OrgManifest,
    (catalog, blobs): (&Catalog, &Blobs),
    loaders: &mut Loaders,
) -> (Images, Vec<String>) {
    let (mut manifests, mut faults) = (Vec::new(), Vec::new());
    let store = Store::under(data);
    for image in catalog.images.values().flatten() {
        let named = format!("{}@{}", image.name, image.version);
        match read(&store, image) {
            Ok(None) => {}
            Ok(Some(signed)) => match Images::new(org, [signed.clone()], []).1.first() {
                Some(why) => faults.push(format!("machines are not given {named}: {why}")),
                None => manifests.push(signed),
            },
            Err(why) => faults.push(format!("machines are not given {named}: {why}")),
        }
    }
    (Images::new(org, manifests, loaders.digests(catalog, blobs)).0, faults)
}

fn read(store: &Store, image: &Image) -> Result<Option<Signed>, String> {
    let bytes = store.manifest(&image.name, &image.version).map_err(|error| crate::dhcp::story(&error))?;
    let signed = |bytes: Vec<u8>| slipway_trust::decode(&bytes).map_err(|_| "its manifest is damaged".to_owned());
    bytes.map(signed).transpose()
}

/// An image in a word for people: `preboot web 1700000000 x64`.
pub(super) fn told(manifest: &ImageManifest) -> String {
    format!("{} {} {} {}", manifest.role, manifest.name, manifest.version, manifest.arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_that_start_a_kernel_without_the_firmware_are_not_allowed_in_a_boot_log() {
        for name in ["ipxe.efi", "snponly.efi", "snponly-arm64.efi", "ipxe-arm64.efi"] {
            assert!(is_measuring(name), "{name}");
        }
        for name in ["grubx64.efi", "shimx64.efi", "undionly.kpxe", "lpxelinux.0", "grubaa64.efi"] {
            assert!(!is_measuring(name), "{name}");
        }
    }
}
