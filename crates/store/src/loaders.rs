//! Boot loaders from the distribution's packages, or of the operator's own: found, imported as stored files, and recorded in
//! `loaders.json` with where they came from. We ship none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use slipway_engine::catalog::FileRef;

use crate::blobs::{create_folder, list as list_folder, sync_folder};
use crate::images::{FileRecord, Images, StoreError, seal};

/// A boot loader that is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loader {
    /// The name it is served under, in `loader/`.
    pub name: String,
    /// Its content.
    pub file: FileRef,
    /// Where it was found.
    pub path: PathBuf,
    /// The package that brought it, with its version, where the system's package manager knows.
    pub package: Option<String>,
    /// Whether it can load over HTTP what comes next.
    pub over_http: bool,
}

/// Where distributions put iPXE's builds, by the names that we serve: Debian and Ubuntu, then Fedora, then Arch; and the signed shim
/// with the network build of GRUB, by the names that shim and firmware look for: Debian, then Ubuntu. The first one that exists is
/// taken.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "undionly.kpxe",
        &["/usr/lib/ipxe/undionly.kpxe", "/usr/share/ipxe/undionly.kpxe", "/usr/share/ipxe/x86_64/undionly.kpxe"],
    ),
    (
        "snponly.efi",
        &["/usr/lib/ipxe/snponly.efi", "/usr/share/ipxe/ipxe-snponly-x86_64.efi", "/usr/share/ipxe/x86_64/snponly.efi"],
    ),
    ("ipxe.efi", &["/usr/lib/ipxe/ipxe.efi", "/usr/share/ipxe/ipxe-x86_64.efi", "/usr/share/ipxe/x86_64/ipxe.efi"]),
    ("snponly-ia32.efi", &["/usr/share/ipxe/ipxe-snponly-i386.efi", "/usr/share/ipxe/i386-efi/snponly.efi"]),
    (
        "ipxe-ia32.efi",
        &["/usr/lib/ipxe/ipxe-ia32.efi", "/usr/share/ipxe/ipxe-i386.efi", "/usr/share/ipxe/i386-efi/ipxe.efi"],
    ),
    (
        "snponly-arm64.efi",
        &[
            "/usr/lib/ipxe/snponly-arm64.efi",
            "/usr/share/ipxe/arm64-efi/snponly.efi",
            "/usr/share/ipxe/ipxe-snponly-aarch64.efi",
        ],
    ),
    (
        "ipxe-arm64.efi",
        &["/usr/lib/ipxe/ipxe-arm64.efi", "/usr/share/ipxe/arm64-efi/ipxe.efi", "/usr/share/ipxe/ipxe-aarch64.efi"],
    ),
    ("ipxe-riscv64.efi", &["/usr/lib/ipxe/ipxe-riscv64.efi"]),
    ("ipxe-loong64.efi", &["/usr/lib/ipxe/ipxe-loong64.efi"]),
    (
        "shimx64.efi",
        &[
            "/usr/lib/shim/shimx64.efi.signed",
            "/usr/lib/shim/shimx64.efi.signed.latest",
            "/usr/lib/shim/shimx64.efi.dualsigned",
        ],
    ),
    ("mmx64.efi", &["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"]),
    ("grubx64.efi", &["/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"]),
    (
        "shimaa64.efi",
        &[
            "/usr/lib/shim/shimaa64.efi.signed",
            "/usr/lib/shim/shimaa64.efi.signed.latest",
            "/usr/lib/shim/shimaa64.efi.dualsigned",
        ],
    ),
    ("mmaa64.efi", &["/usr/lib/shim/mmaa64.efi.signed", "/usr/lib/shim/mmaa64.efi"]),
    ("grubaa64.efi", &["/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed"]),
];

/// Where distributions put pxelinux and the part of it that it loads first: Debian and Ubuntu, then Arch, then Fedora.
const PXELINUX: &[(&str, &[&str])] = &[
    (
        "lpxelinux.0",
        &["/usr/lib/PXELINUX/lpxelinux.0", "/usr/lib/syslinux/bios/lpxelinux.0", "/usr/share/syslinux/lpxelinux.0"],
    ),
    (
        "pxelinux.0",
        &["/usr/lib/PXELINUX/pxelinux.0", "/usr/lib/syslinux/bios/pxelinux.0", "/usr/share/syslinux/pxelinux.0"],
    ),
    (
        "ldlinux.c32",
        &[
            "/usr/lib/syslinux/modules/bios/ldlinux.c32",
            "/usr/lib/syslinux/bios/ldlinux.c32",
            "/usr/share/syslinux/ldlinux.c32",
        ],
    ),
];

/// The record of all loaders.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    loaders: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    content: FileRecord,
    path: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over_http: bool,
}

const FORMAT: u32 = 1;

