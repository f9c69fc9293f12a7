//! Foreign HTTP clients fetch whole files and parts of them, over IPv4 and IPv6, from images and from the exported folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::net::Host;
use crate::server::Server;

const V4: &str = "http://10.77.0.1:8067";
const V6: &str = "http://[fd77::1]:8067";
const FILES: &[(&str, usize)] = &[("empty", 0), ("one", 1), ("some.efi", 1_000_001), ("large", 30_000_003)];

/// What a scenario's client asks with.
struct Desk<'a> {
    node: &'a Host,
    tree: PathBuf,
    got: PathBuf,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let (host, node) = (lab.host("server", &[(&lan, "10.77.0.1/24")])?, lab.host("client", &[(&lan, "10.77.0.9/24")])?);
    for (host, ip) in [(&host, "fd77::1/64"), (&node, "fd77::9/64")] {
        // Without the probe for duplicates, which would take a second in which nothing answers.
        host.run("ip", ["addr", "add", ip, "dev", "eth0", "nodad"])?;
    }
    let tree = lab.folder().join("tree");
    make_files(&tree)?;
    let export = lab.folder().join("export");
    fs::create_dir_all(&export)?;
    fs::copy(tree.join("some.efi"), export.join("exported.efi"))?;
    std::os::unix::fs::symlink(tree.join("one"), export.join("way-out"))?;
    let config = format!("[[interface]]\nname = \"eth0\"\nmode = \"off\"\n[tftp]\nexport = {export:?}\n");
    let server = lab.slipway(&host, &config)?;
    server.cli(["image".as_ref(), "add".as_ref(), "files".as_ref(), "--tree".as_ref(), tree.as_os_str()])?;
    server.start()?;
    let desk = Desk { node: &node, tree, got: lab.folder().join("got") };

    for root in [V4, V6] {
        lab.say(&format!("whole files and parts from {root}"));
        whole_files(&desk, root)?;
        parts(&desk, root)?;
        heads(&desk, root)?;
    }
    lab.say("copies that are still good, names that are not");
    copies(&desk)?;
    refusals(&desk)?;
    lab.say("forty clients at once");
    crowd(&desk)?;
    see_journal(&server)?;
    server.stop()
}

fn make_files(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, size) in FILES {
        let bytes: Vec<u8> =
            (0_u32..).flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(*size).collect();
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

impl Desk<'_> {
    /// curl with these arguments into the file of what was got.
    fn curl(&self, arguments: &[&str]) -> Result<String> {
        let got = self.got.to_string_lossy();
        let fixed = ["-sS", "--max-time", "60", "-o", &got];
        self.node.run("curl", fixed.iter().chain(arguments))
    }

    /// The status that curl was answered with.
    fn status(&self, arguments: &[&str]) -> Result<String> {
        self.curl(&[&["-w", "%{http_code}"], arguments].concat())
    }

    fn same(&self, what: &str, wanted: &[u8]) -> Result<()> {
        let got = fs::read(&self.got).with_context(|| format!("{what}: nothing was got"))?;
        ensure!(got == wanted, "{what}: {} bytes came that are not the {} wanted", got.len(), wanted.len());
        fs::remove_file(&self.got).map_err(Into::into)
    }

    fn original(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.tree.join(name))?)
    }
}

fn whole_files(desk: &Desk<'_>, root: &str) -> Result<()> {
    for (name, _) in FILES {
        let (url, original) = (format!("{root}/image/files/{name}"), desk.original(name)?);
        for (client, arguments) in
            [("curl", vec![]), ("curl by HTTP/1.0", vec!["-0"]), ("curl that closes", vec!["-H", "Connection: close"])]
        {
            desk.curl(&[&arguments[..], &[&url]].concat())?;
            desk.same(&format!("{client}: {url}"), &original)?;
        }
    }
    desk.curl(&[&format!("{root}/exported.efi")])?;
    desk.same("the exported folder", &desk.original("some.efi")?)
}

