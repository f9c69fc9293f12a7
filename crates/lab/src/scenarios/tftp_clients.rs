//! Foreign TFTP clients fetch files of awkward sizes, over IPv4 and IPv6, from images and from the exported folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::lab::Lab;
use crate::net::{Host, Lan};
use crate::server::Server;

const V4: &str = "10.77.0.1";
const V6: &str = "fd77::1";
/// Sizes by name: in blocks of 512 bytes, and of 1468 bytes, one is exactly one block (with an empty block behind it).
const FILES: &[(&str, usize)] =
    &[("empty", 0), ("block512", 512), ("block1468", 1468), ("some", 1_000_001), ("beyond65535", 512 * 66_000 + 100)];

/// A foreign client: its name, and the command that gets a remote file into a local one.
struct Client {
    name: &'static str,
    server: &'static str,
    /// What the server's journal must have noted, so that what is tested is what was meant.
    agreed: &'static str,
    command: fn(server: &str, remote: &str, local: &str) -> Vec<String>,
}

const CLIENTS: &[Client] = &[
    Client { name: "tftp-hpa", server: V4, agreed: "blksize 512 windowsize 1", command: tftp_hpa },
    Client { name: "tftp-hpa", server: V6, agreed: "blksize 512 windowsize 1", command: tftp_hpa },
    Client { name: "atftp", server: V4, agreed: "blksize 512 windowsize 8", command: atftp },
    Client { name: "atftp", server: V6, agreed: "blksize 512 windowsize 8", command: atftp },
    Client { name: "curl", server: V4, agreed: "blksize 512 windowsize 1", command: curl },
    Client { name: "curl", server: V6, agreed: "blksize 512 windowsize 1", command: curl },
    Client { name: "curl with large blocks", server: V4, agreed: "blksize 1468 windowsize 1", command: curl_1468 },
    Client { name: "curl with large blocks", server: V6, agreed: "blksize 1448 windowsize 1", command: curl_1468 },
    Client { name: "busybox", server: V4, agreed: "blksize 1468 windowsize 1", command: busybox },
];

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let (host, node) = (on_both(lab, &lan, "server", V4, V6)?, on_both(lab, &lan, "client", "10.77.0.9", "fd77::9")?);
    let tree = lab.folder().join("tree");
    make_files(&tree)?;
    let export = lab.folder().join("export");
    fs::create_dir_all(&export)?;
    fs::copy(tree.join("some"), export.join("exported"))?;
    let config = format!("[[interface]]\nname = \"eth0\"\nmode = \"off\"\n[tftp]\nexport = {export:?}\n");
    let server = lab.slipway(&host, &config)?;
    server.cli(["image".as_ref(), "add".as_ref(), "files".as_ref(), "--tree".as_ref(), tree.as_os_str()])?;
    server.start()?;

    for client in CLIENTS {
        lab.say(&format!("{} fetches from {}", client.name, client.server));
        for (name, _) in FILES {
            fetch(&server, &node, client, &format!("image/files/{name}"), &tree.join(name))?;
        }
        fetch(&server, &node, client, "exported", &tree.join("some"))?;
    }
    lab.say("a file that is not there is refused at once");
    for client in CLIENTS {
        refused(lab, &server, &node, client, "image/files/none", "not-found")?;
        refused(lab, &server, &node, client, "../export/exported", "bad-path")?;
    }
    server.stop()
}

fn on_both(lab: &mut Lab, lan: &Lan, name: &str, v4: &str, v6: &str) -> Result<Host> {
    let host = lab.host(name, &[(lan, &format!("{v4}/24"))])?;
    // Without the probe for duplicates, which would take a second in which nothing answers.
    host.run("ip", ["addr", "add", &format!("{v6}/64"), "dev", "eth0", "nodad"])?;
    Ok(host)
}

fn make_files(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, size) in FILES {
        // Different in every block, in blocks of either size.
        let bytes: Vec<u8> =
            (0_u32..).flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(*size).collect();
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn fetch(server: &Server, node: &Host, client: &Client, remote: &str, original: &Path) -> Result<()> {
    let local = original.with_extension("got");
    let mark = server.log()?.mark();
    get(node, client, remote, &local).with_context(|| format!("{} from {}: {remote}", client.name, client.server))?;
    let same = fs::read(&local)? == fs::read(original)?;
    ensure!(same, "{} from {}: {remote} is not what it was", client.name, client.server);
    fs::remove_file(&local)?;
    server.log()?.wait_from(mark, client.agreed, Duration::from_secs(60)).map(drop)
}

/// Not served, told to the client at once, and known to the journal by its code.
fn refused(lab: &Lab, server: &Server, node: &Host, client: &Client, remote: &str, code: &str) -> Result<()> {
    let local = lab.folder().join("refused.got");
    let (mark, asked) = (server.log()?.mark(), Instant::now());
    // Some clients fail and some only say so.
    let _ = get(node, client, remote, &local);
    ensure!(asked.elapsed() < Duration::from_secs(15), "{} was left waiting for {remote}", client.name);
    if fs::metadata(&local).is_ok_and(|got| got.len() > 0) {
        bail!("{} from {} got {remote}", client.name, client.server);
    }
    server.log()?.wait_from(mark, code, Duration::from_secs(60)).map(drop)
}

fn get(node: &Host, client: &Client, remote: &str, local: &Path) -> Result<String> {
    let words = (client.command)(client.server, remote, &local.to_string_lossy());
    let timeout = ["120".to_owned()].into_iter().chain(words);
    node.run("timeout", timeout)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn tftp_hpa(server: &str, remote: &str, local: &str) -> Vec<String> {
    words(&["tftp", "-m", "binary", server, "-c", "get", remote, local])
}

fn atftp(server: &str, remote: &str, local: &str) -> Vec<String> {
    words(&["atftp", "--option", "windowsize 8", "--get", "--remote-file", remote, "--local-file", local, server])
}

fn curl(server: &str, remote: &str, local: &str) -> Vec<String> {
    words(&["curl", "-sS", "--path-as-is", "-o", local, &url(server, remote)])
}

fn curl_1468(server: &str, remote: &str, local: &str) -> Vec<String> {
    words(&["curl", "-sS", "--path-as-is", "--tftp-blksize", "1468", "-o", local, &url(server, remote)])
}

fn busybox(server: &str, remote: &str, local: &str) -> Vec<String> {
    words(&["busybox", "tftp", "-g", "-b", "1468", "-r", remote, "-l", local, server])
}

fn url(server: &str, remote: &str) -> String {
    let host = if server.contains(':') { format!("[{server}]") } else { server.to_owned() };
    format!("tftp://{host}/{remote}")
}