/// Looks for boot loaders where distributions put them, and in `<data>/loaders`, whose files come before the distribution's of
/// the same name.
#[must_use]
pub fn find(data: &Path) -> Vec<(String, PathBuf)> {
    let mut found = BTreeMap::new();
    for (name, paths) in KNOWN.iter().chain(PXELINUX) {
        if let Some(path) = paths.iter().map(Path::new).find(|path| path.is_file()) {
            found.insert((*name).to_owned(), path.to_owned());
        }
    }
    for path in list_folder(&data.join("loaders")).unwrap_or_default() {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        if let Some(name) = name.filter(|name| !name.starts_with('.') && path.is_file()) {
            found.insert(name.to_owned(), path);
        }
    }
    found.into_iter().collect()
}

/// The loaders stored so far, by name.
///
/// # Errors
/// The record cannot be read.
pub fn list(data: &Path) -> Result<Vec<Loader>, StoreError> {
    let path = data.join("loaders.json");
    let corrupt = |detail: String| StoreError::Corrupt { path: path.clone(), detail };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::reading(&path)(error)),
    };
    let record: Record = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    if record.format != FORMAT {
        return Err(corrupt(format!("format {}, this program knows {FORMAT}", record.format)));
    }
    let loader = |(name, entry): (String, Entry)| {
        let file = entry.content.file().ok_or_else(|| corrupt(format!("the digest of {name:?}")))?;
        Ok(Loader { name, file, path: entry.path, package: entry.package, over_http: entry.over_http })
    };
    record.loaders.into_iter().map(loader).collect()
}

/// Finds boot loaders, stores them, and records where each came from. One that was found earlier and is gone from its place stays.
///
/// # Errors
/// A loader cannot be read, or the store cannot be written.
pub fn find_and_import(data: &Path) -> Result<Vec<Loader>, StoreError> {
    import(data, &find(data), package_of)
}

fn import(
    data: &Path,
    found: &[(String, PathBuf)],
    package_of: impl Fn(&Path) -> Option<String>,
) -> Result<Vec<Loader>, StoreError> {
    let images = Images::under(data);
    let writer = images.writer()?;
    let before = list(data)?;
    let mut loaders: BTreeMap<String, Loader> =
        before.iter().map(|loader| (loader.name.clone(), loader.clone())).collect();
    for (name, path) in found {
        let source = File::open(path).map_err(StoreError::reading(path))?;
        let file = writer.put(source, &mut |_| {})?;
        let unchanged = loaders.get(name).is_some_and(|known| known.file == file && known.path == *path);
        if !unchanged {
            let over_http = loads_over_http(path)?;
            let (path, package) = (path.clone(), package_of(path));
            let loader = Loader { name: name.clone(), file, path, package, over_http };
            loaders.insert(name.clone(), loader);
        }
    }
    let loaders: Vec<Loader> = loaders.into_values().collect();
    if loaders != before {
        write(data, &loaders)?;
    }
    Ok(loaders)
}

fn write(data: &Path, loaders: &[Loader]) -> Result<(), StoreError> {
    let entry = |loader: &Loader| Entry {
        content: loader.file.into(),
        path: loader.path.clone(),
        package: loader.package.clone(),
        over_http: loader.over_http,
    };
    let record =
        Record { format: FORMAT, loaders: loaders.iter().map(|loader| (loader.name.clone(), entry(loader))).collect() };
    let path = data.join("loaders.json");
    create_folder(data)?;
    let replace = || -> io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(".loaders-").tempfile_in(data)?;
        serde_json::to_writer_pretty(&mut temporary, &record)?;
        temporary.write_all(b"\n")?;
        seal(temporary.as_file())?;
        temporary.persist(&path)?;
        Ok(())
    };
    replace().map_err(StoreError::writing(&path))?;
    sync_folder(data)
}

/// Whether a loader has an HTTP client in it: then it has the words that such a client sends. GRUB's modules are not compressed.
fn loads_over_http(path: &Path) -> Result<bool, StoreError> {
    let bytes = fs::read(path).map_err(StoreError::reading(path))?;
    let word = b" HTTP/1.1";
    Ok(bytes.windows(word.len()).any(|window| window == word))
}

/// The package that owns a file, with its version, as dpkg or rpm tells. Neither may be there.
fn package_of(path: &Path) -> Option<String> {
    let output = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    if let Some(owner) = output("dpkg-query", &["--search"]) {
        let package = owner.split_once(':')?.0.to_owned();
        let mut query = Command::new("dpkg-query");
        query.args(["--show", "--showformat", "${Package} ${Version}", &package]).stdin(Stdio::null());
        let shown = query.stderr(Stdio::null()).output().ok()?;
        return String::from_utf8(shown.stdout).ok().filter(|text| !text.is_empty());
    }
    output("rpm", &["--query", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}", "--file"])
}