fn parts(desk: &Desk<'_>, root: &str) -> Result<()> {
    let url = format!("{root}/image/files/some.efi");
    let original = desk.original("some.efi")?;
    let size = original.len();
    for (range, status, part) in [
        ("0-0", "206", 0..1),
        ("1-1000", "206", 1..1001),
        ("1000000-", "206", 1_000_000..size),
        ("-17", "206", size - 17..size),
        ("500-2000000", "206", 500..size),
        ("0-9,20-29", "200", 0..size),
        ("1000001-", "416", 0..0),
    ] {
        let got = desk.status(&["-r", range, &url])?;
        ensure!(got == status, "range {range} of {url}: {got}, not {status}");
        let wanted = original.get(part).context("the part is not in the file")?;
        if status == "416" {
            let _ = fs::remove_file(&desk.got);
        } else {
            desk.same(&format!("range {range} of {url}"), wanted)?;
        }
    }
    // A download that broke off goes on where it was.
    let large = desk.original("large")?;
    fs::write(&desk.got, large.get(..20_000_000).context("too short")?)?;
    let status = desk.status(&["-C", "-", &format!("{root}/image/files/large")])?;
    ensure!(status == "206", "resumed with {status}");
    desk.same("a resumed download", &large)
}

/// HEAD says what GET would, in the spelling that GRUB and UEFI firmware look for.
fn heads(desk: &Desk<'_>, root: &str) -> Result<()> {
    let head = desk.node.run("curl", ["-sS", "-I", &format!("{root}/image/files/some.efi")])?;
    for line in
        ["HTTP/1.1 200 OK\r", "Content-Length: 1000001\r", "Content-Type: application/efi\r", "Accept-Ranges: bytes\r"]
    {
        ensure!(
            head.lines().any(|found| found == line.trim_end_matches('\r')) || head.contains(line),
            "no {line:?} in:\n{head}"
        );
    }
    ensure!(
        head.contains("\r\nETag: \"") && head.contains("\r\nLast-Modified: "),
        "nothing to know a copy by:\n{head}"
    );
    Ok(())
}

fn copies(desk: &Desk<'_>) -> Result<()> {
    let url = &format!("{V4}/image/files/some.efi");
    let etags = desk.tree.with_extension("etag");
    let etags = &etags.to_string_lossy();
    ensure!(desk.status(&["--etag-save", etags, url])? == "200", "no first copy");
    ensure!(desk.status(&["--etag-compare", etags, url])? == "304", "the same copy was sent again");
    let future = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT";
    ensure!(desk.status(&["-H", future, url])? == "304", "a copy from the future was sent again");
    ensure!(desk.status(&["-H", "If-Match: \"other\"", url])? == "412", "another version was taken for this one");
    let _ = fs::remove_file(&desk.got);
    Ok(())
}

fn refusals(desk: &Desk<'_>) -> Result<()> {
    for (arguments, status) in [
        (&["--path-as-is", "/image/files/none"][..], "404"),
        (&["--path-as-is", "/../../etc/passwd"], "400"),
        (&["--path-as-is", "/image/files/%2e%2e/x"], "400"),
        (&["--path-as-is", "/way-out"], "404"),
        (&["-X", "PUT", "/image/files/one"], "405"),
        (&["-X", "DELETE", "/image/files/one"], "405"),
        (&["-d", "x=y", "/image/files/one"], "405"),
        (&["-d", "nonsense", "/agent/report"], "400"),
    ] {
        let (path, options) = arguments.split_last().context("no path")?;
        let got = desk.status(&[options, &[&format!("{V4}{path}")]].concat())?;
        ensure!(got == status, "{arguments:?}: {got}, not {status}");
    }
    let _ = fs::remove_file(&desk.got);
    Ok(())
}

/// All of them get the whole file, each by itself and at the same time.
fn crowd(desk: &Desk<'_>) -> Result<()> {
    let folder = desk.tree.with_extension("crowd");
    fs::create_dir_all(&folder)?;
    let into = format!("{}/#1", folder.display());
    let url = format!("{V4}/image/files/some.efi?[1-40]");
    desk.node.run("curl", ["-sS", "--max-time", "60", "-Z", "--parallel-max", "40", "-o", &into, &url])?;
    let original = desk.original("some.efi")?;
    for n in 1..=40 {
        let got = fs::read(folder.join(n.to_string()))?;
        ensure!(got == original, "client {n} of 40 got {} bytes that are not the file", got.len());
    }
    fs::remove_dir_all(&folder).map_err(Into::into)
}

fn see_journal(server: &Server) -> Result<()> {
    let log = server.log()?;
    for line in [
        "GET /image/files/large -> 200 30000003 bytes",
        "GET /image/files/none -> declined (not-found)",
        "bytes=1-1000 -> 206 1000 bytes",
    ] {
        log.wait_for(line, Duration::from_secs(60))?;
    }
    Ok(())
}
